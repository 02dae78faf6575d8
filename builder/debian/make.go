package debian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/resolve"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Make resolves a request on the indexes that client reads and returns the
// lock. An unsatisfiable request is a fault.Input that explains itself.
func Make(ctx context.Context, client *repo.Client, request Request) (*updates.Lock, error) {
	if err := request.check(); err != nil {
		return nil, err
	}
	indexes, err := client.Read(ctx, request.Architecture, request.Sources)
	if err != nil {
		return nil, err
	}
	return MakeFrom(ctx, indexes, request)
}

// MakeFrom is Make on indexes that have been read already, one for each of
// the request's sources.
func MakeFrom(ctx context.Context, indexes []*repo.Index, request Request) (*updates.Lock, error) {
	if err := request.check(); err != nil {
		return nil, err
	}
	if err := request.checkNotOlder(indexes); err != nil {
		return nil, err
	}
	m := &maker{request: request, lock: &updates.Lock{
		Format: updates.LockFormat, Baseline: request.Baseline,
		Architecture: request.Architecture, Suite: request.Suite,
	}}
	m.addReleases(indexes)
	locals, err := request.localIndex()
	if err != nil {
		return nil, err
	}
	kept, err := m.keptIndexes(ctx, indexes)
	if err != nil {
		return nil, err
	}
	indexes, kept = m.allowed(indexes), m.allowed(kept)
	all := append(append(slices.Clone(indexes), locals...), kept...)
	if m.universe, m.pins, err = m.offer(all); err != nil {
		return nil, err
	}
	// The tools work on this machine's files: a recipe's own sources offer none.
	m.tools, m.toolPins = m.universe, m.pins
	debians := slices.DeleteFunc(slices.Clone(all), func(i *repo.Index) bool {
		return i.Source.Archive != ArchiveDebian && i.Source.Archive != ArchiveSecurity
	})
	if len(debians) < len(all) {
		if m.tools, m.toolPins, err = m.offer(debians); err != nil {
			return nil, err
		}
	}
	if err := m.resolve(ctx); err != nil {
		return nil, err
	}
	m.finish()
	return m.lock, nil
}

// ErrDowngrade: a release is older than the one that the previous lock was
// made from.
var ErrDowngrade = errors.New("the release is older than the locked one")

// checkNotOlder refuses what repo.ErrDowngrade does, by the lock: the client's
// cache may be empty.
func (r *Request) checkNotOlder(indexes []*repo.Index) error {
	if r.Previous == nil {
		return nil
	}
	for _, index := range indexes {
		for _, last := range r.Previous.Releases {
			if last.Archive != index.Source.Archive || last.Suite != index.Source.Suite {
				continue
			}
			if last.URL != index.Source.Address() {
				continue // the recipe calls another archive by that name now
			}
			date, err := time.Parse(time.RFC3339, last.Date)
			if err != nil {
				return fault.Inputf("reading the lock of %s", r.Baseline).Because(err)
			}
			if index.Release.Date.Before(date) {
				return fault.Worldf("verifying %s of archive %s", last.Suite, last.Archive).
					Because(fmt.Errorf("%w: it is of %s, the locked one of %s",
						ErrDowngrade, index.Release.Date.UTC().Format(time.RFC3339), last.Date)).
					WithHint("the mirror lags or is held back: try again later, or use another one; to go back on purpose, restore an older lock or remove it")
			}
		}
	}
	return nil
}

// maker makes one lock.
type maker struct {
	request  Request
	lock     *updates.Lock
	universe *resolve.Universe
	// pins are the versions that stay as they were.
	pins []*resolve.Version
	// tools and toolPins are the same of what Debian itself offers.
	tools    *resolve.Universe
	toolPins []*resolve.Version
	// epoch is the newest Date of the releases.
	epoch time.Time
}

// offer joins indexes and finds the locked versions among them that stay.
func (m *maker) offer(indexes []*repo.Index) (*resolve.Universe, []*resolve.Version, error) {
	universe, err := resolve.NewUniverse(m.request.Architecture, indexes)
	if err != nil {
		return nil, nil, fault.Worldf("reading indexes").Because(err)
	}
	pins, err := m.choosePins(universe)
	return universe, pins, err
}

func (m *maker) addReleases(indexes []*repo.Index) {
	for _, index := range indexes {
		m.lock.Releases = append(m.lock.Releases, updates.Release{
			Archive: index.Source.Archive, URL: index.Source.Address(), Suite: index.Source.Suite, Path: index.Source.Path(),
			SHA256: index.Release.SHA256, Date: index.Release.Date.UTC().Format(time.RFC3339),
		})
		if index.Release.Date.After(m.epoch) {
			m.epoch = index.Release.Date
		}
	}
	m.lock.Epoch = m.epoch.Unix()
}

// localIndex presents the project's own package files as an index.
func (r *Request) localIndex() ([]*repo.Index, error) {
	if len(r.Locals) == 0 {
		return nil, nil
	}
	index := &repo.Index{}
	for _, local := range r.Locals {
		p, err := controlPackage(local.Control)
		if err != nil {
			return nil, fault.Inputf("reading package file %s", local.Path).Because(err)
		}
		if p.Architecture != "all" && p.Architecture != r.Architecture {
			return nil, fault.Inputf("package file %s is for %s, not for %s", local.Path, p.Architecture, r.Architecture)
		}
		p.Path, p.SHA256, p.Size = local.Path, local.SHA256, local.Size
		index.Packages = append(index.Packages, p)
	}
	return []*repo.Index{index}, nil
}

func controlPackage(control string) (repo.Package, error) {
	paragraph, err := deb822.Parse(control)
	if err != nil {
		return repo.Package{}, err
	}
	return repo.ControlPackage(paragraph)
}

// resolve resolves the generations one on top of the other, the boot set on
// top of the last, and the tools alone.
func (m *maker) resolve(ctx context.Context) error {
	names := slices.Clone(m.request.Boot)
	for _, g := range m.request.Generations {
		names = append(names, g.Packages...)
	}
	if err := m.universe.CheckNames(names); err != nil {
		return fmt.Errorf("resolving the packages of %s: %w", m.request.Baseline, err)
	}
	var installed []*resolve.Version
	for i, g := range m.request.Generations {
		choices, err := m.universe.Resolve(ctx, resolve.Request{
			Installed: installed, Names: g.Packages, Priorities: g.Priorities,
			Essential: i == 0, Recommends: g.Recommends, Candidates: m.pins,
		})
		if err != nil {
			return fmt.Errorf("resolving the packages of %s: %w", g.Name, err)
		}
		installed = append(installed, m.add(updates.Root, g.Name, choices)...)
	}
	choices, err := m.universe.Resolve(ctx, resolve.Request{Installed: installed, Names: m.request.Boot, Candidates: m.pins})
	if err != nil {
		return fmt.Errorf("resolving the boot packages: %w", err)
	}
	m.add(updates.Boot, bootLayer, choices)
	if choices, err = m.tools.Resolve(ctx, resolve.Request{Names: m.request.Tools, Candidates: m.toolPins}); err != nil {
		return fmt.Errorf("resolving the tools: %w", err)
	}
	m.add(updates.Tools, "", choices)
	return nil
}

// add enters what one generation chose, shared out over its two layers.
func (m *maker) add(set updates.Set, layer string, choices []resolve.Choice) []*resolve.Version {
	versions := make([]*resolve.Version, len(choices))
	for i, c := range choices {
		versions[i] = c.Version
	}
	isLeaf := make([]bool, len(choices))
	if layer != "" {
		isLeaf = leaves(versions, m.universe.Graph(versions))
		for _, name := range []string{layer, layer + leaf} {
			if slices.Contains(isLeaf, name != layer) {
				m.lock.Layers = append(m.lock.Layers, name)
			}
		}
	}
	for i, c := range choices {
		p := updates.Package{
			Name: c.Name, Version: c.Version.Version, Architecture: c.Architecture,
			Source: c.Source, SourceVersion: c.SourceVersion,
			Archive: c.Index.Source.Archive, Suite: c.Index.Source.Suite,
			Path: strings.TrimPrefix(c.Path, "./"), Size: c.Size, SHA256: c.SHA256,
			Set: set, Layer: layer, Auto: c.Auto,
		}
		if isLeaf[i] {
			p.Layer += leaf
		}
		m.lock.Packages = append(m.lock.Packages, p)
	}
	return versions
}

// finish sorts the packages and carries the accounts over.
func (m *maker) finish() {
	rank := map[updates.Set]int{updates.Root: 0, updates.Boot: 1, updates.Tools: 2}
	slices.SortFunc(m.lock.Packages, func(a, b updates.Package) int {
		return cmp.Or(cmp.Compare(rank[a.Set], rank[b.Set]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Architecture, b.Architecture))
	})
	if m.request.Previous == nil {
		return
	}
	for _, account := range m.request.Previous.Accounts {
		if m.lock.HasAccountsOf(account.Layer) {
			m.lock.Accounts = append(m.lock.Accounts, account)
		}
	}
}
