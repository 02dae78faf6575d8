package service

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// Started is a command that a unit starts.
type Started struct {
	// File says so, a unit or a drop-in of one.
	File string
	// Words are the program and its arguments, without quotes.
	Words []string
}

// unitPath are the directories of units, the first that counts first
// (systemd.unit(5)).
var unitPath = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// StartedBy are the commands that a unit starts by ExecStart=, with its drop-ins and
// those for all units of its kind; none where there is no such unit. Specifiers and
// variables stay as they are written.
func StartedBy(r system.Reader, unit string) ([]Started, error) {
	var files, dirs, kind []string
	for _, dir := range unitPath {
		file := path.Join(dir, unit)
		if info, err := r.Stat(file); err == nil && info.Mode.IsRegular() && len(files) == 0 {
			files = append(files, file)
		}
		dirs = append(dirs, file+".d")
		kind = append(kind, path.Join(dir, strings.TrimPrefix(path.Ext(unit), ".")+".d"))
	}
	dirs = append(dirs, kind...)
	drops, err := system.DropIns(r, dirs, nil)
	if err != nil {
		return nil, fmt.Errorf("reading how %s is started: %w", unit, err)
	}
	var list []Started
	for _, file := range slices.Concat(files, drops) {
		text, _, err := system.ReadText(r, file, edit.MaxFile)
		if err != nil {
			return nil, fmt.Errorf("reading how %s is started: %w", unit, err)
		}
		for _, line := range Lines(text) {
			name, value, ok := strings.Cut(line, "=")
			if !ok || strings.TrimSpace(name) != "ExecStart" {
				continue
			}
			words := strings.Fields(value)
			if len(words) == 0 {
				list = nil // an empty one takes back those before it
				continue
			}
			for i, word := range words {
				words[i] = strings.Trim(word, `"'`)
			}
			list = append(list, Started{file, words})
		}
	}
	return list, nil
}
