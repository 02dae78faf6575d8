package service

import (
	"context"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// unitName is systemd.unit(5)'s, without the escapes that nobody writes by hand.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?$`)

// The states.
const (
	enabled  = "enabled"
	disabled = "disabled"
	masked   = "masked"
)

// Service is whether a systemd unit starts by itself.
//
// Enabled makes the links that the unit's [Install] section asks for. Disabled
// removes all links to it and leaves a preset, so that nothing that applies
// presets enables it again: a first boot with a machine-id of "uninitialized"
// or a package's scripts. (An empty /etc/machine-id, which images have, applies
// none; machine-id(5), "First boot semantics".) Masked makes it impossible to
// start, whether the unit exists or not.
type Service struct {
	Unit  string `json:"-"`
	State string `json:"state" jsonschema:"required,enum=enabled,enum=disabled,enum=masked"`
}

// New decodes the unit called e.Key, a service unless the name says otherwise;
// a text is its state.
func New(e node.Entry) (*Service, error) {
	value := e.Value
	if value.Kind == node.String {
		value = term.Under("state", value)
	}
	s := &Service{Unit: fullName(e.Key)}
	p := &node.Problems{}
	p.Add(node.Decode(value, s))
	template, instance := split(s.Unit)
	switch {
	case !unitName.MatchString(e.Key) || len(e.Key) > 255:
		p.Addf(e.Pos, "%q is not the name of a unit", e.Key)
	case template != "" && instance == "" && s.State == masked:
		p.Addf(e.Pos, "%q is a template; mask its instances", e.Key)
	}
	return s, p.Err()
}

// Identity is the unit's.
func (s *Service) Identity() string { return "service " + s.Unit }

// plan is what has to change for the unit to be in its state.
type plan struct {
	differences []system.Difference
	remove      []string
	link        []link
	preset      bool
	// refusal is why it cannot be brought about, nil when it can.
	refusal error
}

// preset is the file that keeps a unit disabled.
func preset(unit string) string { return "/etc/systemd/system-preset/00-" + unit + ".preset" }

// kept tells whether another resource keeps a unit disabled or masked.
func kept(r system.Reader, unit string) bool {
	if _, err := r.Lstat(preset(unit)); err == nil {
		return true
	}
	is, err := isMask(r, path.Join(configDir, unit))
	return err == nil && is
}

// line is what the preset says.
func (s *Service) line() string { return "disable " + s.Unit + "\n" }

func (s *Service) plan(ctx context.Context, r system.Reader) (*plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &plan{}
	// A preset is in the way of every state but one.
	file := preset(s.Unit)
	have, there, err := system.ReadText(r, file, maxUnit)
	switch {
	case err != nil:
		return nil, err
	case s.State == disabled && have != s.line():
		p.preset = true
		p.differ(file, "absent or different", "there")
	case s.State != disabled && there:
		p.remove = append(p.remove, file)
		p.differ(file, "there", "absent")
	}
	mask := path.Join(configDir, s.Unit)
	isMasked, err := isMask(r, mask)
	switch {
	case err != nil:
		return nil, err
	case s.State == masked && !isMasked:
		p.link = append(p.link, link{path: mask, target: "/dev/null"})
		p.differ(mask, "no link to /dev/null", "one")
		if info, err := r.Lstat(mask); err == nil && info.Mode&fs.ModeSymlink == 0 {
			p.refusal = fault.Failedf("masking %s: a unit file is in the link's place, %s", s.Unit, mask).
				WithHint("remove it by an entry of the recipe's files, or disable the unit")
		}
	case s.State != masked && isMasked:
		p.remove = append(p.remove, mask)
		p.differ(mask, "masked", "not masked")
	}
	switch s.State {
	case enabled:
		return p, p.enable(r, s.Unit, map[string]bool{})
	case disabled:
		return p, p.disable(r, s.Unit)
	}
	return p, nil
}

func (p *plan) differ(subject, have, want string) {
	p.differences = append(p.differences, system.Difference{Subject: subject, Have: have, Want: want})
}

// enable asks for the links of a unit and of those it names in Also=.
func (p *plan) enable(r system.Reader, name string, seen map[string]bool) error {
	if seen[name] {
		return nil
	}
	seen[name] = true
	u, err := find(r, name)
	if err != nil {
		return err
	}
	links, err := u.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		target, err := r.Readlink(l.path)
		if err == nil && (path.Base(target) == path.Base(l.target) || path.Base(target) == u.name) {
			continue
		}
		p.link = append(p.link, l)
		p.differ(l.path, "absent or different", "a link to "+l.target)
	}
	for _, other := range u.also {
		if _, err := find(r, other); err != nil || kept(r, other) {
			continue // not installed, as systemctl has it, or disabled on purpose
		}
		if err := p.enable(r, other, seen); err != nil {
			return err
		}
	}
	return nil
}

// disable finds the links that enable a unit, whoever made them: those of its
// name in other units' directories, and other names that point at it.
func (p *plan) disable(r system.Reader, name string) error {
	real := name
	if u, err := find(r, name); err == nil {
		real = u.name
	}
	template, instance := split(real)
	names, err := system.Names(r, configDir)
	if err != nil {
		return err
	}
	mine := func(link, target string) bool {
		if link == real || link == name {
			return true
		}
		// Disabling a template disables its instances.
		t, _ := split(link)
		return template != "" && instance == "" && t == template && target != "/dev/null"
	}
	for _, entry := range names {
		full := path.Join(configDir, entry)
		switch path.Ext(entry) {
		case ".wants", ".requires", ".upholds":
			inside, err := r.ReadDir(full)
			if err != nil {
				continue // a file of that name is no directory of links
			}
			for _, l := range inside {
				target, err := r.Readlink(path.Join(full, l))
				if err == nil && mine(l, target) {
					p.drop(path.Join(full, l))
				}
			}
		default:
			target, err := r.Readlink(full)
			if err == nil && target != "/dev/null" && path.Base(target) == real && entry != real {
				p.drop(full)
			}
		}
	}
	return nil
}

func (p *plan) drop(name string) {
	if !slices.Contains(p.remove, name) {
		p.remove = append(p.remove, name)
		p.differ(name, "there", "absent")
	}
}

// Check tells how the unit's state differs.
func (s *Service) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	p, err := s.plan(ctx, r)
	if fault.KindOf(err) == fault.Input { // there is no such unit
		return []system.Difference{{Subject: s.Unit, Have: "absent", Want: s.State}}, nil
	}
	if err != nil {
		return nil, err
	}
	return p.differences, nil
}

// Apply brings the unit into its state.
func (s *Service) Apply(ctx context.Context, sys system.System) (bool, error) {
	p, err := s.plan(ctx, sys)
	if err == nil {
		err = p.refusal
	}
	if err != nil || len(p.differences) == 0 {
		return false, err
	}
	for _, name := range p.remove {
		if err := sys.Remove(name); err != nil {
			return false, err
		}
	}
	for _, l := range p.link {
		if err := system.MkdirAll(sys, path.Dir(l.path)); err != nil {
			return false, err
		}
		if err := sys.Symlink(l.target, l.path); err != nil {
			return false, err
		}
	}
	if p.preset {
		name := preset(s.Unit)
		if err := system.Replace(sys, name, s.line(), 0o644); err != nil {
			return false, err
		}
	}
	return true, nil
}
