package advisory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
)

// mostFindings is how many one image may have; a large one has some 20,000.
const mostFindings = 500_000

// Match says what is known of the packages of an image. Every package is held
// against all records of its name, so a finding is there for what is fixed as
// well as for what is not. An error is of the index, or of a list of packages that
// is made to be large: a package that cannot be judged is in the result.
func (x *Index) Match(packages []installed.Package) (*Result, error) {
	return x.Matcher().Match(packages)
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
func (x *Index) group(packages []installed.Package, result *Result) []*subject {
	type key struct{ release, name, version string }
	spoken := map[string]bool{}
	known := map[key]*subject{}
	var subjects []*subject
	for i := range packages {
		p := &packages[i]
		if p.Foreign != "" && p.Accepted {
			result.Accepted = append(result.Accepted, Unjudged{p.Name, p.Version, foreign(p)})
			continue
		}
		of, reason := judged(p)
		if reason != "" {
			result.Unjudged = append(result.Unjudged, Unjudged{p.Name, p.Version, reason})
			continue
		}
		s := &subject{of: of, release: ecosystem.Release(p.Ecosystem), name: p.Source, version: p.SourceVersion}
		speaks, asked := spoken[s.release]
		if !asked {
			speaks = x.speaksOf(s.release) || x.speaksOf(of.Name)
			spoken[s.release] = speaks
		}
		if !speaks {
			result.Unjudged = append(result.Unjudged, Unjudged{p.Name, p.Version, "no advisory speaks of " + s.release + ": no feed of it was read"})
			continue
		}
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
		known[k].binaries = append(known[k].binaries, p.Name)
	}
	for _, s := range subjects {
		slices.Sort(s.binaries)
		s.binaries = slices.Compact(s.binaries)
	}
	return subjects
}

// foreign says of a package that is not the distribution's why its advisories say
// nothing of it.
func foreign(p *installed.Package) string {
	where := "it comes from the source " + p.Foreign
	switch {
	case p.Foreign == installed.Backports:
		where = "it is a backport from a later release"
	case len(p.Foreign) == hex.EncodedLen(sha256.Size):
		where = "it comes from a package file of the project"
	}
	return where + ", of which no advisory speaks"
}

// judged says why a package cannot be; reason is empty when it can.
func judged(p *installed.Package) (of *ecosystem.Distribution, reason string) {
	switch {
	case p.Problem != "":
		return nil, p.Problem
	case p.Foreign != "":
		if p.Foreign == installed.Backports {
			return nil, foreign(p)
		}
		return nil, foreign(p) + "; a recipe accepts that by advisories: none at the source"
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

// evidence is what one entry of a record says of one vulnerability in a subject.
type evidence struct {
	vulnerability uint32
	// judgement is a place in the list of them.
	judgement int32
}

// about matches one subject. Its findings have no binaries yet.
func (d *desk) about(s *subject) (*concluded, error) {
	d.evidence, d.judgements = d.evidence[:0], d.judgements[:0]
	// A record without a release is about all of them.
	for _, release := range []string{s.release, s.of.Name} {
		if err := d.gather(s.of, packageKey(release, s.name), s.version); err != nil {
			return nil, err
		}
		if s.source != "" {
			if err := d.gather(s.of, packageKey(release, s.source), s.sourceVersion); err != nil {
				return nil, err
			}
		}
		if s.release == s.of.Name {
			break
		}
	}
	slices.SortStableFunc(d.evidence, func(a, b evidence) int { return cmp.Compare(a.vulnerability, b.vulnerability) })
	found := &concluded{}
	var all []*judgement
	for rest := d.evidence; len(rest) > 0; {
		all = all[:0]
		n := 0
		for ; n < len(rest) && rest[n].vulnerability == rest[0].vulnerability; n++ {
			all = append(all, &d.judgements[rest[n].judgement])
		}
		finding, err := d.conclude(s, rest[0].vulnerability, all)
		if err != nil {
			return nil, err
		}
		found.keys = append(found.keys, keyOf(&finding, rest[0].vulnerability))
		found.findings = append(found.findings, finding)
		rest = rest[n:]
	}
	return found, nil
}

// gather adds what all records say of one version of a package.
func (d *desk) gather(of *ecosystem.Distribution, key, version string) error {
	at := d.index.packages.find(key)
	if at < 0 {
		return nil
	}
	part := d.index.packages.part(at)
	part.text()
	versions := part.table()
	judge := judge{index: d.index, versions: versions, place: place(of.Order, versions, version)}
	for range part.count() {
		record, vulnerability := uint32(part.number()), uint32(0)
		for range part.count() {
			vulnerability += uint32(part.number())
			d.evidence = append(d.evidence, evidence{vulnerability, int32(len(d.judgements))})
		}
		j := judge.entry(&part)
		j.record = record
		if part.failed {
			return errIndex
		}
		d.judgements = append(d.judgements, j)
	}
	return nil
}
