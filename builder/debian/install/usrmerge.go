package install

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"imgbuild/builder/debian/deb"
)

// aliased are the top-level directories that are links into usr on every
// supported Debian release (usrmerge's convert-usrmerge has the same list).
var aliased = [...]string{"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"}

// topLevel names the top-level directories that the packages use.
func (l *layer) topLevel() map[string]bool {
	wanted := map[string]bool{}
	for _, p := range l.packages {
		for i := range p.Entries {
			top, _, _ := strings.Cut(p.Entries[i].Path, "/")
			if (top == p.Entries[i].Path && p.Entries[i].Type == deb.Directory) || len(top) < len(p.Entries[i].Path) || p.Entries[i].Type == deb.Symlink {
				wanted[top] = true
			}
		}
	}
	return wanted
}

// mergeUsr makes the wanted links before anything is unpacked. On bookworm no
// package has them: usrmerge makes them of directories later, which takes long.
// From trixie on base-files has them, and they must be there first all the same.
func (l *layer) mergeUsr(wanted map[string]bool) error {
	for _, name := range aliased {
		if !wanted[name] {
			continue
		}
		_, exists, err := l.root.lstat(name)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		if err := l.root.mkdirAll("usr/"+name, 0o755); err != nil {
			return err
		}
		if err := unix.Symlinkat("usr/"+name, l.root.fd, name); err != nil {
			return fmt.Errorf("making /%s: %w", name, err)
		}
	}
	return nil
}

// canonical returns the path with a usr-merged top level: /bin/sh and
// /usr/bin/sh are one file.
func canonical(path string) string {
	top, _, below := strings.Cut(path, "/")
	if !below {
		return path
	}
	for _, name := range aliased {
		if top == name {
			return "usr/" + path
		}
	}
	return path
}
