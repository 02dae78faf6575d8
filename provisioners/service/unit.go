// Package service holds the resource of systemd units: enabled, disabled or
// masked. It edits links and presets of a system that is not running, by the
// rules of systemctl(1) enable; it never starts or stops anything.
package service

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Where units are, in the order of systemd.unit(5).
const configDir = "/etc/systemd/system"

var unitDirs = []string{configDir, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// maxUnit bounds a unit file, in bytes.
const maxUnit = 256 << 10

// unit is a unit file with what its [Install] section asks for.
type unit struct {
	// name is what the unit is called; of a template the instance.
	name string
	// file is where the unit file is.
	file string
	// wantedBy, requiredBy and upheldBy are units that pull this one in.
	wantedBy, requiredBy, upheldBy []string
	// alias are further names; also are units to enable with this one.
	alias, also []string
	// defaultInstance is what a template is enabled as.
	defaultInstance string
}

// fullName adds .service to a name without a type.
func fullName(name string) string {
	switch path.Ext(name) {
	case ".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".swap", ".slice":
		return name
	}
	return name + ".service"
}

// split takes getty@tty1.service apart: the template getty@.service and the
// instance tty1; of other names the template is "".
func split(name string) (template, instance string) {
	prefix, rest, ok := strings.Cut(name, "@")
	if !ok {
		return "", ""
	}
	ext := path.Ext(rest)
	return prefix + "@" + ext, strings.TrimSuffix(rest, ext)
}

// find reads the unit called name, by whatever of its names. That there is
// none is a fault.Input error.
func find(r system.Reader, name string) (*unit, error) {
	real := name
	for range maxAliases {
		template, _ := split(real)
		file, target, err := locate(r, real)
		if err == nil && file == "" && template != "" {
			file, target, err = locate(r, template)
		}
		if err != nil {
			return nil, err
		}
		if file == "" {
			break
		}
		if other := named(real, path.Base(target)); target != "" && other != real {
			real = other
			continue
		}
		data, err := system.ReadFile(r, file, maxUnit)
		if err != nil {
			return nil, fmt.Errorf("reading unit: %w", err)
		}
		u := &unit{name: real, file: file}
		return u, u.parse(string(data))
	}
	return nil, fault.Inputf("the image has no unit %q%s", name, node.Suggest(name, units(r)))
}

// maxAliases bounds how many names lead to one unit.
const maxAliases = 8

// named is what a unit is called by the name of the file that a link to it
// points at: that name, of a template with the instance kept.
func named(name, file string) string {
	template, instance := split(file)
	if template == "" || instance != "" {
		return file
	}
	_, instance = split(name)
	return strings.Replace(file, "@", "@"+instance, 1)
}

// locate returns where a unit file is, with its target when it is a link; ""
// when there is none but a mask.
func locate(r system.Reader, name string) (file, target string, err error) {
	for _, dir := range unitDirs {
		file := path.Join(dir, name)
		info, err := r.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		masks := false
		if err == nil {
			masks, err = isMask(r, file)
		}
		if err == nil && info.Mode&fs.ModeSymlink != 0 {
			target, err = r.Readlink(file)
		}
		if err != nil {
			return "", "", fmt.Errorf("reading unit: %w", err)
		}
		if !masks {
			return file, target, nil
		}
		target = ""
	}
	return "", "", nil
}

// isMask tells whether a file masks the unit of its name: a link that leads to
// /dev/null, or an empty file (systemd.unit(5)).
func isMask(r system.Reader, file string) (bool, error) {
	info, err := r.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.Mode.IsRegular():
		return info.Size == 0, nil
	case info.Mode&fs.ModeSymlink == 0:
		return false, nil
	}
	target, err := r.Readlink(file)
	if err != nil {
		return false, err
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(file), target)
	}
	if path.Clean(target) == "/dev/null" {
		return true, nil
	}
	info, err = r.Stat(file)
	return err == nil && info.Mode.IsRegular() && info.Size == 0, nil
}

// units lists the names of all units, for suggestions.
func units(r system.Reader) []string {
	var list []string
	for _, dir := range unitDirs {
		names, err := r.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if fullName(name) == name {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// parse reads the [Install] section (systemd.unit(5), systemd.syntax(7)).
func (u *unit) parse(text string) error {
	section := ""
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("reading unit %s: it is not a text: it has a zero byte", u.file)
	}
	for _, line := range Lines(text) {
		if strings.HasPrefix(line, "[") {
			if line[len(line)-1] != ']' {
				return fmt.Errorf("reading unit %s: %q is not the head of a section, so systemd does not load it", u.file, line)
			}
			section = line
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if section != "[Install]" {
			continue
		}
		var into *[]string
		switch strings.TrimSpace(key) {
		case "WantedBy":
			into = &u.wantedBy
		case "RequiredBy":
			into = &u.requiredBy
		case "UpheldBy":
			into = &u.upheldBy
		case "Alias":
			into = &u.alias
		case "Also":
			into = &u.also
		case "DefaultInstance":
			u.defaultInstance = strings.TrimSpace(value)
			continue
		default:
			continue
		}
		words := strings.Fields(value)
		if len(words) == 0 {
			*into = nil // an empty assignment takes back the earlier ones
		}
		*into = append(*into, words...)
	}
	if template, instance := split(u.name); template != "" && instance == "" && u.defaultInstance != "" {
		u.name = strings.Replace(u.name, "@", "@"+u.defaultInstance, 1)
	}
	for _, list := range [][]string{u.wantedBy, u.requiredBy, u.upheldBy, u.alias, u.also} {
		for i := range list {
			var err error
			if list[i], err = u.expand(list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// expand fills in the specifiers that name the unit itself.
func (u *unit) expand(word string) (string, error) {
	if !strings.Contains(word, "%") {
		return word, nil
	}
	_, instance := split(u.name)
	prefix, _, _ := strings.Cut(strings.TrimSuffix(u.name, path.Ext(u.name)), "@")
	values := map[byte]string{
		'i': instance, 'p': prefix, 'n': u.name, 'N': strings.TrimSuffix(u.name, path.Ext(u.name)), '%': "%",
	}
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] != '%' {
			b.WriteByte(word[i])
			continue
		}
		if i++; i < len(word) {
			if value, ok := values[word[i]]; ok {
				b.WriteString(value)
				continue
			}
		}
		return "", fmt.Errorf("reading unit %s: specifier in %q of [Install] is not known", u.name, word)
	}
	return b.String(), nil
}

// link is one symbolic link of an enabled unit.
type link struct{ path, target string }

// links are those that enabling makes.
func (u *unit) links() ([]link, error) {
	var list []link
	add := func(dir, name string) error {
		if strings.Contains(name, "/") || strings.Contains(dir, "..") || name == "" {
			return fmt.Errorf("reading unit %s: [Install] names %q", u.name, name)
		}
		list = append(list, link{path: path.Join(configDir, dir, name), target: u.file})
		return nil
	}
	for suffix, units := range map[string][]string{".wants": u.wantedBy, ".requires": u.requiredBy, ".upholds": u.upheldBy} {
		for _, by := range units {
			if strings.Contains(by, "/") {
				return nil, fmt.Errorf("reading unit %s: [Install] names %q", u.name, by)
			}
			if err := add(by+suffix, u.name); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range u.alias {
		if name == u.name {
			continue
		}
		if err := add("", name); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b link) int { return strings.Compare(a.path, b.path) })
	return list, nil
}
