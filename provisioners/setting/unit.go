package setting

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// unitDirs are where unit files and their drop-ins are, first come first;
// systemd.unit(5), "Unit File Load Path".
var unitDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early",
	"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
}

// dropIn is the file that holds what is asked of a unit, whoever asks.
const dropIn = "imgbuild.conf"

// unitName is systemd.unit(5)'s, without the escapes that nobody writes by hand.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|timer|target|path|mount|automount|swap|slice|scope)$`)

// Unit is values of settings of one systemd unit, by section and key:
// Service.NoNewPrivileges. They are read from the unit's file and its drop-ins
// and written to a drop-in, imgbuild.conf, that all such resources share. A
// masked unit never runs and meets every state.
type Unit struct {
	Name     string               `json:"-"`
	Settings map[string]term.Term `json:"settings"`
}

// NewUnit decodes the unit called e.Key; its keys are settings.
func NewUnit(e node.Entry) (*Unit, error) {
	u := &Unit{Name: e.Key}
	p := &node.Problems{}
	if !unitName.MatchString(e.Key) || len(e.Key) > 255 {
		p.Addf(e.Pos, "expected the name of a unit such as nginx.service, found %q", e.Key)
	}
	if e.Value.Kind == node.Map && len(e.Value.Entries) == 0 {
		p.Addf(e.Pos, "%q asks for nothing; expected settings such as Service.NoNewPrivileges", e.Key)
	}
	if err := node.Decode(e.Value, &u.Settings); err != nil {
		p.Add(err)
		return nil, p.Err()
	}
	for _, one := range e.Value.Entries {
		if !iniKey.MatchString(one.Key) || len(one.Key) > 255 {
			p.Addf(one.Pos, "expected a section and a key such as Service.NoNewPrivileges, found %q", one.Key)
		}
		t := u.Settings[one.Key]
		p.Add(checkValue(one.Value, &t.Bounds, ini{measure: measureOf(one.Key)}, one.Key))
	}
	return u, p.Err()
}

// Identity is the unit's.
func (u *Unit) Identity() string { return "unit " + u.Name }

// unitFile is what systemd finds by a unit's name.
type unitFile struct {
	// names are the unit's own name, then its aliases.
	names []string
	// file is where it is, "" of a masked unit.
	file string
}

// maxAliases bounds how many names lead to one unit.
const maxAliases = 8

// findUnit follows a unit's aliases to its file.
func findUnit(r system.Reader, name string) (*unitFile, error) {
	u := &unitFile{names: []string{name}}
	for range maxAliases {
		file, err := locate(r, u.names[0])
		if template := templateOf(u.names[0]); err == nil && file == "" && template != "" {
			file, err = locate(r, template)
		}
		switch {
		case err != nil:
			return nil, err
		case file == "":
			return nil, fault.Inputf("the system has no unit %q%s", name, node.Suggest(name, unitNames(r)))
		}
		info, err := r.Lstat(file)
		if err != nil {
			return nil, err
		}
		if masks(r, file) || info.Mode.IsRegular() && info.Size == 0 {
			return u, nil
		}
		if info.Mode&fs.ModeSymlink != 0 {
			target, err := r.Readlink(file)
			if err != nil {
				return nil, err
			}
			other := named(u.names[0], path.Base(target))
			if unitName.MatchString(other) && other != u.names[0] && path.Base(file) != other {
				u.names = append([]string{other}, u.names...)
				continue
			}
		}
		u.file = file
		return u, u.addAliases(r)
	}
	return nil, fault.Inputf("more than %d names lead to the unit %q", maxAliases, name)
}

// addAliases adds the other names that lead to the unit: their drop-ins are its
// own as well.
func (u *unitFile) addAliases(r system.Reader) error {
	for _, dir := range unitDirs {
		names, err := system.Names(r, dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !unitName.MatchString(name) || slices.Contains(u.names, name) {
				continue
			}
			target, err := r.Readlink(path.Join(dir, name))
			if err == nil && slices.Contains(u.names, path.Base(target)) {
				u.names = append(u.names, name)
			}
		}
	}
	return nil
}

func locate(r system.Reader, name string) (string, error) {
	for _, dir := range unitDirs {
		file := path.Join(dir, name)
		if _, err := r.Lstat(file); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

// templateOf is getty@.service of getty@tty1.service, "" of other names.
func templateOf(name string) string {
	prefix, rest, ok := strings.Cut(name, "@")
	if ext := path.Ext(name); ok && rest != ext {
		return prefix + "@" + ext
	}
	return ""
}

// named is what a unit is called by the name of the file that a link to it
// points at: that name, of a template with the unit's own instance.
func named(unit, file string) string {
	before, after, isTemplate := strings.Cut(file, "@.")
	_, instance, isInstance := strings.Cut(strings.TrimSuffix(unit, path.Ext(unit)), "@")
	if !isTemplate || !isInstance {
		return file
	}
	return before + "@" + instance + "." + after
}

// unitNames lists all units, for suggestions.
func unitNames(r system.Reader) []string {
	var list []string
	for _, dir := range unitDirs {
		names, err := r.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if unitName.MatchString(name) {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// dropInDirs are the directories of a unit's drop-ins, those that hide others
// first: of each name its own, those of its prefixes that end in a dash, its
// template's, each in every place; of the type at last. systemd.unit(5).
func (u *unitFile) dropInDirs() []string {
	var list []string
	ext := path.Ext(u.names[0])
	for _, name := range u.names {
		of := prefixes(name)
		if template := templateOf(name); template != "" {
			of = append(of, prefixes(template)...)
		}
		for _, dir := range unitDirs {
			for _, one := range of {
				list = append(list, path.Join(dir, one+".d"))
			}
		}
	}
	for _, dir := range unitDirs {
		list = append(list, path.Join(dir, ext[1:]+".d"))
	}
	return list
}

// prefixes are the names that drop-ins of a unit are filed under: of
// a-b.service itself and a-.service.
func prefixes(name string) []string {
	ext := path.Ext(name)
	base, instance, isInstance := strings.Cut(strings.TrimSuffix(name, ext), "@")
	list := []string{name}
	base = strings.TrimSuffix(base, "-")
	for {
		i := strings.LastIndexByte(base, '-')
		if i <= 0 {
			return list
		}
		short := base[:i+1]
		if isInstance {
			short += "@" + instance
		}
		list = append(list, short+ext)
		base = strings.TrimRight(base[:i], "-")
	}
}

// states are what is asked, by key; none of a masked unit.
func (u *Unit) states(r system.Reader) ([]*state, error) {
	found, err := findUnit(r, u.Name)
	if err != nil || found.file == "" {
		return nil, err
	}
	read := func(r system.Reader) ([]source, error) {
		drops, err := dropIns(r, found.dropInDirs())
		if err != nil {
			return nil, err
		}
		return parseAll(r, append([]string{found.file}, drops...), ini{})
	}
	var list []*state
	for _, key := range slices.Sorted(maps.Keys(u.Settings)) {
		bounds := u.Settings[key].Bounds
		list = append(list, &state{
			grammar: ini{measure: measureOf(key)}, key: key, bounds: &bounds, read: read, make: true,
			target: path.Join("/etc/systemd/system", found.names[0]+".d", dropIn),
		})
	}
	return list, nil
}

// Check tells which settings differ.
func (u *Unit) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	states, err := u.states(r)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, s := range states {
		found, err := s.differences(r)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// Apply writes the settings that differ to the unit's drop-in.
func (u *Unit) Apply(ctx context.Context, sys system.System) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	states, err := u.states(sys)
	if err != nil {
		return false, err
	}
	d := edit.New(sys)
	for _, s := range states {
		if err := s.revise(d); err != nil {
			return false, err
		}
	}
	return d.Save(sys)
}
