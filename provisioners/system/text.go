package system

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// ReadText reads a text file of at most limit bytes. That there is none is no
// error.
func ReadText(r Reader, name string, limit int64) (text string, there bool, err error) {
	data, err := ReadFile(r, name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return string(data), err == nil, err
}

// Names lists a directory, sorted by bytes; one that is not there has no names.
func Names(r Reader, dir string) ([]string, error) {
	names, err := r.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// Replace writes a text file. One that is there keeps its owner and mode, and a
// link is replaced by a file with those of the file that it leads to. A new
// file is root's with mode fresh, and the directories above it are made.
func Replace(s System, name, text string, fresh fs.FileMode) error {
	attr := Attr{Mode: fresh}
	switch info, err := s.Lstat(name); {
	case err == nil && info.Mode.Type()&^fs.ModeSymlink != 0:
		return fmt.Errorf("writing %s: what is there is no regular file", name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	switch info, err := s.Stat(name); {
	case err == nil && info.Mode.IsRegular():
		attr = Attr{Mode: Bits(info.Mode), UID: info.UID, GID: info.GID}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := MkdirAll(s, path.Dir(name)); err != nil {
		return err
	}
	return s.WriteFile(name, strings.NewReader(text), attr)
}
