package install

import (
	"embed"
	"errors"
	"io/fs"
	"path"
)

// standins are programs that stand before the root's own of the same name
// while scripts run: for what is different in a bake, and for what costs much
// and comes to nothing where every package is new.
//
//go:embed standins
var standins embed.FS

// surroundings returns the files that are in the root only while scripts run.
func surroundings() (map[string][]byte, error) {
	// Services are not started: invoke-rc.d(8).
	files := map[string][]byte{policyFile: []byte("#!/bin/sh\nexit 101\n")}
	err := fs.WalkDir(standins, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[stageDir+"/"+path.Base(name)], err = standins.ReadFile(name)
		return err
	})
	return files, err
}

// prepareSurroundings writes the surroundings; the returned function puts back
// what was there.
func (l *layer) prepareSurroundings() (restore func() error, err error) {
	files, err := surroundings()
	if err != nil {
		return nil, err
	}
	old := map[string][]byte{}
	for name, content := range files {
		if old[name], err = l.root.read(name); err != nil {
			return nil, err
		}
		if err := l.root.mkdirAll(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := l.root.write(name, content, 0o755); err != nil {
			return nil, err
		}
	}
	return func() error {
		var failed error
		for name, data := range old {
			if data != nil {
				failed = errors.Join(failed, l.root.write(name, data, 0o755))
			} else {
				failed = errors.Join(failed, l.root.remove(name))
			}
		}
		return errors.Join(failed, l.root.removeDir(stageDir))
	}, nil
}
