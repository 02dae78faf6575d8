// Package seal ends the making of a root filesystem: it writes the image's
// name into it and takes out everything that must not be shared by the servers
// started from it: host keys, machine ids, logs, caches, package lists,
// histories, secrets that maintainer scripts generated. What a server needs of
// those is made anew at first boot, or by the container's entry point. It
// never decides who owns a file, never takes out a path whose class is immutable
// (imgbuild/images/integrity), and makes only seeded ones anew.
package seal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"imgbuild/images/integrity"
)

// Format is the number of this stage's own format: it changes whenever the
// same input would be sealed differently.
const Format = 5

// Identity is what an image says about itself from inside. It holds no version
// and no time: those are the catalog's to know.
type Identity struct {
	// Baseline is the recipe's name.
	Baseline string `json:"baseline"`
	// Stage is the id of the sealed stage, in hex.
	Stage string `json:"stage"`
	// Architecture is Debian's name of the machine architecture.
	Architecture string `json:"architecture"`
}

// Result says what sealing found.
type Result struct {
	// Regenerates is true when a removed file has to be made again at first
	// boot, so that a container needs the entry point.
	Regenerates bool `json:"regenerates"`
	// Removed lists the paths that were taken out, sorted.
	Removed []string `json:"removed"`
}

// EntryPoint is the program of the image that makes what is missing and then
// becomes its arguments.
const EntryPoint = "/usr/lib/imgbuild/entrypoint"

// Root seals the root filesystem at dir.
func Root(dir string, id Identity) (*Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	defer root.Close()
	s := sealer{root: root, classes: integrity.DefaultRules()}
	for _, step := range []func() error{
		func() error { return s.identify(id) },
		s.firstBoot,
		s.generated,
		s.machineID,
		s.logs,
		s.leftovers,
		s.ucf,
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("sealing: %w", err)
		}
	}
	slices.Sort(s.result.Removed)
	return &s.result, nil
}

type sealer struct {
	root    *os.Root
	classes integrity.Rules
	result  Result
}

// maxRelease is the largest os-release that is read, in bytes.
const maxRelease = 64 << 10

// identify writes image.json, and os-release(5) with IMAGE_ID and
// IMAGE_VERSION. The distribution's own file stays as its package made it:
// /etc/os-release, by default a link to it, becomes a file of our own.
func (s *sealer) identify(id Identity) error {
	if err := s.root.MkdirAll("usr/lib/imgbuild", 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	if err := s.write("usr/lib/imgbuild/image.json", append(data, '\n'), 0o644); err != nil {
		return err
	}
	const own = "usr/lib/os-release"
	info, err := s.root.Stat(own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxRelease) {
		err = fmt.Errorf("%s is no regular file of at most %d bytes", own, maxRelease)
	}
	if err != nil {
		return err
	}
	release, err := s.root.ReadFile(own)
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(release), "\n") + fmt.Sprintf("\nIMAGE_ID=%s\nIMAGE_VERSION=%s\n", id.Baseline, id.Stage)
	return s.write("etc/os-release", []byte(text), 0o644)
}

// write replaces a file: an existing one, link or not, is removed first.
func (s *sealer) write(name string, data []byte, mode fs.FileMode) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.root.WriteFile(name, data, mode); err != nil {
		return err
	}
	return s.root.Chmod(name, mode)
}

// machineID leaves an empty /etc/machine-id, which machine-id(5) fills at
// first boot without applying presets anew, and no copy of it for D-Bus.
func (s *sealer) machineID() error {
	if err := s.root.MkdirAll("etc", 0o755); err != nil {
		return err
	}
	if err := s.write("etc/machine-id", nil, 0o444); err != nil {
		return err
	}
	if st, err := s.root.Lstat("var/lib/dbus/machine-id"); err == nil && st.Mode().IsRegular() {
		return s.remove("var/lib/dbus/machine-id")
	}
	return nil
}

// remove deletes a file or tree that may be missing and notes it.
func (s *sealer) remove(name string) error {
	if _, err := s.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := s.note(name); err != nil {
		return err
	}
	return s.root.RemoveAll(name)
}

// note adds a path to those taken out, and refuses one that the classes say no
// server may miss.
func (s *sealer) note(name string) error {
	class, err := s.class(name)
	if err != nil {
		return err
	}
	if class == integrity.Immutable {
		return fmt.Errorf("taking out %s, which is immutable", name)
	}
	s.result.Removed = append(s.result.Removed, name)
	return nil
}

// class is that of a path which exists.
func (s *sealer) class(name string) (integrity.Class, error) {
	st, err := s.root.Lstat(name)
	if err != nil {
		return "", err
	}
	target := ""
	if st.Mode()&fs.ModeSymlink != 0 {
		if target, err = s.root.Readlink(name); err != nil {
			return "", err
		}
	}
	return s.classes.Classify(name, target), nil
}

// names lists a directory that may be missing or, in a hostile root, be
// something else: then there is nothing to do.
func (s *sealer) names(dir string) ([]fs.DirEntry, error) {
	st, err := s.root.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !st.IsDir()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

// files calls do for everything below dir that is not a directory.
func (s *sealer) files(dir string, do func(name string, e fs.DirEntry) error) error {
	entries, err := s.names(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			err = s.files(name, do)
		} else {
			err = do(name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
