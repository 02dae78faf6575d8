package sweep

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"imgbuild/provisioners/system"
)

// kind is what a sweep looks for.
type kind struct {
	// prepare reads what the sweep needs of the system and returns what looks
	// at one file.
	prepare func(r system.Reader, s *Sweep) (look, error)
	// allows says that the sweep has a list of what may be.
	allows bool
}

// look returns what is wrong with one file.
type look func(e Entry) ([]finding, error)

// The sweeps that are spoken of elsewhere.
const setuid = "setuid"

// kinds are the sweeps by name.
func kinds() map[string]kind {
	simple := func(f func(e Entry) *finding) kind {
		return kind{prepare: func(system.Reader, *Sweep) (look, error) {
			return func(e Entry) ([]finding, error) {
				if found := f(e); found != nil {
					return []finding{*found}, nil
				}
				return nil, nil
			}, nil
		}}
	}
	return map[string]kind{
		"world-writable": simple(worldWritable),
		"sticky":         simple(sticky),
		"system-files":   simple(systemFiles),
		"devices":        simple(devices),
		"ssh-host-keys":  simple(hostKeys),
		"cron":           simple(cron),
		"unowned":        {prepare: unowned},
		"logs":           {prepare: logs},
		setuid:           {prepare: lends, allows: true},
		"capabilities":   {prepare: capabilities, allows: true},
	}
}

// less is the finding that a file has bits it must not have.
func less(e Entry, refuse fs.FileMode) *finding {
	if e.Info.Mode&refuse == 0 {
		return nil
	}
	return mode(e, system.Bits(e.Info.Mode)&^refuse)
}

// mode is the finding that a file's mode is another one than want.
func mode(e Entry, want fs.FileMode) *finding {
	return &finding{
		entry:      e,
		difference: system.Difference{Subject: e.Path + ": mode", Have: octal(e.Info.Mode), Want: octal(want)},
		want:       &system.Attr{Mode: want, UID: e.Info.UID, GID: e.Info.GID},
	}
}

// worldWritable finds regular files that anyone may write to.
func worldWritable(e Entry) *finding {
	if !e.Info.Mode.IsRegular() {
		return nil
	}
	return less(e, 0o002)
}

// sticky finds directories in which anyone may remove another's files.
func sticky(e Entry) *finding {
	if !e.Info.Mode.IsDir() || e.Info.Mode&0o002 == 0 || e.Info.Mode&fs.ModeSticky != 0 {
		return nil
	}
	return mode(e, system.Bits(e.Info.Mode)|fs.ModeSticky)
}

// systemDirs hold what root alone installs or configures.
var systemDirs = []string{"/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr"}

// systemFiles finds what others than the owner may write to where the system
// itself lies. A directory with the sticky bit is shared on purpose.
func systemFiles(e Entry) *finding {
	kind := e.Info.Mode.IsRegular() || e.Info.Mode.IsDir() && e.Info.Mode&fs.ModeSticky == 0
	if !kind || !below(systemDirs, e.Path) {
		return nil
	}
	return less(e, 0o022)
}

// below tells whether a path is one of some directories or in one.
func below(dirs []string, name string) bool {
	for _, dir := range dirs {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// devices finds device nodes that do not lie in /dev. What they give access to
// is decided by their mode, wherever they lie, unless the mount has nodev.
func devices(e Entry) *finding {
	if e.Info.Mode&fs.ModeDevice == 0 || below([]string{"/dev"}, e.Path) {
		return nil
	}
	have := "a block device"
	if e.Info.Mode&fs.ModeCharDevice != 0 {
		have = "a character device"
	}
	return &finding{entry: e, difference: system.Difference{
		Subject: e.Path, Have: fmt.Sprintf("%s %d:%d", have, e.Info.Major, e.Info.Minor), Want: "absent",
	}}
}

// hostKeys finds keys of the SSH server that others may read, or of which
// others may write the public half.
func hostKeys(e Entry) *finding {
	base := path.Base(e.Path)
	if path.Dir(e.Path) != "/etc/ssh" || !strings.HasPrefix(base, "ssh_host_") || !e.Info.Mode.IsRegular() {
		return nil
	}
	switch {
	case strings.HasSuffix(base, "_key"):
		return roots(e, 0o600)
	case strings.HasSuffix(base, "_key.pub"), strings.HasSuffix(base, "_key-cert.pub"):
		return roots(e, 0o644)
	}
	return nil
}

// cron finds the tables and directories of cron's own jobs that others than
// root may look into: what runs as root is read from there.
func cron(e Entry) *finding {
	dir, base := path.Split(e.Path)
	switch {
	case dir != "/etc/":
		return nil
	case base == "crontab" && e.Info.Mode.IsRegular():
		return roots(e, 0o600)
	case !e.Info.Mode.IsDir():
		return nil
	}
	switch base {
	case "cron.d", "cron.hourly", "cron.daily", "cron.weekly", "cron.monthly", "cron.yearly":
		return roots(e, 0o700)
	}
	return nil
}

// roots is the finding that a file is not root's, or has more than the bits of
// most.
func roots(e Entry, most fs.FileMode) *finding {
	want := system.Attr{Mode: system.Bits(e.Info.Mode) & most}
	if e.Info.UID == 0 && e.Info.GID == 0 && want.Mode == system.Bits(e.Info.Mode) {
		return nil
	}
	return &finding{entry: e, want: &want, difference: system.Difference{
		Subject: e.Path, Have: fmt.Sprintf("%s of %d:%d", octal(e.Info.Mode), e.Info.UID, e.Info.GID), Want: octal(want.Mode) + " of 0:0",
	}}
}

// capabilities finds files with capabilities(7) of their own that are not
// allowed to have them. No System can take an attribute off: a person decides.
func capabilities(r system.Reader, s *Sweep) (look, error) {
	return func(e Entry) ([]finding, error) {
		if !e.Info.Mode.IsRegular() || matches(s.Allow, e.Path) {
			return nil, nil
		}
		attributes, err := r.Xattrs(e.Path)
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		value, has := attributes["security.capability"]
		if !has {
			return nil, nil
		}
		return []finding{{entry: e, difference: system.Difference{
			Subject: e.Path + ": capabilities", Have: describe(value), Want: "none",
		}}}, nil
	}, nil
}
