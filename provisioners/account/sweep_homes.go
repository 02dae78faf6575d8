package account

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// homeMode is all that anybody may do with a home directory.
const homeMode = 0o750

// maxDotFiles bounds how many names of a home are looked at.
const maxDotFiles = 10_000

// interactive lists the people: accounts with a shell of shells(5).
func (v *survey) interactive() [][]string {
	return slices.DeleteFunc(slices.Clone(v.passwd.lines), func(record []string) bool {
		return !v.shells[loginShell(record)] || v.excepted(record[0])
	})
}

// homes looks at the directory of everybody who can log in.
func (v *survey) homes() error {
	for _, record := range v.interactive() {
		home := record[5]
		subject := passwdFile + ": " + record[0] + ": home " + home
		if !path.IsAbs(home) || path.Clean(home) != home || home == "/" {
			v.differ(subject, "not a directory of its own", "one")
			continue
		}
		info, err := v.r.Stat(home)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.differ(subject, "absent", "there")
			v.missing = append(v.missing, record)
			continue
		case err != nil:
			return err
		case !info.Mode.IsDir():
			v.differ(subject, "not a directory", "one")
			continue
		}
		want := attribute{home, system.Attr{Mode: info.Mode, UID: info.UID, GID: info.GID}}
		if info.UID != uid(record) {
			v.differ(home+": owner", strconv.Itoa(info.UID), record[2])
			want.UID = uid(record)
		}
		if info.Mode.Perm()&^homeMode != 0 {
			v.differ(home+": mode", fmt.Sprintf("%04o", info.Mode.Perm()), fmt.Sprintf("at most %04o", homeMode))
			want.Mode = system.Bits(info.Mode)&^fs.ModePerm | info.Mode.Perm()&homeMode
		}
		v.modes = append(v.modes, want)
	}
	return nil
}

func (v *survey) mendHomes(sys system.System) error {
	for _, record := range v.missing {
		if err := makeHome(sys, record); err != nil {
			return err
		}
	}
	return v.mendModes(sys)
}

// mendModes gives files the attributes that the check noted.
func (v *survey) mendModes(sys system.System) error {
	for _, a := range v.modes {
		info, err := sys.Lstat(a.name)
		if err != nil {
			return err
		}
		if info.Mode&fs.ModeSymlink != 0 {
			continue // what it leads to is somebody else's
		}
		if info.UID != a.UID || info.GID != a.GID {
			if err := sys.Chown(a.name, a.UID, a.GID); err != nil {
				return err
			}
		}
		if system.Bits(info.Mode) != system.Bits(a.Mode) {
			if err := sys.Chmod(a.name, system.Bits(a.Mode)); err != nil {
				return err
			}
		}
	}
	return nil
}

// trusting are files that let others in without a password, or send mail and
// passwords elsewhere; a person decides what becomes of them.
var trusting = []string{".forward", ".rhosts", ".shosts", ".netrc"}

// dotFiles looks at the files of homes that shells and programs obey.
func (v *survey) dotFiles() error {
	for _, record := range v.interactive() {
		home := record[5]
		if !path.IsAbs(home) || path.Clean(home) != home {
			continue
		}
		names, err := system.Names(v.r, home)
		if err != nil {
			return err
		}
		if len(names) > maxDotFiles {
			return fmt.Errorf("reading %s: more than %d names", home, maxDotFiles)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, ".") {
				continue
			}
			if err := v.dotFile(record, path.Join(home, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *survey) dotFile(record []string, name string) error {
	info, err := v.r.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode.IsRegular() {
		return nil
	}
	if slices.Contains(trusting, path.Base(name)) {
		v.differ(name, "there", "absent")
		return nil
	}
	limit := fs.FileMode(0o755)
	if path.Base(name) == ".bash_history" {
		limit = 0o600
	}
	want := attribute{name, system.Attr{Mode: info.Mode, UID: info.UID, GID: info.GID}}
	if info.UID != uid(record) {
		v.differ(name+": owner", strconv.Itoa(info.UID), record[2])
		want.UID = uid(record)
	}
	gid, err := v.passwd.id(record, 3)
	if err != nil {
		return err
	}
	if info.GID != gid {
		v.differ(name+": group", strconv.Itoa(info.GID), record[3])
		want.GID = gid
	}
	if info.Mode.Perm()&^limit != 0 {
		v.differ(name+": mode", fmt.Sprintf("%04o", info.Mode.Perm()), fmt.Sprintf("at most %04o", limit))
		want.Mode = system.Bits(info.Mode)&^fs.ModePerm | info.Mode.Perm()&limit
	}
	v.modes = append(v.modes, want)
	return nil
}
