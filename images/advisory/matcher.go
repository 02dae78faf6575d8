package advisory

import (
	"cmp"
	"fmt"
	"slices"

	"imgbuild/images/advisory/installed"
)

// mostKept is how many findings a matcher keeps. One that has more forgets all,
// so that it never takes more than some 100 MB.
const mostKept = 300_000

// Matcher matches the packages of one image after the other. Images share most of
// their packages, so what was concluded of a version of a package is kept. It is not
// for several goroutines at once: each has its own.
type Matcher struct {
	index *Index
	kept  map[subjectKey]*concluded
	// size is how many findings are kept.
	size int

	// What follows is of one package, and there to be used again.
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
	return &Matcher{index: x, kept: map[subjectKey]*concluded{}}
}

// Match is [Index.Match].
func (m *Matcher) Match(packages []installed.Package) (*Result, error) {
	result := &Result{}
	subjects := m.index.group(packages, result)
	m.order = m.order[:0]
	for _, s := range subjects {
		found, err := m.of(s)
		if err != nil {
			return nil, fmt.Errorf("matching %s %s: %w", s.name, s.version, err)
		}
		if len(m.order)+len(found.findings) > mostFindings {
			return nil, fmt.Errorf("matching %d packages: more than %d findings: no image has so many packages", len(packages), mostFindings)
		}
		for i, key := range found.keys {
			m.order = append(m.order, origin{key, found, s, i})
		}
	}
	slices.SortFunc(m.order, func(a, b origin) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		x, y := &a.from.findings[a.at], &b.from.findings[b.at]
		return cmp.Or(cmp.Compare(x.Package, y.Package), cmp.Compare(x.Release, y.Release), cmp.Compare(x.Version, y.Version))
	})
	result.Findings = make([]Finding, len(m.order))
	for i, p := range m.order {
		result.Findings[i] = p.from.findings[p.at]
		result.Findings[i].Binaries = p.of.binaries
	}
	return result, nil
}

// of is what is known of a subject, kept from before or found out now.
func (m *Matcher) of(s *subject) (*concluded, error) {
	key := subjectKey{s.release, s.name, s.version, s.source, s.sourceVersion}
	if found := m.kept[key]; found != nil {
		return found, nil
	}
	found, err := m.about(s)
	if err != nil {
		return nil, err
	}
	if m.size += len(found.findings) + 1; m.size > mostKept {
		clear(m.kept)
		m.size = len(found.findings) + 1
	}
	m.kept[key] = found
	return found, nil
}
