package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// Where mount units lie. Those of the first directories win over what systemd
// makes of /etc/fstab at boot, and that over those of the others (systemd.unit(5),
// systemd-fstab-generator(8)).
var (
	dirsAbove = []string{"/etc/systemd/system", "/run/systemd/system"}
	dirsBelow = []string{"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
)

// maxUnit bounds a unit file, in bytes.
const maxUnit = 256 << 10

// unitName is the name of the unit that mounts a path (systemd.unit(5), "String
// escaping for inclusion in unit names").
func unitName(point string) string {
	trimmed := strings.Trim(point, "/")
	if trimmed == "" {
		return "-.mount"
	}
	var b strings.Builder
	for i, c := range []byte(trimmed) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + ".mount"
}

// section is the [Mount] section of a unit or a drop-in.
type section struct {
	file string
	// masked is a unit that is empty or a link to /dev/null.
	masked bool
	kind   string
	// options is nil when the file does not state them.
	options *options
}

// readSection reads one file; ok is false when there is none.
func readSection(r system.Reader, file string) (s section, ok bool, err error) {
	s.file = file
	info, err := r.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err == nil && info.Mode&fs.ModeSymlink != 0 {
		var target string
		if target, err = r.Readlink(file); err == nil && target == "/dev/null" {
			s.masked = true
			return s, true, nil
		}
	}
	if err != nil {
		return s, false, fmt.Errorf("reading mount unit: %w", err)
	}
	text, there, err := system.ReadText(r, file, maxUnit)
	if err != nil {
		return s, false, fmt.Errorf("reading mount unit: %w", err)
	}
	if !there {
		return s, false, nil // a link to nowhere
	}
	s.masked = text == ""
	if err := s.parse(text); err != nil {
		return s, false, fmt.Errorf("reading mount unit %s: %w", file, err)
	}
	return s, true, nil
}

// parse reads systemd.syntax(7). What is assigned last counts.
func (s *section) parse(text string) error {
	inside := false
	continued := ""
	for line := range strings.Lines(text + "\n") {
		line = strings.TrimSpace(line)
		if line != "" && (line[0] == '#' || line[0] == ';') {
			continue // also in the middle of a continued line
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			continued += rest + " "
			continue
		}
		line, continued = strings.TrimSpace(continued+line), ""
		if strings.HasPrefix(line, "[") {
			inside = line == "[Mount]"
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if !inside {
			continue
		}
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "Type":
			s.kind = value
		case "Options":
			o, err := parseOptions(strings.ReplaceAll(value, "%%", "%"))
			if err != nil {
				return err
			}
			s.options = &o
		}
	}
	return nil
}

// fragment is the first unit file of a name in some directories.
func fragment(r system.Reader, dirs []string, name string) (section, bool, error) {
	for _, dir := range dirs {
		if s, ok, err := readSection(r, path.Join(dir, name)); ok || err != nil {
			return s, ok, err
		}
	}
	return section{}, false, nil
}

// dropInDirs are the names of the directories with drop-ins of a unit, the one
// of its own name first: a-b.mount has a-.mount.d too.
func dropInDirs(name string) []string {
	list := []string{name + ".d"}
	base := strings.TrimSuffix(name, ".mount")
	for {
		i := strings.LastIndexByte(strings.TrimSuffix(base, "-"), '-')
		if i < 0 || base == "-" {
			return list
		}
		base = base[:i+1]
		list = append(list, base+".mount.d")
	}
}

// dropIns reads the drop-ins of a unit in the order in which they apply.
func dropIns(r system.Reader, name string) ([]section, error) {
	var dirs []string
	all := slices.Concat(dirsAbove, dirsBelow)
	for _, dir := range all {
		for _, d := range dropInDirs(name) {
			dirs = append(dirs, path.Join(dir, d))
		}
	}
	for _, dir := range all {
		dirs = append(dirs, path.Join(dir, "mount.d"))
	}
	files, err := system.DropIns(r, dirs, nil)
	if err != nil {
		return nil, err
	}
	var list []section
	for _, file := range files {
		s, ok, err := readSection(r, file)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// pulledIn tells whether another unit wants or requires this one.
func pulledIn(r system.Reader, name string) (bool, error) {
	for _, dir := range slices.Concat(dirsAbove, dirsBelow) {
		names, err := system.Names(r, dir)
		if err != nil {
			return false, fmt.Errorf("listing units: %w", err)
		}
		for _, n := range names {
			if ext := path.Ext(n); ext != ".wants" && ext != ".requires" {
				continue
			}
			target, err := r.Readlink(path.Join(dir, n, name))
			if err == nil && target != "/dev/null" {
				return true, nil
			}
		}
	}
	return false, nil
}
