package project

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imgbuild/images/fault"
)

//go:embed skeleton
var skeleton embed.FS

// Created says what Init made.
type Created struct {
	// Dir is the project directory, absolute.
	Dir string `json:"directory"`
	// Files are relative to it, sorted.
	Files []string `json:"files"`
	Keys  *NewKeys `json:"keys"`
}

// Init makes a project in dir: settings, an example baseline, a place for
// locks and new keys. It refuses a directory that is a project already and
// replaces no file.
func Init(dir string, opts Options, ask Ask) (*Created, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("making project: %w", err)
	}
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	if exists(filepath.Join(dir, FileName)) {
		return nil, fault.Inputf("making project: %s is one already", dir).
			WithHint("to replace its keys: imgbuild init --rotate-keys %s", dir)
	}
	xdg, err := directories()
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: dir, data: filepath.Join(dir, ".imgbuild"), state: xdg.state}
	if p.Config, err = load("", opts.WorkDir, opts.Flags, defaults(p.data, xdg.cache)); err != nil {
		return nil, err
	}
	created := &Created{Dir: dir}
	if created.Keys, err = p.makeKeys(ask); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.LocksDir(), 0o755); err != nil {
		return nil, fmt.Errorf("making project: %w", err)
	}
	// imgbuild.yaml makes the directory a project, so it is written last.
	if err := created.writeSkeleton(func(name string) bool { return name != FileName }); err != nil {
		return nil, err
	}
	return created, created.writeSkeleton(func(name string) bool { return name == FileName })
}

// checkDirectory refuses a place that cannot become a directory because it is
// a file or below one.
func checkDirectory(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return fault.Inputf("making project: %s is a file, no directory", at).WithHint("name a directory: imgbuild init DIR")
		case err == nil || at == filepath.Dir(at):
			return nil
		}
	}
}

func (c *Created) writeSkeleton(wanted func(name string) bool) error {
	return fs.WalkDir(skeleton, "skeleton", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, "skeleton/")
		if name == "gitignore" {
			name = ".gitignore"
		}
		if !wanted(name) {
			return nil
		}
		text, err := skeleton.ReadFile(path)
		if err != nil {
			return fmt.Errorf("making project: %w", err)
		}
		err = writeNew(filepath.Join(c.Dir, name), text, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return nil // the user's own file stays
		}
		c.Files = append(c.Files, name)
		return err
	})
}
