package openscap

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/provisioners/system"
)

// ReadResults, ReadOVAL, MountTable and WriteMounts are what results and mounts
// are read by.

func ReadResults(r io.Reader, profile string) (map[string]string, error) {
	found, err := readResults(r, profile)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for id, r := range found.Rules {
		values[id] = r.Value
	}
	return values, nil
}

// ReadOVAL gives each definition's result as it is written, and as it is when
// what looks at a running machine is unknown.
func ReadOVAL(r io.Reader) (written, told map[string]string, err error) {
	o := &oval{parts: map[string]*part{}, definitions: map[string]*criteria{}}
	if err := o.readOVAL(r); err != nil {
		return nil, nil, err
	}
	written, told = map[string]string{}, map[string]string{}
	t := newTold(o)
	for id, d := range o.definitions {
		written[id] = string(d.result)
		result, e := t.definition(id)
		err = errors.Join(err, e)
		told[id] = string(result)
	}
	return written, told, err
}

func MountTable(fstab string) (string, error) {
	table, _, err := mountTable(fstab)
	return table, err
}

func WriteMounts(root *os.Root, from system.Reader) error { return writeMounts(root, from) }

func ProcessorTime(ancestor int) (uint64, int) { return processorTime(ancestor) }

// RunInstead runs another program over an empty tree as oscap is run, and gives up
// on it when it does nothing for a while.
func RunInstead(ctx context.Context, dir string, patience time.Duration, report progress.Reporter, program ...string) (err error) {
	tree, stream := filepath.Join(dir, "tree"), filepath.Join(dir, "stream")
	if err := errors.Join(os.Mkdir(tree, 0o755), os.WriteFile(stream, nil, 0o644)); err != nil {
		return err
	}
	e, remove, err := newEvaluation(dir, tree, stream)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	e.program, e.patience = program, patience
	_, _, err = e.run(ctx, "p", report, report.Start("", 0, progress.Items))
	return err
}

// Within tells whether the results of a stream's second profile hold for its
// first.
func (s *Stream) Within() bool { return s.within(s.Profiles[0], s.Profiles[1]) }
