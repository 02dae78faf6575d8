package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"imgbuild/builder/host"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates/roster"
)

// Project is where a run of imgbuild keeps and finds things.
type Project struct {
	// Dir is the directory with imgbuild.yaml, or "" when there is none and
	// the user's XDG directories are used.
	Dir string
	// File is the configuration file that was read, or "".
	File string
	// Config holds the settings as they apply.
	Config Config

	data  string
	state string
}

// Options say where to look.
type Options struct {
	// Dir is the project's directory; when empty it is sought from WorkDir
	// upward.
	Dir string
	// WorkDir is the directory from which relative paths start; empty means
	// the process's.
	WorkDir string
	// Flags may hold flags named as in Setting.Flag; nil means none.
	Flags *pflag.FlagSet
}

// Open finds the project and reads its settings: flags win over IMGBUILD_*
// variables, those over imgbuild.yaml, that over the build host. Without a
// project directory everything lives below the user's XDG directories. It
// writes nothing.
func Open(opts Options) (*Project, error) {
	work := opts.WorkDir
	if work == "" {
		var err error
		if work, err = os.Getwd(); err != nil {
			return nil, fmt.Errorf("finding the project: %w", err)
		}
	}
	dir, err := locate(opts.Dir, work)
	if err != nil {
		return nil, err
	}
	xdg, err := directories()
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: dir, state: xdg.state}
	if dir != "" {
		p.File, p.data = filepath.Join(dir, FileName), filepath.Join(dir, ".imgbuild")
	} else {
		p.data = xdg.data
		if file := filepath.Join(xdg.config, FileName); exists(file) {
			p.File = file
		}
	}
	p.Config, err = load(p.File, work, opts.Flags, defaults(p.data, xdg.cache))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// locate returns the project's directory, absolute, or "" when there is none.
func locate(dir, work string) (string, error) {
	if dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(work, dir)
		}
		if !exists(filepath.Join(dir, FileName)) {
			return "", fault.Inputf("opening project: %s has no %s", dir, FileName).
				WithHint("run: imgbuild init %s", dir)
		}
		return filepath.Clean(dir), nil
	}
	for at := filepath.Clean(work); ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, FileName)) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", nil
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	// Below a file there is nothing either.
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// DataDir holds archive and catalog where the configuration names no other
// place.
func (p *Project) DataDir() string { return p.data }

// StateDir holds what this machine alone must remember for its user: passwords
// of keys, and what catalogs have shown.
func (p *Project) StateDir() string { return p.state }

// BaselinesDir holds the user's own recipes.
func (p *Project) BaselinesDir() string { return p.beside("baselines") }

// LocksDir holds one lock a baseline and architecture.
func (p *Project) LocksDir() string { return p.beside("locks") }

// KeysDir holds the public keys, and the private ones encrypted.
func (p *Project) KeysDir() string { return p.beside("keys") }

// RosterFile lists who may approve updates.
func (p *Project) RosterFile() string { return p.beside(roster.FileName) }

// FeedsFile lists the sources on security problems that are watched.
func (p *Project) FeedsFile() string { return p.beside("feeds.yaml") }

// FeedsDir keeps what they said.
func (p *Project) FeedsDir() string { return filepath.Join(p.data, "feeds") }

// beside is a folder that users see: in the project, else in the data directory.
func (p *Project) beside(name string) string {
	if p.Dir != "" {
		return filepath.Join(p.Dir, name)
	}
	return filepath.Join(p.data, name)
}

// LockFile is the path of a recipe's lock: NAME.lock for its first
// architecture, NAME.ARCHITECTURE.lock for each other.
func (p *Project) LockFile(recipe *baseline.Recipe) string {
	name := recipe.Name
	if !recipe.First() {
		name += "." + recipe.Architecture
	}
	return filepath.Join(p.LocksDir(), name+".lock")
}

// Mirror returns the base URL of an archive, host.ArchiveDebian or
// host.ArchiveSecurity: the configured one, else the one that this machine's
// own apt uses for suite or its neighbours.
func (p *Project) Mirror(archive, suite string) (string, error) {
	switch {
	case archive == host.ArchiveSecurity && p.Config.SecurityMirror != "":
		return p.Config.SecurityMirror, nil
	case archive == host.ArchiveDebian && p.Config.Mirror != "":
		return p.Config.Mirror, nil
	}
	sources, err := host.AptSources()
	if err != nil {
		return "", err
	}
	return sources.Mirror(archive, suite)
}

// Keyring returns the file with the keys that sign Debian's releases: the
// configured one, else this machine's.
func (p *Project) Keyring() (string, error) {
	if p.Config.Keyring != "" {
		return p.Config.Keyring, nil
	}
	sources, err := host.AptSources()
	if err != nil {
		return "", err
	}
	path := sources.Keyring()
	if !exists(path) {
		return "", fault.Inputf("finding Debian's archive keyring: there is no %s", path).
			WithHint("install it: apt-get install debian-archive-keyring, or set keyring: in %s", FileName)
	}
	return path, nil
}
