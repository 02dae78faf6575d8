// Package provisioners knows every type of resource: a desired state of one
// thing inside a system, which can check and apply itself. It reads the
// undecoded resources of recipes into these types, and writes them down for
// stage ids and for editors' schemas. It decides nothing about when they run.
package provisioners

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/system"
)

// Resource is the desired state of one thing.
type Resource interface {
	// Identity names the thing: "file /etc/motd". No two resources of a set
	// share one.
	Identity() string
	// Check lists how the system differs from the state; nothing when it does
	// not. It changes nothing.
	Check(ctx context.Context, r system.Reader) ([]system.Difference, error)
	// Apply brings the system into the state and tells whether it had to
	// change anything. Applied again, it changes nothing.
	Apply(ctx context.Context, s system.System) (bool, error)
}

// Decode reads a recipe's map of resources and returns them in the order to
// apply them: by type, then by name. vars fill files that are templates. A nil
// node has none. Errors are fault.Input and list every mistake with file, line
// and column.
func Decode(n *node.Node, vars node.Vars) ([]Resource, error) { return decode(n, vars, types()) }

func decode(n *node.Node, vars node.Vars, known []resourceType) ([]Resource, error) {
	if n == nil {
		return nil, nil
	}
	if n.Kind != node.Map {
		return nil, node.Errorf(n.Pos, "expected a map of resources, found %s", n.Kind)
	}
	p := &node.Problems{}
	var list []Resource
	var keys []string
	owner := map[string]node.Position{}
	for _, t := range known {
		keys = append(keys, t.key)
		set := n.Get(t.key)
		if set == nil {
			continue
		}
		if set.Kind != node.Map {
			p.Addf(set.Pos, "expected a map of %s by name, found %s", t.key, set.Kind)
			continue
		}
		sorted := slices.Clone(set.Entries)
		slices.SortFunc(sorted, func(a, b node.Entry) int { return strings.Compare(a.Key, b.Key) })
		for _, e := range sorted {
			if e.Value.Kind == node.Null {
				p.Addf(e.Pos, "%q is empty; write {} for a resource without settings", e.Key)
				continue
			}
			r, err := t.decode(e, vars)
			if err != nil {
				p.Add(err)
				continue
			}
			for _, path := range places(r) {
				if at, taken := owner[path]; taken {
					p.Addf(e.Pos, "%s is described already at %s", path, at)
				}
				owner[path] = e.Pos
			}
			list = append(list, &placed{Resource: r, pos: e.Pos, of: t})
		}
	}
	for _, e := range n.Entries {
		if !slices.Contains(keys, e.Key) {
			p.Addf(e.Pos, "unknown type of resource %q%s", e.Key, node.Suggest(e.Key, keys))
		}
	}
	return list, p.Err()
}

// DecodeRoot is Decode for the root that all outputs share. It refuses what would
// be lost without a word there: /etc/fstab and the boot menu are written later,
// for the disk.
func DecodeRoot(n *node.Node, vars node.Vars) ([]Resource, error) {
	list, err := Decode(n, vars)
	p := &node.Problems{}
	p.Add(err)
	for _, t := range types() {
		if t.boots && n.Get(t.key) != nil {
			p.Addf(n.At(t.key), "%q belongs to what boots: write it below boot: resources:", t.key)
		}
	}
	return list, p.Err()
}

// places are what no second resource may decide on: the paths of files, else
// the identity.
func places(r Resource) []string {
	if f, ok := r.(interface{ Paths() []string }); ok {
		return f.Paths()
	}
	return []string{r.Identity()}
}

// placed is a resource that tells where it was written when it fails, and fails
// on systems that its type knows nothing of.
type placed struct {
	Resource
	pos node.Position
	of  resourceType
}

// known refuses a system of which the type could say only by chance whether it is
// in the state.
func (p *placed) known(r system.Reader) error {
	if os := system.OSOf(r); os != system.Linux && !p.of.windows {
		return fmt.Errorf("%s: %s describe Linux, and this system is %s", p.pos, p.of.key, os)
	}
	return nil
}

func (p *placed) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := p.known(r); err != nil {
		return nil, err
	}
	list, err := p.Resource.Check(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: checking %s: %w", p.pos, p.Identity(), err)
	}
	return list, nil
}

func (p *placed) Apply(ctx context.Context, s system.System) (bool, error) {
	if err := p.known(s); err != nil {
		return false, err
	}
	changed, err := p.Resource.Apply(ctx, s)
	if err != nil {
		return changed, fmt.Errorf("%s: applying %s: %w", p.pos, p.Identity(), err)
	}
	return changed, nil
}

// Origin is where a resource was written.
func Origin(r Resource) node.Position {
	if p, ok := r.(*placed); ok {
		return p.pos
	}
	return node.Position{}
}

// Apply applies resources in order and returns the identities of those that
// had to change something.
func Apply(ctx context.Context, s system.System, resources []Resource) ([]string, error) {
	var changed []string
	for _, r := range resources {
		did, err := r.Apply(ctx, s)
		if err != nil {
			return changed, err
		}
		if did {
			changed = append(changed, r.Identity())
		}
	}
	return changed, nil
}

// Stated names the users and groups whose numbers resources state.
func Stated(resources []Resource) (users, groups []string) {
	for _, r := range resources {
		if p, ok := r.(*placed); ok {
			r = p.Resource
		}
		if s, ok := r.(interface {
			Stated() (users, groups []string)
		}); ok {
			u, g := s.Stated()
			users, groups = append(users, u...), append(groups, g...)
		}
	}
	return users, groups
}

// Packages lists the Debian packages that resources want: of each item of
// present one must be installed, the first of them where the choice is free, and
// none of absent may be.
func Packages(resources []Resource) (present [][]string, absent []string) {
	for _, r := range resources {
		if p, ok := r.(*placed); ok {
			r = p.Resource
		}
		d, ok := r.(*dpkg.Package)
		switch {
		case !ok:
		case d.Absent:
			absent = append(absent, d.Name)
		default:
			present = append(present, d.Names())
		}
	}
	return present, absent
}

// Files are the project's files that a resource takes its content from.
func Files(r Resource) []*node.File {
	if p, ok := r.(*placed); ok {
		r = p.Resource
	}
	if with, ok := r.(interface{ Files() []*node.File }); ok {
		return with.Files()
	}
	return nil
}

// Canonical encodes what a resource means, for stage ids: project files by
// their digests, templates filled in, nothing of how it was written.
func Canonical(r Resource) ([]byte, error) {
	inner := r
	if p, ok := r.(*placed); ok {
		inner = p.Resource
	}
	out := struct {
		Identity string   `json:"identity"`
		State    Resource `json:"state"`
		Inputs   any      `json:"inputs,omitempty"`
	}{Identity: r.Identity(), State: inner}
	if with, ok := inner.(interface{ Inputs() any }); ok {
		out.Inputs = with.Inputs()
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", r.Identity(), err)
	}
	return data, nil
}
