package openscap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/progress"
	"imgbuild/builder/sandbox"
	"imgbuild/images/fault"
)

// The limits of one run of oscap: of its time, also without using a processor, of
// how often it is started, of the bytes it keeps in its directories, of its memory
// in bytes, and of the bytes that it says.
const (
	maxTime   = 20 * time.Minute
	maxStill  = 40 * time.Second
	maxStarts = 3
	maxKept   = "512m"
	maxMemory = 4 << 30
	maxSaid   = 1 << 20
)

// aptConfig is all that the library behind OpenSCAP's tests of packages may read.
// It takes the tree for its root by itself. It makes no caches, which it would
// write into the tree, and knows no sources. Without a configuration of its own
// it seeks that of the scanner's machine.
const aptConfig = `Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/dev/null";
`

// The places of an evaluation, as oscap sees them.
const (
	treeDir    = "/tree"
	workDir    = "/work"
	streamFile = "/stream.xml"
	aptFile    = "/apt.conf"
	resultFile = "results.xml"
)

// evaluation is one tree that oscap looks at, in a root directory that has the
// programs of this machine, the tree, the stream, and nothing else.
type evaluation struct {
	// root is a directory with a file system of its own; tree and stream lie
	// outside.
	root, tree, stream string
	// program is what is run, and patience for how long it may do nothing.
	program  []string
	patience time.Duration
}

// newEvaluation makes the root directory, which takes the namespaces of
// sandbox.Enter. The returned function takes it away.
func newEvaluation(dir, tree, stream string) (_ *evaluation, remove func() error, err error) {
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, nil, err
	}
	// What oscap writes is bounded by this file system.
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=700,size="+maxKept); err != nil {
		return nil, nil, fmt.Errorf("mounting a file system for oscap: %w", err)
	}
	remove = func() error { return unix.Unmount(root, unix.MNT_DETACH) }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	for _, name := range []string{"/tmp", "/etc"} {
		if err := os.Mkdir(root+name, 0o700); err != nil {
			return nil, nil, err
		}
	}
	// Which file systems are local is read of the scanner's machine: those of
	// the namespace.
	if err := os.Symlink(mountsPath, root+"/etc/mtab"); err != nil {
		return nil, nil, err
	}
	e := &evaluation{root: root, tree: tree, stream: stream, program: []string{"oscap"}, patience: maxStill}
	return e, remove, os.WriteFile(root+aptFile, []byte(aptConfig), 0o444)
}

// programs are the parts of this machine that its programs need, as mounts; what
// is a link here is one there.
func (e *evaluation) programs() ([]sandbox.Mount, error) {
	mounts := []sandbox.Mount{{Source: "/usr", Target: "/usr", ReadOnly: true}}
	for _, name := range []string{"/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"} {
		info, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err == nil {
				err = os.Symlink(target, e.root+name)
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
		default:
			mounts = append(mounts, sandbox.Mount{Source: name, Target: name, ReadOnly: true})
		}
	}
	return mounts, nil
}

// run evaluates a profile and reads what came of it. A program that stands still
// is started again.
func (e *evaluation) run(ctx context.Context, profile string, report progress.Reporter, task progress.Task) (_ *results, _ *oval, err error) {
	for starts := 1; ; starts++ {
		lines := &counted{task: task}
		if err = e.start(ctx, profile, lines); !errors.Is(err, errStill) || starts == maxStarts {
			break
		}
		report.Note("oscap stood still after %d rules; starting it again", lines.count)
		task.Add(-lines.count)
	}
	if err != nil {
		return nil, nil, err
	}
	return e.read(profile)
}

// start runs oscap once. That it ended well does not mean that it has judged.
func (e *evaluation) start(ctx context.Context, profile string, lines *counted) error {
	mounts, err := e.programs()
	if err == nil {
		// No run finds what another one has left.
		err = errors.Join(os.RemoveAll(e.root+workDir), os.Mkdir(e.root+workDir, 0o700))
	}
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	limited, end := context.WithCancelCause(limited)
	var watching sync.WaitGroup
	watching.Go(func() { watch(limited, end, e.patience) })
	defer watching.Wait()
	defer end(nil)
	said := &heard{}
	err = sandbox.Run(limited, sandbox.Spec{
		Root:   e.root,
		Mounts: append(mounts, sandbox.Mount{Source: e.tree, Target: treeDir, ReadOnly: true}, sandbox.Mount{Source: e.stream, Target: streamFile, ReadOnly: true}),
		Args: append([]string{"prlimit", fmt.Sprintf("--as=%d", int64(maxMemory)), "--core=0", "--"},
			append(slices.Clone(e.program), "xccdf", "eval", "--progress", "--profile", profile, "--results", resultFile, "--oval-results", streamFile)...),
		Env:    []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + workDir, "OSCAP_PROBE_ROOT=" + treeDir, "APT_CONFIG=" + aptFile},
		Dir:    workDir,
		Stdout: lines, Stderr: said,
	})
	var exit *sandbox.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(context.Cause(limited), errStill):
		return fault.Failedf("waiting for rule %d", lines.count+1).Because(errStill)
	case limited.Err() != nil:
		return fault.Failedf("oscap did not end within %s", maxTime)
	case err != nil && !errors.As(err, &exit):
		return err
	case said.blind:
		return fault.Failedf("oscap could not read the packages of the tree").Because(said.last())
	}
	// Its status does not tell: it is 2 when a rule fails, and 1 also when all
	// went well but for one probe. What it has left does.
	if _, missing := os.Lstat(e.root + workDir + "/" + resultFile); exit != nil && missing != nil {
		return fault.Failedf("oscap ended with status %d and no results", exit.Code).Because(said.last())
	}
	return nil
}

// read reads the files that oscap has left. It may have made something else of
// them: no link is followed out of the directory, and nothing is waited for.
func (e *evaluation) read(profile string) (found *results, parts *oval, err error) {
	work, err := os.OpenRoot(e.root + workDir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	err = reading(work, resultFile, func(r io.Reader) (err error) {
		found, err = readResults(r, profile)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	names, err := fs.Glob(work.FS(), "*.result.xml")
	if err != nil {
		return nil, nil, err
	}
	parts = &oval{parts: map[string]*part{}, definitions: map[string]*criteria{}}
	for _, name := range names {
		if err := reading(work, name, parts.readOVAL); err != nil {
			return nil, nil, err
		}
	}
	return found, parts, nil
}

// reading opens a regular file of a directory and reads it.
func reading(dir *os.Root, name string, read func(io.Reader) error) error {
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("oscap left no results: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(fmt.Errorf("oscap left something else than a file as %s", name), err)
	}
	return read(f)
}

// unread is what oscap says when its test of packages cannot read any. It takes
// all rules about packages for not applicable then.
const unread = "dpkginfo_init has failed"

// heard is what a program says, up to a limit: its beginning. It is listened to
// until the end: a tree can make oscap say more than that.
type heard struct {
	// said is no embedded field: its ReadFrom would be used instead of Write.
	said bytes.Buffer
	// blind tells that unread was among it, which may come in parts: ending is
	// the end of what came last.
	blind  bool
	ending []byte
}

func (h *heard) Write(p []byte) (int, error) {
	h.ending = append(h.ending, p...)
	h.blind = h.blind || bytes.Contains(h.ending, []byte(unread))
	h.ending = append([]byte(nil), h.ending[max(0, len(h.ending)-len(unread)):]...)
	if room := maxSaid - h.said.Len(); room > 0 {
		h.said.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// last is the end of what was said, as an error.
func (h *heard) last() error {
	lines := strings.Split(strings.TrimSpace(h.said.String()), "\n")
	return errors.New(strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// counted counts lines as they come: one a rule.
type counted struct {
	task  progress.Task
	count int64
}

func (c *counted) Write(p []byte) (int, error) {
	n := int64(bytes.Count(p, []byte("\n")))
	c.count += n
	c.task.Add(n)
	return len(p), nil
}
