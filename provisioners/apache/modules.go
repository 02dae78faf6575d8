package apache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// Where Debian's modules are, and where a2enmod(8) notes what an administrator
// decided, so that a package's scripts do not decide otherwise later.
const (
	modsAvailable = "/etc/apache2/mods-available"
	modsEnabled   = "/etc/apache2/mods-enabled"
	decisions     = "/var/lib/apache2/module"
)

// maxLoad bounds a module's .load file, in bytes.
const maxLoad = 64 << 10

// Module is whether one of Debian's modules of httpd is enabled: the links in
// mods-enabled that a2enmod and a2dismod make. Enabling enables what the module
// depends on as well; disabling disables what depends on it.
type Module struct {
	Name  string `json:"-"`
	State string `json:"state" jsonschema:"required,enum=enabled,enum=disabled"`
}

var moduleName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.+-]*$`)

// NewModule decodes the module called e.Key; a text is its state.
func NewModule(e node.Entry) (*Module, error) {
	value := e.Value
	if value.Kind == node.String {
		value = term.Under("state", value)
	}
	m := &Module{Name: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(value, m))
	if !moduleName.MatchString(e.Key) || len(e.Key) > 100 {
		p.Addf(e.Pos, "%q is not the name of a module of apache; names are those of /etc/apache2/mods-available", e.Key)
	}
	return m, p.Err()
}

// Identity is the module's.
func (m *Module) Identity() string { return "apache module " + m.Name }

// change is one link or note to be made or removed.
type change struct {
	path   string
	target string // of a link
	note   bool
	remove bool
}

// Check tells which links differ.
func (m *Module) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	changes, err := m.changes(ctx, r)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, c := range changes {
		if strings.HasPrefix(c.path, decisions) {
			continue
		}
		d := system.Difference{Subject: c.path, Have: "absent or different", Want: "a link to " + c.target}
		if c.remove {
			d.Have, d.Want = "there", "absent"
		}
		list = append(list, d)
	}
	if m.State == "disabled" && len(list) == 0 {
		return m.elsewhere(r)
	}
	return list, nil
}

// elsewhere tells where a module is loaded that no link enables.
func (m *Module) elsewhere(r system.Reader) ([]system.Difference, error) {
	if _, err := r.Stat(mainFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	config, err := Read(r, mainFile, nil)
	if err != nil {
		return nil, fmt.Errorf("looking where apache's module %s is loaded: %w", m.Name, err)
	}
	for _, l := range config.levels() {
		for _, d := range l.section.Block {
			if d.Is("LoadModule") && len(d.Args) == 2 && d.Args[0] == m.Name+"_module" {
				at := fmt.Sprintf("%s:%d: LoadModule %s", d.File, d.Line, d.Args[0])
				return []system.Difference{{Subject: at, Have: "there", Want: "absent"}}, nil
			}
		}
	}
	return nil, nil
}

// Apply makes and removes the links.
func (m *Module) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := m.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	changes, err := m.changes(ctx, s)
	if err != nil {
		return false, err
	}
	if len(changes) == 0 {
		return false, fault.Failedf("disabling apache's module %s: %s", m.Name, differences[0]).
			WithHint("take that line out by an entry of the recipe's lines")
	}
	for _, c := range changes {
		if c.remove {
			if err := s.Remove(c.path); err != nil {
				return false, err
			}
			continue
		}
		if err := system.MkdirAll(s, path.Dir(c.path)); err != nil {
			return false, err
		}
		if c.note {
			err = s.WriteFile(c.path, strings.NewReader(""), system.Attr{Mode: 0o644})
		} else {
			err = s.Symlink(c.target, c.path)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

func (m *Module) changes(ctx context.Context, r system.Reader) ([]change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var list []change
	if slices.Contains(static, m.Name) {
		if m.State == "disabled" {
			return nil, fault.Inputf("apache's module %s cannot be disabled: it is built into Debian's httpd", m.Name)
		}
		return nil, nil
	}
	if m.State == "disabled" {
		err := disableModule(r, m.Name, map[string]bool{}, &list)
		return list, err
	}
	err := enableModule(r, m.Name, map[string]bool{}, &list)
	return list, err
}

// disableModule lists the links of a module, whatever they lead to, and before
// them those of the enabled modules that depend on it.
func disableModule(r system.Reader, name string, seen map[string]bool, list *[]change) error {
	if seen[name] {
		return nil
	}
	if seen[name] = true; len(seen) > 200 {
		return fmt.Errorf("disabling apache's module %s: more than 200 others depend on it", name)
	}
	var links []change
	for _, ext := range []string{".conf", ".load"} {
		at := path.Join(modsEnabled, name+ext)
		_, err := r.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		links = append(links, change{path: at, remove: true})
	}
	if len(links) == 0 {
		return nil
	}
	names, err := r.ReadDir(modsEnabled)
	if err != nil {
		return err
	}
	for _, entry := range names {
		other, isLoad := strings.CutSuffix(entry, ".load")
		if !isLoad {
			continue
		}
		needs, _, err := relations(r, path.Join(modsEnabled, entry))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if slices.Contains(needs, name) {
			if err := disableModule(r, other, seen, list); err != nil {
				return err
			}
		}
	}
	*list = append(append(*list, links...), decided(name, "disabled")...)
	return nil
}

// decided are the changes of a2enmod's notes: the one of the decision stays.
func decided(name, state string) []change {
	var list []change
	for _, kind := range []string{"enabled_by_admin", "enabled_by_maint", "disabled_by_admin", "disabled_by_maint"} {
		note := path.Join(decisions, kind, name)
		if kind == state+"_by_admin" {
			list = append(list, change{path: note, note: true})
		} else {
			list = append(list, change{path: note, remove: true})
		}
	}
	return list
}

// enableModule lists the links of a module and of what it depends on.
func enableModule(r system.Reader, name string, seen map[string]bool, list *[]change) error {
	if seen[name] {
		return nil
	}
	if seen[name] = true; len(seen) > 100 {
		return fmt.Errorf("enabling apache's module %s: it depends on more than 100 others", name)
	}
	load := path.Join(modsAvailable, name+".load")
	needs, conflicts, err := relations(r, load)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Inputf("the image has no module %q of apache%s", name, node.Suggest(name, modules(r)))
	}
	if err != nil {
		return err
	}
	for _, other := range conflicts {
		if _, err := r.Lstat(path.Join(modsEnabled, other+".load")); err == nil {
			return fault.Inputf("apache's module %s cannot be enabled: it conflicts with %s, which is", name, other).
				WithHint("disable it: resources: {apache-modules: {%s: disabled}}", other)
		}
	}
	for _, other := range needs {
		if err := enableModule(r, other, seen, list); err != nil {
			return err
		}
	}
	found := false
	for _, ext := range []string{".conf", ".load"} {
		if _, err := r.Stat(path.Join(modsAvailable, name+ext)); err != nil {
			continue
		}
		at, target := path.Join(modsEnabled, name+ext), "../mods-available/"+name+ext
		have, err := r.Readlink(at)
		if err == nil && path.Join(modsEnabled, have) == path.Join(modsAvailable, name+ext) || err == nil && have == path.Join(modsAvailable, name+ext) {
			continue
		}
		*list = append(*list, change{path: at, target: target})
		found = true
	}
	if found {
		*list = append(*list, decided(name, "enabled")...)
	}
	return nil
}

// relations reads the comments "# Depends: a b" and "# Conflicts: c" of a
// .load file, which a2enmod goes by.
func relations(r system.Reader, file string) (needs, conflicts []string, err error) {
	data, err := system.ReadFile(r, file, maxLoad)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		comment, isComment := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !isComment {
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(comment), ":")
		switch strings.ToLower(key) {
		case "depends":
			needs = append(needs, fields(value)...)
		case "conflicts":
			conflicts = append(conflicts, fields(value)...)
		}
	}
	for _, name := range slices.Concat(needs, conflicts) {
		if !moduleName.MatchString(name) {
			return nil, nil, fmt.Errorf("reading %s: %q is not the name of a module", file, name)
		}
	}
	return needs, conflicts, nil
}

func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\r' })
}

// modules lists the names of all modules, for suggestions.
func modules(r system.Reader) []string {
	names, err := r.ReadDir(modsAvailable)
	if err != nil {
		return nil
	}
	var list []string
	for _, name := range names {
		if module, isLoad := strings.CutSuffix(name, ".load"); isLoad {
			list = append(list, module)
		}
	}
	return list
}
