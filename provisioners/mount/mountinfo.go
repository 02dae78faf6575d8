package mount

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// mountinfoPath is what the running kernel has mounted, as seen by the reader.
const mountinfoPath = "/proc/self/mountinfo"

// maxMountinfo bounds it, in bytes.
const maxMountinfo = 16 << 20

// seen are the options that the kernel shows as they were given; others it
// renames, computes or keeps to itself.
var seen = []string{"nodev", "nosuid", "noexec", "ro", "rw", "noatime", "nodiratime", "dev", "suid", "exec", "atime", "diratime"}

// live is a mount of the running system.
type live struct {
	kind string
	// options are those of the mount, super those of the file system.
	options, super options
}

// running reads what is mounted at a place, the last one when several lie upon
// one another. known is false on a system that does not run.
func running(r system.Reader, point string) (found *live, known bool, err error) {
	text, known, err := system.ReadText(r, mountinfoPath, maxMountinfo)
	if err != nil {
		return nil, false, fmt.Errorf("asking the running kernel: %w", err)
	}
	if !known {
		return nil, false, nil
	}
	found, err = parseMountinfo(text, point)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", mountinfoPath, err)
	}
	return found, true, nil
}

// parseMountinfo finds the last mount at a place; the format is that of
// proc_pid_mountinfo(5).
func parseMountinfo(text, point string) (*live, error) {
	var found *live
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			return nil, fmt.Errorf("line %d is not a mount", number)
		}
		if unescape(fields[4]) == point {
			found = &live{kind: fields[dash+1], options: strings.Split(fields[5], ","), super: strings.Split(fields[dash+3], ",")}
		}
	}
	return found, nil
}

// shows tells whether the kernel says which value an option has.
func shows(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	return slices.Contains(seen, name) || name == "hidepid"
}

// has tells whether an option is in force; the kernel lists what is switched off
// ("nodev"), and not what is on.
func (l *live) has(option string) bool {
	readOnly := l.options.has("ro") || l.super.has("ro")
	switch option {
	case "ro":
		return readOnly
	case "rw":
		return !readOnly
	case "dev", "suid", "exec", "atime", "diratime":
		return !l.options.has("no" + option)
	}
	return l.options.has(option) || l.super.has(option)
}
