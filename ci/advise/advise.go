// Package advise answers scans: what the feeds of a project, or files that somebody
// gives, say about the packages of an image, with what is exploited and what is
// likely to be. It downloads nothing, and judges neither images nor gates.
package advise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/eol"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// Feeds answers by what is kept of feeds.
type Feeds struct {
	Store *feeds.Store
	List  []*feeds.Feed
}

// Feeds implements scan.Advisor.
func (a *Feeds) Feeds(context.Context) ([]report.Feed, error) {
	var list []report.Feed
	for _, f := range a.List {
		state, err := a.Store.State(f)
		if err != nil {
			return nil, err
		}
		list = tell(list, feeds.Tell(f, state, a.Store.Now()))
	}
	return list, nil
}

// Advise implements scan.Advisor. That the feeds cannot be read is no error: what
// they say is not known then, and the answer says so.
func (a *Feeds) Advise(ctx context.Context, packages []installed.Package) (*report.Advised, []report.Vulnerability, error) {
	index, facts, basis, err := a.Store.Open(ctx, a.List)
	if err != nil {
		return a.unread(ctx, err)
	}
	defer index.Close()
	advised := &report.Advised{}
	for _, told := range basis.Told {
		advised.Feeds = tell(advised.Feeds, told)
	}
	found, err := match(index, facts, packages, advised, a.Store.Now())
	return advised, found, err
}

// unread is the answer where what is kept cannot be read.
func (a *Feeds) unread(ctx context.Context, why error) (*report.Advised, []report.Vulnerability, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	list, err := a.Feeds(ctx)
	if err != nil {
		return nil, nil, errors.Join(why, err)
	}
	alarm := report.Alarm{What: string(feeds.Unreadable), Reason: advisory.Line(why.Error()), Mend: cmp.Or(fault.HintOf(why), "read them again: imgbuild feeds check --now")}
	for i := range list {
		list[i].Alarms = append(list[i].Alarms, alarm)
	}
	return &report.Advised{Feeds: list}, nil, nil
}

// tell adds a feed to a list as reports have it.
func tell(list []report.Feed, f feeds.Report) []report.Feed {
	says, ok := speaks(f.Kind)
	if !ok {
		return list
	}
	out := report.Feed{Name: f.Name, Kind: string(f.Kind), Says: says, Digest: f.Digest, Records: f.Records, Read: f.Read, AsOf: f.AsOf, FreshBefore: f.FreshBefore}
	for _, alarm := range f.Alarms {
		out.Alarms = append(out.Alarms, report.Alarm{What: string(alarm.What), Reason: alarm.Reason, Mend: alarm.Mend})
	}
	return append(list, out)
}

func speaks(kind feeds.Kind) (says report.Says, ok bool) {
	switch {
	case kind == feeds.DebianAdvisories:
		return report.OfAdvisories, true
	case kind.Published():
		return report.OfPackages, true
	case kind == feeds.KEV:
		return report.OfExploits, true
	case kind == feeds.EPSS:
		return report.OfLikelihood, true
	case kind == feeds.EOL:
		return report.OfSupport, true
	}
	return "", false
}

// match holds packages against an index. Of releases that get no security fixes any
// more it cannot be told what they have: nobody looks.
func match(index *advisory.Index, facts *feeds.Facts, packages []installed.Package, advised *report.Advised, now time.Time) ([]report.Vulnerability, error) {
	result, err := index.Match(packages)
	if err != nil {
		return nil, fmt.Errorf("asking the advisories: %w", err)
	}
	advised.Packages = len(packages) - len(result.Unjudged) - len(result.Accepted)
	for _, u := range result.Accepted {
		advised.Accepted = append(advised.Accepted, report.UnjudgedPackage(u))
	}
	for _, u := range result.Unjudged {
		advised.Unjudged = append(advised.Unjudged, report.UnjudgedPackage(u))
	}
	releases := map[string]bool{}
	for i := range packages {
		releases[packages[i].Ecosystem] = true
	}
	for _, release := range slices.Sorted(maps.Keys(releases)) {
		if s := facts.SupportOf(release, now); s.Level == eol.Unsupported {
			advised.Unjudged = append(advised.Unjudged, report.UnjudgedPackage{Package: "all packages of " + release, Reason: s.Reason + ": vulnerabilities of it are not looked for any more"})
		}
	}
	var found []report.Vulnerability
	for _, f := range result.Findings {
		if !f.State.Has() {
			continue
		}
		v := report.Vulnerability{
			ID: f.Vulnerability, Aliases: f.Aliases, Source: f.Package, Version: f.Version, Release: f.Release, Binaries: f.Binaries,
			State: f.State, Reason: f.Reason, Severity: f.Severity, Urgency: f.Urgency, Fixed: f.Fixed, Advisories: f.Advisories,
		}
		for _, name := range append([]string{f.Vulnerability}, f.Aliases...) {
			add(&v, facts, name)
		}
		found = append(found, v)
	}
	return found, nil
}

// add adds what is said of a vulnerability under one of its names.
func add(v *report.Vulnerability, facts *feeds.Facts, name string) {
	for _, catalog := range facts.Exploited {
		if entry, ok := catalog.Find(name); ok && v.Exploited == nil {
			v.Exploited = &report.Exploited{Since: entry.Added, Due: entry.Due, Ransomware: entry.Ransomware}
		}
	}
	for _, scores := range facts.Scores {
		if score, ok := scores.Find(name); ok && (v.EPSS == nil || score.Probability > v.EPSS.Probability) {
			v.EPSS = &report.EPSS{Probability: score.Probability, Percentile: score.Percentile}
		}
	}
}
