package advisory

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"imgbuild/images/advisory/installed"
)

// mostKept is how many findings a matcher keeps, in some 100 MB: those of two
// hundred thousand are of 800 packages in fifty versions each.
const mostKept = 300_000

// Matcher matches the packages of one image after the other, by several goroutines
// at once if need be. Images share most of their packages, so what was concluded of
// a version of a package is kept.
type Matcher struct {
	index *Index
	lock  sync.Mutex
	kept  map[subjectKey]*concluded
	// size is how many findings are kept.
	size int
	free sync.Pool // of *desk
}

// desk is what one matching works on, to be used again.
type desk struct {
	index      *Index
	judgements []judgement
	evidence   []evidence
	order      []origin
}

// subjectKey is all that a subject's findings depend on.
type subjectKey struct{ release, name, version, source, sourceVersion string }

// concluded is what is known of one subject, in the order of its keys.
type concluded struct {
	findings []Finding
	keys     []uint64
}

// origin is where a finding of an image comes from.
type origin struct {
	key  uint64
	from *concluded
	of   *subject
	at   int
}

// Matcher is a matcher that has kept nothing yet.
func (x *Index) Matcher() *Matcher {
	m := &Matcher{index: x, kept: map[subjectKey]*concluded{}}
	m.free.New = func() any { return &desk{index: x} }
	return m
}

// Match says of an image what [Index.Match] does.
func (m *Matcher) Match(packages []installed.Package) (*Result, error) {
	result := &Result{}
	subjects := m.index.group(packages, result)
	d := m.free.Get().(*desk)
	defer m.free.Put(d)
	d.order = d.order[:0]
	for _, s := range subjects {
		found, err := m.of(s, d)
		if err != nil {
			return nil, fmt.Errorf("matching %s %s: %w", s.name, s.version, err)
		}
		if len(d.order)+len(found.findings) > mostFindings {
			return nil, fmt.Errorf("matching %d packages: more than %d findings: no image has so many packages", len(packages), mostFindings)
		}
		for i, key := range found.keys {
			d.order = append(d.order, origin{key, found, s, i})
		}
	}
	slices.SortFunc(d.order, func(a, b origin) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		x, y := &a.from.findings[a.at], &b.from.findings[b.at]
		return cmp.Or(cmp.Compare(x.Package, y.Package), cmp.Compare(x.Release, y.Release), cmp.Compare(x.Version, y.Version))
	})
	result.Findings = make([]Finding, len(d.order))
	for i, p := range d.order {
		result.Findings[i] = p.from.findings[p.at]
		result.Findings[i].Binaries = p.of.binaries
	}
	return result, nil
}

// of is what is known of a subject, kept from before or found out now.
func (m *Matcher) of(s *subject, d *desk) (*concluded, error) {
	key := subjectKey{s.release, s.name, s.version, s.source, s.sourceVersion}
	m.lock.Lock()
	found := m.kept[key]
	m.lock.Unlock()
	if found != nil {
		return found, nil
	}
	found, err := d.about(s)
	if err != nil {
		return nil, err
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.kept[key] != nil {
		return found, nil // another was faster
	}
	m.size += len(found.findings) + 1
	if m.size > mostKept {
		// Half of it goes, by chance: who goes round and round in more than there is
		// room for would find nothing if the oldest went.
		for key, old := range m.kept {
			if m.size <= mostKept/2 {
				break
			}
			m.size -= len(old.findings) + 1
			delete(m.kept, key)
		}
	}
	m.kept[key] = found
	return found, nil
}
