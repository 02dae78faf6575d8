package debian

import (
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/resolve"
	"imgbuild/images/updates"
)

// allowed are indexes without what the lock may not have.
func (m *maker) allowed(indexes []*repo.Index) []*repo.Index {
	if m.request.Allowed == nil {
		return indexes
	}
	out := make([]*repo.Index, len(indexes))
	for i, index := range indexes {
		some := *index
		some.Packages = nil
		for j := range index.Packages {
			if p := &index.Packages[j]; m.request.Allowed(offeredAs(index, p)) {
				some.Packages = append(some.Packages, *p)
			}
		}
		out[i] = &some
	}
	return out
}

// offeredAs is a package of an index as a lock would have it, without what it is for.
func offeredAs(index *repo.Index, p *repo.Package) updates.Package {
	return updates.Package{
		Name: p.Name, Version: p.Version, Architecture: p.Architecture, Source: p.Source, SourceVersion: p.SourceVersion,
		Archive: index.Source.Archive, Suite: index.Source.Suite, Path: strings.TrimPrefix(p.Path, "./"), Size: p.Size, SHA256: p.SHA256,
	}
}

// takesLatest says whether a locked package moves without being named: where locks
// are bound to what is allowed, that it is allowed is the word to take it.
func (m *maker) takesLatest(p updates.Package, latest *resolve.Version) bool {
	return m.request.Allowed != nil && len(m.request.Update) == 0 && p.Archive != "" && latest != nil &&
		deb822.CompareVersions(latest.Version, p.Version) > 0
}

// Later are the locked packages of which a later version is offered that the lock
// may have, by name: those that a lock moves which neither Fresh nor Update binds.
func Later(indexes []*repo.Index, request Request) []string {
	if request.Previous == nil || request.Allowed == nil {
		return nil
	}
	latest := map[string]string{}
	for _, index := range indexes {
		for i := range index.Packages {
			p := &index.Packages[i]
			if known, ok := latest[p.Name]; ok && deb822.CompareVersions(p.Version, known) <= 0 {
				continue
			}
			if request.Allowed(offeredAs(index, p)) {
				latest[p.Name] = p.Version
			}
		}
	}
	var names []string
	seen := map[string]bool{}
	for _, p := range request.Previous.Packages {
		if v, ok := latest[p.Name]; ok && !seen[p.Name] && deb822.CompareVersions(v, p.Version) > 0 {
			seen[p.Name] = true
			names = append(names, p.Name)
		}
	}
	return names
}
