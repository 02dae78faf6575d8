package service

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// The further states that a listed unit may have, as systemctl(1) is-enabled
// calls them.
const (
	// static is a unit that nothing can enable: others pull it in.
	static = "static"
	// indirect is a unit that enables others in its place.
	indirect = "indirect"
	// linked is a unit whose file lies elsewhere.
	linked = "linked"
)

// maxUnits bounds the units of a system, and the links to them.
const maxUnits = 50_000

// Listed is a unit and whether it starts by itself. What runtime generators
// make, such as mounts of fstab(5), is not listed.
type Listed struct {
	Name string `json:"name"`
	// State is enabled, disabled, masked, static, indirect or linked.
	State string `json:"state"`
	// By are the units that it is enabled for, "multi-user.target", after
	// "requires" or "upholds" where it is not wanted alone, and its further
	// names after "alias". Sorted.
	By []string `json:"by,omitempty"`
	// File is the unit file, relative to the root; of a script of init(8) that
	// has no unit it is the script.
	File string `json:"file,omitempty"`
	// Shipped says that a package masks it.
	Shipped bool `json:"shipped,omitempty"`
}

// On tells whether the unit starts by itself.
func (l Listed) On() bool { return l.State == enabled }

// PulledIn tells whether the unit starts when others want it, and only then.
func (l Listed) PulledIn() bool { return l.State == static || l.State == indirect }

// Chosen tells whether somebody decided that the unit starts by itself, or must
// not start.
func (l Listed) Chosen() bool {
	return l.State == enabled || l.State == linked || l.State == masked && !l.Shipped
}

// List reads the units of a system, sorted by name, by its files alone. Aliases
// that packages bring are left out, and so are templates without an instance.
func List(r system.Reader) ([]Listed, error) {
	l := &lister{reader: r, files: map[string]string{}, masked: map[string]bool{}, by: map[string][]string{}, elsewhere: map[string]bool{}, shipped: map[string]bool{}}
	for _, dir := range unitDirs {
		if err := l.directory(dir); err != nil {
			return nil, fmt.Errorf("listing units: %w", err)
		}
	}
	if err := l.enablements(); err != nil {
		return nil, fmt.Errorf("listing units: %w", err)
	}
	list, err := l.units()
	if err != nil {
		return nil, fmt.Errorf("listing units: %w", err)
	}
	scripts, err := l.scripts()
	if err != nil {
		return nil, fmt.Errorf("listing scripts of init: %w", err)
	}
	list = append(list, scripts...)
	slices.SortFunc(list, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// lister gathers by name.
type lister struct {
	reader system.Reader
	// files are where units are defined, in the first directory that has them.
	files map[string]string
	// masked are those whose definition does not count; elsewhere those whose
	// definition is outside the directories.
	masked, elsewhere map[string]bool
	// shipped are those that are masked outside of /etc.
	shipped map[string]bool
	by      map[string][]string
	count   int
}

// isUnit tells names of units from others.
func isUnit(name string) bool { return fullName(name) == name && unitName.MatchString(name) }

func (l *lister) directory(dir string) error {
	if info, err := l.reader.Lstat(path.Dir(path.Dir(dir))); err == nil && info.Mode&fs.ModeSymlink != 0 {
		return nil // /lib of a merged /usr
	}
	names, err := system.Names(l.reader, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isUnit(name) || l.files[name] != "" {
			continue
		}
		if l.count++; l.count > maxUnits {
			return fmt.Errorf("more than %d", maxUnits)
		}
		file := path.Join(dir, name)
		info, err := l.reader.Lstat(file)
		if err != nil {
			return err
		}
		switch {
		case info.Mode.IsRegular() && info.Size == 0:
			l.mask(dir, name)
		case info.Mode.IsRegular():
			l.files[name] = file
		case info.Mode&fs.ModeSymlink != 0:
			if err := l.link(dir, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lister) mask(dir, name string) {
	if !l.masked[name] {
		l.masked[name], l.shipped[name] = true, dir != configDir
	}
}

// link takes a link in a directory of units: a mask, another name of a unit, or
// the way to a file elsewhere.
func (l *lister) link(dir, name string) error {
	file := path.Join(dir, name)
	target, err := l.reader.Readlink(file)
	if err != nil {
		return err
	}
	if !path.IsAbs(target) {
		target = path.Join(dir, target)
	}
	switch {
	case target == "/dev/null":
		l.mask(dir, name)
	case path.Base(target) != name:
		if dir == configDir {
			real := named(name, path.Base(target))
			l.by[real] = append(l.by[real], "alias "+name)
		}
	case !slices.Contains(unitDirs, path.Dir(target)):
		l.elsewhere[name], l.files[name] = true, target
	}
	return nil
}

// enablements reads the links in other units' directories.
func (l *lister) enablements() error {
	names, err := system.Names(l.reader, configDir)
	if err != nil {
		return err
	}
	for _, dir := range names {
		kind := path.Ext(dir)
		by := strings.TrimSuffix(dir, kind)
		switch kind {
		case ".wants":
		case ".requires", ".upholds":
			by = kind[1:] + " " + by
		default:
			continue
		}
		inside, err := l.reader.ReadDir(path.Join(configDir, dir))
		if err != nil {
			continue // a file of that name is no directory of links
		}
		for _, name := range inside {
			if l.count++; l.count > maxUnits {
				return fmt.Errorf("more than %d", maxUnits)
			}
			if info, err := l.reader.Lstat(path.Join(configDir, dir, name)); err == nil && info.Mode&fs.ModeSymlink != 0 && isUnit(name) {
				l.by[name] = append(l.by[name], by)
			}
		}
	}
	return nil
}

func (l *lister) units() ([]Listed, error) {
	names := map[string]bool{}
	for name := range l.files {
		names[name] = true
	}
	for name := range l.masked {
		names[name] = true
	}
	for name := range l.by {
		names[name] = true
	}
	var list []Listed
	for name := range names {
		u := Listed{Name: name, File: strings.TrimPrefix(l.files[name], "/"), By: l.by[name], Shipped: l.shipped[name]}
		template, instance := split(name)
		if u.File == "" && template != "" && instance != "" {
			u.File = strings.TrimPrefix(l.files[template], "/")
		}
		slices.Sort(u.By)
		u.By = slices.Compact(u.By)
		switch {
		case l.masked[name]:
			u.State = masked
		case len(u.By) > 0 && u.File != "":
			u.State = enabled
		case u.File == "" || template != "" && instance == "":
			continue // a link to nothing, or what has no life of its own
		case l.elsewhere[name]:
			u.State = linked
		default:
			state, err := l.installable(l.files[name])
			if err != nil {
				return nil, err
			}
			u.State = state
		}
		list = append(list, u)
	}
	return list, nil
}

// installable is the state of a unit that nothing enables, by its [Install]
// section.
func (l *lister) installable(file string) (string, error) {
	text, err := system.ReadFile(l.reader, file, maxUnit)
	if err != nil {
		return "", err
	}
	section, state := "", static
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, ok := strings.Cut(line, "=")
		if section != "[Install]" || !ok || strings.TrimSpace(value) == "" {
			continue
		}
		switch strings.TrimSpace(key) {
		case "WantedBy", "RequiredBy", "UpheldBy", "Alias":
			return disabled, nil
		case "Also":
			state = indirect
		}
	}
	return state, nil
}

// initDirs hold the links that start scripts of init(8) in the runlevels of a
// server; systemd-sysv-generator(8) makes units of those that have none.
var initDirs = []string{"/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"}

func (l *lister) scripts() ([]Listed, error) {
	by := map[string][]string{}
	for _, dir := range initDirs {
		names, err := system.Names(l.reader, dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if len(name) < 4 || name[0] != 'S' || strings.Trim(name[1:3], "0123456789") != "" || !isUnit(name[3:]+".service") {
				continue
			}
			if l.count++; l.count > maxUnits {
				return nil, fmt.Errorf("more than %d", maxUnits)
			}
			unit := name[3:] + ".service"
			if l.files[unit] != "" || l.masked[unit] || len(l.by[unit]) > 0 || l.alias(unit) {
				continue
			}
			if info, err := l.reader.Stat("/etc/init.d/" + name[3:]); err == nil && info.Mode.IsRegular() {
				by[name[3:]] = append(by[name[3:]], path.Base(dir))
			}
		}
	}
	var list []Listed
	for name, dirs := range by {
		list = append(list, Listed{Name: name, State: enabled, By: dirs, File: "etc/init.d/" + name})
	}
	return list, nil
}

// alias tells whether a name is another unit's further one.
func (l *lister) alias(name string) bool {
	for _, dir := range unitDirs {
		if _, err := l.reader.Readlink(path.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}
