package debian

import (
	"context"
	"maps"
	"slices"
	"strings"

	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/resolve"
	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// keeps reports whether the previous lock binds this one.
func (m *maker) keeps() bool { return m.request.Previous != nil && !m.request.Fresh }

// keptIndexes presents packages that today's indexes list no more as indexes of
// their own: locked ones, so that they can stay, and archived ones.
func (m *maker) keptIndexes(ctx context.Context, indexes []*repo.Index) ([]*repo.Index, error) {
	var offered []updates.Package
	if m.keeps() {
		offered = slices.DeleteFunc(slices.Clone(m.request.Previous.Packages), func(p updates.Package) bool {
			return p.Archive == "" || slices.Contains(m.request.Update, p.Name)
		})
	}
	locked := len(offered)
	offered = append(offered, m.request.Archived...)
	if len(offered) == 0 || m.request.Control == nil {
		return nil, nil
	}
	type file struct{ name, version string }
	listed := map[file]bool{}
	gone := map[file]bool{}
	for _, p := range offered {
		gone[file{p.Name, p.Version}] = true
	}
	for _, index := range indexes {
		for i := range index.Packages {
			if p := &index.Packages[i]; gone[file{p.Name, p.Version}] {
				listed[file{p.Name, p.Version}] = true
			}
		}
	}
	var kept []*repo.Index
	for i, p := range offered {
		at := file{p.Name, p.Version}
		if listed[at] {
			continue
		}
		listed[at] = true // once, though several sets may have it
		text, err := m.request.Control(ctx, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			continue // it moves, which Check then shows
		}
		control, err := controlPackage(text)
		if err != nil {
			return nil, fault.Worldf("reading the control file of locked package %s", p.Name).Because(err)
		}
		if control.Name != p.Name || control.Version != p.Version || control.Architecture != p.Architecture {
			return nil, fault.Worldf("locked package %s %s %s has the control file of %s %s %s",
				p.Name, p.Version, p.Architecture, control.Name, control.Version, control.Architecture)
		}
		control.Path, control.Size, control.SHA256 = p.Path, p.Size, p.SHA256
		// A locked one is like what apt finds installed: nothing chooses it by itself.
		kept = append(kept, &repo.Index{
			Source:   repo.Source{Archive: p.Archive, Suite: p.Suite},
			Release:  &repo.Release{NotAutomatic: i < locked, ButAutomaticUpgrades: i < locked},
			Packages: []repo.Package{control},
		})
	}
	return kept, nil
}

// choosePins returns the locked versions of a universe that stay.
func (m *maker) choosePins(universe *resolve.Universe) ([]*resolve.Version, error) {
	if !m.keeps() {
		return nil, nil
	}
	locked := map[string]bool{}
	var pins, moving []*resolve.Version
	for _, p := range m.request.Previous.Packages {
		if locked[p.Name] {
			continue
		}
		locked[p.Name] = true
		latest := universe.Latest(p.Name)
		if slices.Contains(m.request.Update, p.Name) || m.takesLatest(p, latest) {
			if latest != nil {
				moving = append(moving, latest)
			}
			continue
		}
		for _, v := range universe.Versions(p.Name) {
			if v.Version == p.Version {
				pins = append(pins, v)
			}
		}
	}
	if err := m.checkUpdate(locked); err != nil {
		return nil, err
	}
	return universe.Loosen(pins, moving), nil
}

// checkUpdate refuses names to be updated that the lock does not have, all at once.
func (m *maker) checkUpdate(locked map[string]bool) error {
	names := slices.Collect(maps.Keys(locked))
	var missing, near []string
	for _, name := range m.request.Update {
		if locked[name] || slices.Contains(missing, name) {
			continue
		}
		missing = append(missing, name)
		if meant := node.Nearest(name, names); meant != "" {
			near = append(near, meant)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err := fault.Inputf("updating: the lock of %s has no package %s", m.request.Previous.Baseline, strings.Join(missing, ", nor "))
	if len(near) > 0 {
		return err.WithHint("did you mean %s?", strings.Join(near, " and "))
	}
	return err.WithHint("name a package of the lock, or lock anew to take in what the recipe asks for")
}
