package project

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// lockSuffix ends the names of lock files.
const lockSuffix = ".lock"

// NamedLock is one lock of a project.
type NamedLock struct {
	// Name is that of its file without the suffix: NAME, or NAME.ARCHITECTURE.
	Name string
	Path string
	*updates.Lock
}

// Locks reads locks: those of the baselines that are named, for each of their
// architectures, and those in the files that are named, which have a slash or end
// in .lock. Without a name all of LocksDir are read. They are in the order of
// their names, each once.
func (p *Project) Locks(names ...string) ([]NamedLock, error) {
	paths, err := p.LockFiles(names...)
	if err != nil {
		return nil, err
	}
	var locks []NamedLock
	for _, path := range paths {
		lock, err := updates.ReadLock(path)
		if err != nil {
			return nil, err
		}
		locks = append(locks, NamedLock{Name: strings.TrimSuffix(filepath.Base(path), lockSuffix), Path: path, Lock: lock})
	}
	return locks, nil
}

// LockFiles are the paths of what Locks reads.
func (p *Project) LockFiles(names ...string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(globbed(p.LocksDir()), "*"+lockSuffix))
	if err != nil {
		return nil, fmt.Errorf("looking for locks: %w", err)
	}
	if len(names) > 0 {
		if paths, err = chooseLocks(paths, names); err != nil {
			return nil, err
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// chooseLocks are the paths that names stand for.
func chooseLocks(paths, names []string) ([]string, error) {
	known := map[string][]string{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), lockSuffix)
		known[name] = append(known[name], path)
		// NAME stands for NAME.ARCHITECTURE too.
		if at := strings.LastIndexByte(name, '.'); at > 0 {
			known[name[:at]] = append(known[name[:at]], path)
		}
	}
	var chosen []string
	for _, name := range names {
		if strings.Contains(name, "/") || strings.HasSuffix(name, lockSuffix) {
			if _, err := os.Stat(name); err != nil {
				return nil, fault.Inputf("reading a lock").Because(err)
			}
			absolute, err := filepath.Abs(name)
			if err != nil {
				return nil, fmt.Errorf("reading a lock: %w", err)
			}
			chosen = append(chosen, absolute)
			continue
		}
		if len(known[name]) == 0 {
			var all []string
			for other := range known {
				all = append(all, other)
			}
			return nil, fault.Inputf("there is no lock of %q%s", name, node.Suggest(name, all)).
				WithHint("make it: imgbuild lock %s", name)
		}
		chosen = append(chosen, known[name]...)
	}
	return chosen, nil
}

// globbed is a path in which no character stands for others.
func globbed(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
