package advisory

import (
	"cmp"
	"fmt"
	"slices"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
)

// Match says what is known of the packages of an image. Every package is held
// against all records of its name, so a finding is there for what is fixed as
// well as for what is not. An error is of the index alone: a package that cannot
// be judged is in the result.
func (x *Index) Match(packages []installed.Package) (*Result, error) {
	result := &Result{}
	subjects := group(packages, result)
	m := matcher{index: x, recordOf: map[uint32]record{}}
	for _, s := range subjects {
		if err := m.match(s, result); err != nil {
			return nil, fmt.Errorf("matching %s %s: %w", s.name, s.version, err)
		}
	}
	sortFindings(result.Findings)
	return result, nil
}

// subject is what records are looked up for: a source package, with the
// binaries that were built from it.
type subject struct {
	of            *ecosystem.Distribution
	release       string
	name, version string
	binaries      []string
	// source and sourceVersion are looked up too, where records call packages
	// by either name.
	source, sourceVersion string
}

// group makes subjects of packages; those that cannot be judged are noted.
func group(packages []installed.Package, result *Result) []*subject {
	type key struct{ release, name, version string }
	known := map[key]*subject{}
	var subjects []*subject
	for i := range packages {
		p := &packages[i]
		of, reason := judged(p)
		if reason != "" {
			result.Unjudged = append(result.Unjudged, Unjudged{p.Name, p.Version, reason})
			continue
		}
		s := &subject{of: of, release: ecosystem.Release(p.Ecosystem), name: p.Source, version: p.SourceVersion}
		if of.Naming == ecosystem.ByEither {
			s.name, s.version = p.Name, p.Version
			if p.Source != p.Name {
				s.source, s.sourceVersion = p.Source, p.SourceVersion
			}
		}
		k := key{s.release, s.name, s.version}
		if known[k] == nil {
			known[k] = s
			subjects = append(subjects, s)
		}
		if b := known[k]; !slices.Contains(b.binaries, p.Name) {
			b.binaries = append(b.binaries, p.Name)
		}
	}
	return subjects
}

// judged says why a package cannot be; reason is empty when it can.
func judged(p *installed.Package) (of *ecosystem.Distribution, reason string) {
	if p.Problem != "" {
		return nil, p.Problem
	}
	of, err := ecosystem.Of(p.Ecosystem)
	if err != nil {
		return nil, err.Error()
	}
	for _, v := range []string{p.Version, p.SourceVersion} {
		if !of.Order.Valid(v) {
			return nil, fmt.Sprintf("%q is no version as %s knows them", v, of.Order.Name)
		}
	}
	return of, ""
}

// matcher matches the packages of one image.
type matcher struct {
	index    *Index
	recordOf map[uint32]record
	evidence []evidence
}

// evidence is what one entry of a record says of one vulnerability in a subject.
type evidence struct {
	vulnerability uint32
	record        uint32
	*judgement
}

func (m *matcher) match(s *subject, result *Result) error {
	m.evidence = m.evidence[:0]
	// A record without a release is about all of them.
	for _, release := range []string{s.release, s.of.Name} {
		if err := m.gather(s.of, packageKey(release, s.name), s.version); err != nil {
			return err
		}
		if s.source != "" {
			if err := m.gather(s.of, packageKey(release, s.source), s.sourceVersion); err != nil {
				return err
			}
		}
		if s.release == s.of.Name {
			break
		}
	}
	slices.SortStableFunc(m.evidence, func(a, b evidence) int { return cmp.Compare(a.vulnerability, b.vulnerability) })
	for rest := m.evidence; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].vulnerability == rest[0].vulnerability {
			n++
		}
		finding, err := m.conclude(s, rest[:n])
		if err != nil {
			return err
		}
		result.Findings = append(result.Findings, finding)
		rest = rest[n:]
	}
	return nil
}

// gather adds what all records say of one version of a package.
func (m *matcher) gather(of *ecosystem.Distribution, key, version string) error {
	at := m.index.packages.find(key)
	if at < 0 {
		return nil
	}
	part := m.index.packages.part(at)
	part.text()
	versions := part.texts()
	where := place(of.Order, versions, version)
	judge := judge{index: m.index, versions: versions, place: where}
	for range part.count() {
		record, j := judge.entry(&part)
		if part.failed {
			return errIndex
		}
		r, err := m.record(record)
		if err != nil {
			return err
		}
		for _, v := range r.about {
			m.evidence = append(m.evidence, evidence{v, record, j})
		}
	}
	return nil
}

func (m *matcher) record(n uint32) (record, error) {
	r, ok := m.recordOf[n]
	if ok {
		return r, nil
	}
	r, err := m.index.record(int(n))
	if err == nil {
		m.recordOf[n] = r
	}
	return r, err
}
