package setting

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// source is one file that a program reads.
type source struct {
	path, text string
	list       []assignment
}

// layout is which files a program reads, in its order: the one of the last
// assignment counts.
type layout struct {
	// main are the places of the main file; the first one that exists is read.
	main []string
	// dirs are the directories of drop-ins. A name in one hides the same name
	// in those after it; the files are read in the order of their names.
	dirs []string
	// mainLast says that drop-ins are read before the main file.
	mainLast bool
	// before and after are files that are read before all these and after them.
	before, after []string
}

// layoutOf tells how a file is read.
func layoutOf(format, name string) layout {
	switch {
	case format == "ini" && strings.HasPrefix(name, "/etc/systemd/") && strings.HasSuffix(name, ".conf"):
		// systemd-system.conf(5), "Configuration directories and precedence".
		below := strings.TrimPrefix(name, "/etc/")
		l := layout{}
		for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib"} {
			l.main = append(l.main, path.Join(dir, below))
			l.dirs = append(l.dirs, path.Join(dir, below)+".d")
		}
		return l
	case name == limitsConf:
		return layout{main: []string{name}, dirs: []string{"/etc/security/limits.d"}} // limits.conf(5)
	case name == pwqualityConf:
		return layout{main: []string{name}, dirs: []string{name + ".d"}, mainLast: true} // pwquality.conf(5)
	}
	return layout{main: []string{name}}.withUfw(name)
}

// withUfw adds the other of the two files that ufw's scripts take in, by
// ufw-init-functions.
func (l layout) withUfw(name string) layout {
	switch name {
	case ufwDefaults:
		l.after = []string{ufwConf}
	case ufwConf:
		l.before = []string{ufwDefaults}
	}
	return l
}

// read reads and parses all files of a layout. That there are none is no
// error.
func (l layout) read(r system.Reader, g grammar) ([]source, error) {
	drops, err := dropIns(r, l.dirs)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range l.main {
		info, err := r.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Mode.IsRegular() {
			names = append(names, name)
		}
		break // a device such as /dev/null hides the ones after it
	}
	if l.mainLast {
		names = append(drops, names...)
	} else {
		names = append(names, drops...)
	}
	before, err := present(r, l.before)
	if err != nil {
		return nil, err
	}
	after, err := present(r, l.after)
	if err != nil {
		return nil, err
	}
	return parseAll(r, slices.Concat(before, names, after), g)
}

func parseAll(r system.Reader, names []string, g grammar) ([]source, error) {
	var list []source
	for _, name := range names {
		data, err := system.ReadFile(r, name, edit.MaxFile)
		if err != nil {
			return nil, err
		}
		s := source{path: name, text: string(data)}
		if strings.ContainsRune(s.text, 0) {
			return nil, fmt.Errorf("reading %s: it is not a text: it has a zero byte", name)
		}
		if s.list, err = g.parse(s.text); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// dropIns lists the drop-ins of directories that are regular files.
func dropIns(r system.Reader, dirs []string) ([]string, error) {
	all, err := system.DropIns(r, dirs, nil)
	if err != nil {
		return nil, err
	}
	return present(r, all)
}

// present are the files of a list that are there, and regular ones.
func present(r system.Reader, names []string) ([]string, error) {
	var list []string
	for _, name := range names {
		info, err := r.Stat(name)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case err == nil && info.Mode.IsRegular():
			list = append(list, name)
		}
	}
	return list, nil
}

// masks tells whether a file is a link to /dev/null.
func masks(r system.Reader, name string) bool {
	target, err := r.Readlink(name)
	return err == nil && target == "/dev/null"
}
