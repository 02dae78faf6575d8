package pipeline

import (
	"context"
	"slices"
	"strings"

	"imgbuild/images/updates"
)

// split looks for what of a candidate that failed its trial, or of which there can be none,
// passes one, so that one bad update does not keep the others out. It adds halves of the
// packages, by source, to what has passed so far; of a half that fails, halves again. What
// remains was tried as a whole.
//
// Each step is a trial, and takes as long as one: after mostTrials the rest is left out, and
// the next run goes on with it.
type split struct {
	steps Steps
	whole *Candidate

	// best has passed by tried; it is nil where nothing does. sources are those left out.
	best    *Candidate
	tried   *Tried
	sources []string

	good   []string
	failed map[string]bool // sets of packages
	trials int
	stale  bool // a trial with some of best has failed since best passed
}

// mostTrials is how many trials one that failed may bring about.
const mostTrials = 8

func (s *split) run(ctx context.Context) error {
	groups := bySource(s.whole.Before, s.whole.Packages)
	if len(groups) < 2 {
		return nil
	}
	s.failed = map[string]bool{setOf(s.whole.Packages): true}
	if err := s.halve(ctx, groups); err != nil || s.best == nil || !s.stale {
		return err
	}
	// The newest trial of an update is the one that counts.
	tried, _, err := s.steps.Try(ctx, s.best)
	if err != nil {
		return err
	}
	if s.tried = tried; !tried.Passed {
		s.best = nil
	}
	return nil
}

func (s *split) halve(ctx context.Context, groups []group) error {
	if len(groups) == 1 {
		s.sources = append(s.sources, groups[0].source)
		return nil
	}
	for _, half := range [][]group{groups[:len(groups)/2], groups[len(groups)/2:]} {
		if err := s.add(ctx, half); err != nil {
			return err
		}
	}
	return nil
}

// add tries what has passed with some more.
func (s *split) add(ctx context.Context, groups []group) error {
	packages := slices.Clone(s.good)
	for _, g := range groups {
		packages = append(packages, g.packages...)
	}
	if s.failed[setOf(packages)] {
		return s.halve(ctx, groups)
	}
	if s.trials == mostTrials {
		for _, g := range groups {
			s.sources = append(s.sources, g.source)
		}
		return nil
	}
	s.trials++
	c, err := s.steps.Candidate(ctx, s.whole.Recipe, s.whole.Before, packages)
	if err == nil && c.Same() {
		return nil // nothing of it is newer
	}
	if err == nil {
		var tried *Tried
		if tried, _, err = s.steps.Try(ctx, c); err == nil && tried.Passed {
			s.best, s.tried, s.good, s.stale = c, tried, packages, false
			return nil
		}
	}
	if err != nil && !separable(ctx, err) {
		return err
	}
	s.failed[setOf(packages)], s.stale = true, true
	return s.halve(ctx, groups)
}

// group are packages of one source, which move together.
type group struct {
	source   string
	packages []string
}

// bySource groups packages of a lock, by the names of their sources.
func bySource(lock *updates.Lock, packages []string) []group {
	var groups []group
	for _, name := range packages {
		source := name
		if at := slices.IndexFunc(lock.Packages, func(p updates.Package) bool { return p.Name == name }); at >= 0 && lock.Packages[at].Source != "" {
			source = lock.Packages[at].Source
		}
		at := slices.IndexFunc(groups, func(g group) bool { return g.source == source })
		if at < 0 {
			at, groups = len(groups), append(groups, group{source: source})
		}
		groups[at].packages = append(groups[at].packages, name)
	}
	slices.SortFunc(groups, func(a, b group) int { return strings.Compare(a.source, b.source) })
	return groups
}

func setOf(packages []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(packages))), " ")
}
