package system

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxDropIns is how many files the directories of one kind may have.
const maxDropIns = 2000

// DropIns lists the files of directories that belong together in the order in
// which they are read: by name, and of equal names the one in the first
// directory, which hides the others even as a link to nothing. Directories in
// them do not count. is tells which names are read; nil are those of *.conf
// that do not begin with a dot. systemd.syntax(7), sysctl.d(5).
func DropIns(r Reader, dirs []string, is func(name string) bool) ([]string, error) {
	if is == nil {
		is = func(name string) bool { return strings.HasSuffix(name, ".conf") && name[0] != '.' }
	}
	first := map[string]string{}
	for _, dir := range dirs {
		if info, err := r.Stat(dir); err == nil && !info.Mode.IsDir() {
			continue
		}
		names, err := Names(r, dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			file := path.Join(dir, name)
			if !is(name) || first[name] != "" {
				continue
			}
			if info, err := r.Stat(file); err == nil && info.Mode.IsDir() {
				continue
			}
			first[name] = file
		}
		if len(first) > maxDropIns {
			return nil, fmt.Errorf("reading %s: more than %d files with those above it", dir, maxDropIns)
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(first)) {
		list = append(list, first[name])
	}
	return list, nil
}
