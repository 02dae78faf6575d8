package dpkg

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// packageName is Debian Policy's, 5.6.1.
var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}$`)

// Package is whether a Debian package is installed. Present, it is configured
// as well, or one of Or is. Absent, nothing of it is there but perhaps its
// configuration.
type Package struct {
	Name    string   `json:"-"`
	Present bool     `json:"present,omitempty" jsonschema_description:"the package must be installed"`
	Absent  bool     `json:"absent,omitempty" jsonschema_description:"the package must not be there; its configuration may be left"`
	Or      []string `json:"or,omitempty" jsonschema_description:"packages of which one serves as well as this one"`
}

// New decodes the package called e.Key; a text is its state.
func New(e node.Entry) (*Package, error) {
	states := []string{"present", "absent"}
	if e.Value.Kind == node.String && !slices.Contains(states, e.Value.Text) {
		return nil, node.Errorf(e.Value.Pos, "unknown state %q of a package%s", e.Value.Text, node.Suggest(e.Value.Text, states))
	}
	value, p := term.Short(e.Value, states...), &node.Problems{}
	d := &Package{Name: e.Key}
	decoding := node.Decode(value, d)
	p.Add(decoding)
	if decoding == nil && d.Present == d.Absent {
		p.Addf(value.Pos, `package %s: expected exactly one of "present" and "absent"`, e.Key)
	}
	if d.Absent && len(d.Or) > 0 {
		p.Addf(value.At("or"), `"or" goes with "present"; write one entry for each package that must be absent`)
	}
	for _, name := range append([]string{e.Key}, d.Or...) {
		if !packageName.MatchString(name) {
			p.Addf(e.Pos, "%q is not the name of a package", name)
		}
	}
	return d, p.Err()
}

// Identity is the package's.
func (d *Package) Identity() string { return "package " + d.Name }

// Names are the packages of which one must be there, the preferred one first;
// of an absent one it is the one that must not be.
func (d *Package) Names() []string { return append([]string{d.Name}, d.Or...) }

// Check tells whether dpkg's database has the package in its state.
func (d *Package) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	states, err := read(r)
	if err != nil {
		return nil, err
	}
	state, known := states[d.Name]
	if !known {
		state = "not installed"
	}
	difference := []system.Difference{{Subject: "package " + d.Name, Have: state, Want: "not installed"}}
	if d.Absent {
		if !known || gone(state) {
			return nil, nil
		}
		return difference, nil
	}
	for _, name := range d.Names() {
		if installed(states[name]) {
			return nil, nil
		}
	}
	difference[0].Want = "installed"
	if len(d.Or) > 0 {
		difference[0].Want += ", or " + strings.Join(d.Or, " or ")
	}
	return difference, nil
}

// Apply cannot install or remove what the lock decides on: where the system
// differs, it says which list of the recipe to change.
func (d *Package) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := d.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	if d.Absent {
		return false, fault.Inputf("%s", differences[0]).
			WithHint("take %s, or what depends on it, out of the recipe's packages: (remove: packages: for what a parent lists), then make the lock again", d.Name)
	}
	return false, fault.Inputf("%s", differences[0]).
		WithHint("add %s to the recipe's packages: (boot: packages: for what only a machine needs), then make the lock again", d.Name)
}
