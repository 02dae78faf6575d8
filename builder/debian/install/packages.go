package install

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/deb822"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// pkg is one package of the layer.
type pkg struct {
	*deb.Unpacked
	locked    updates.Package
	paragraph *deb822.Paragraph
	replaces  []deb822.Relation
	// id names it in dpkg's database: the name, with the architecture where
	// several may be installed side by side.
	id string
	// essential packages work when only unpacked (Debian policy, 3.8); so
	// must all that they depend on.
	essential           bool
	preDepends, depends []*pkg
	// conffiles are paths without the leading slash, in the file's order.
	conffiles []conffile

	// inPlace unpacks conffiles under their own names instead of leaving
	// that to dpkg.
	inPlace bool
	// unpacked and configured say how far it is.
	unpacked, configured bool
	// elided are the paths that belong to another package in the end.
	elided map[string]bool
}

type conffile struct {
	path string
	// removed is true for one that an upgrade takes away (deb-conffiles(5),
	// remove-on-upgrade): it is not in the package.
	removed bool
}

func (p *pkg) has(script string) bool { _, ok := p.Control[script]; return ok }

func (p *pkg) isConffile(path string) bool {
	for i := range p.conffiles {
		if p.conffiles[i].path == path && !p.conffiles[i].removed {
			return true
		}
	}
	return false
}

// load opens all packages, in parallel, and puts them in order.
func load(ctx context.Context, o Options) ([]*pkg, error) {
	packages := make([]*pkg, len(o.Packages))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, locked := range o.Packages {
		g.Go(func() error {
			p, err := loadOne(ctx, o, locked)
			packages[i] = p
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(packages, func(a, b *pkg) int {
		return cmp.Or(cmp.Compare(a.locked.Name, b.locked.Name), cmp.Compare(a.locked.Architecture, b.locked.Architecture))
	})
	for i := 1; i < len(packages); i++ {
		if packages[i].id == packages[i-1].id {
			return nil, fault.Inputf("package %s is twice in a layer", packages[i].id)
		}
	}
	if err := link(packages); err != nil {
		return nil, err
	}
	return order(packages), nil
}

func loadOne(ctx context.Context, o Options, locked updates.Package) (*pkg, error) {
	unpacked, err := o.Unpacked.Open(ctx, locked.SHA256, o.Archive.Path(locked.SHA256))
	if err != nil {
		return nil, fmt.Errorf("opening package %s: %w", locked.Name, err)
	}
	paragraph, err := deb822.Parse(string(unpacked.Control["control"].Data))
	if err != nil {
		return nil, fmt.Errorf("reading control file of package %s: %w", locked.Name, err)
	}
	p := &pkg{Unpacked: unpacked, locked: locked, paragraph: paragraph, id: locked.Name, elided: map[string]bool{}}
	name, version, arch := paragraph.Get("Package"), paragraph.Get("Version"), paragraph.Get("Architecture")
	if name != locked.Name || version != locked.Version || arch != locked.Architecture {
		return nil, fault.Worldf("the file locked as package %s %s %s is %s %s %s", locked.Name, locked.Version, locked.Architecture, name, version, arch)
	}
	if paragraph.Get("Multi-Arch") == "same" {
		p.id += ":" + arch
	}
	p.essential = paragraph.Get("Essential") == "yes"
	for line := range strings.Lines(string(p.Control["conffiles"].Data)) {
		c := conffile{path: strings.TrimSpace(line)}
		c.path, c.removed = strings.CutPrefix(c.path, "remove-on-upgrade ")
		if c.path = strings.TrimPrefix(strings.TrimSpace(c.path), "/"); c.path != "" {
			p.conffiles = append(p.conffiles, c)
		}
	}
	if p.replaces, err = deb822.AppendRelations(nil, paragraph.Get("Replaces")); err != nil {
		return nil, fmt.Errorf("reading Replaces of package %s: %w", name, err)
	}
	return p, nil
}

// link finds the packages of the layer that each package depends on; of
// alternatives all that are there count.
func link(packages []*pkg) error {
	byName := map[string][]*pkg{}
	for _, p := range packages {
		byName[p.locked.Name] = append(byName[p.locked.Name], p)
		provides, err := deb822.AppendRelations(nil, p.paragraph.Get("Provides"))
		if err != nil {
			return fmt.Errorf("reading Provides of package %s: %w", p.locked.Name, err)
		}
		for _, r := range provides {
			byName[r.Name] = append(byName[r.Name], p)
		}
	}
	for _, p := range packages {
		for field, to := range map[string]*[]*pkg{"Pre-Depends": &p.preDepends, "Depends": &p.depends} {
			relations, err := deb822.AppendRelations(nil, p.paragraph.Get(field))
			if err != nil {
				return fmt.Errorf("reading %s of package %s: %w", field, p.locked.Name, err)
			}
			for _, r := range relations {
				*to = append(*to, byName[r.Name]...)
			}
		}
	}
	essential := map[*pkg]bool{}
	for _, p := range packages {
		if p.essential {
			p.closure(essential)
		}
	}
	for p := range essential {
		p.essential = true
	}
	return nil
}

// closure adds p and all that it depends on to set.
func (p *pkg) closure(set map[*pkg]bool) {
	if set[p] {
		return
	}
	set[p] = true
	for _, q := range p.preDepends {
		q.closure(set)
	}
	for _, q := range p.depends {
		q.closure(set)
	}
}

// order puts what is depended on first and essential packages before others;
// circles are cut where the alphabet enters them.
func order(packages []*pkg) []*pkg {
	var out []*pkg
	seen := map[*pkg]bool{}
	var visit func(p *pkg)
	visit = func(p *pkg) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, q := range p.preDepends {
			visit(q)
		}
		for _, q := range p.depends {
			visit(q)
		}
		out = append(out, p)
	}
	for _, essential := range []bool{true, false} {
		for _, p := range packages {
			if p.essential == essential {
				visit(p)
			}
		}
	}
	return out
}

// doesReplace reports whether p's Replaces covers the package of that name and
// version.
func (p *pkg) doesReplace(name, version string) bool {
	return slices.ContainsFunc(p.replaces, func(r deb822.Relation) bool {
		return r.Name == name && (r.Operator == deb822.Any || r.Operator.Holds(version, r.Version))
	})
}
