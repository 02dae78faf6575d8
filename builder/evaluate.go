package builder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"imgbuild/builder/debian"
	"imgbuild/builder/disk"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/baseline"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// Pending is an update that a lock could take, and what is known of it.
type Pending struct {
	Update     life.Update
	Evaluation life.Evaluation
}

// Advisories say which vulnerabilities an update mends. The zero value knows none.
type Advisories struct {
	// Index is nil where no advisories are kept: only the suite tells then what is for
	// security.
	Index *advisory.Index
	// Exploited says of a vulnerability, by its CVE, whether it is known to be
	// exploited; nil where nobody says.
	Exploited func(cve string) bool
}

// Pending finds what a recipe's repositories offer now that its lock has not: newer
// versions, and what they newly need.
func (l *Locker) Pending(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock, known Advisories) ([]Pending, error) {
	fresh, err := l.Lock(ctx, recipe, LockOptions{Previous: lock, Fresh: true})
	if err != nil {
		return nil, err
	}
	mended, err := known.mends(lock, fresh)
	if err != nil {
		return nil, err
	}
	var pending []Pending
	for _, move := range debian.Check(lock, fresh).Moves {
		if move.New == nil || move.New.Archive == "" || move.Kind == updates.Moved || move.Older {
			continue
		}
		p := Pending{Update: life.OfPackage(*move.New)}
		applies := life.Applies{Baseline: recipe.Name, Architecture: recipe.Architecture, Sets: []string{string(move.Set)}, Why: move.Why}
		if move.Old != nil {
			applies.Has = move.Old.Version
		}
		// What comes newly mends what was there when it is of the same source: a kernel has
		// its version in its name.
		source, _ := installed.Unsigned(move.New.Source, move.New.SourceVersion)
		p.Evaluation.Facts = mended[source]
		p.Evaluation.Facts.Security = p.Evaluation.Facts.Security || move.New.Archive == debian.ArchiveSecurity
		p.Evaluation.Applies = []life.Applies{applies}
		pending = append(pending, p)
	}
	return JoinPending(pending), nil
}

// mends tells by source package, as advisories call it, which vulnerabilities the packages of one lock have
// and those of another have not.
func (a Advisories) mends(before, after *updates.Lock) (map[string]life.Facts, error) {
	index := a.Index
	if index == nil {
		return nil, nil
	}
	had, err := index.Match(Installed(before))
	if err != nil {
		return nil, fmt.Errorf("evaluating %s: %w", before.Baseline, err)
	}
	has, err := index.Match(Installed(after))
	if err != nil {
		return nil, fmt.Errorf("evaluating %s: %w", before.Baseline, err)
	}
	type one struct{ source, vulnerability string }
	stays := map[one]bool{}
	for _, f := range has.Findings {
		if f.State.Has() {
			stays[one{f.Package, f.Vulnerability}] = true
		}
	}
	mended := map[string]life.Facts{}
	for _, f := range had.Findings {
		if !f.State.Has() || stays[one{f.Package, f.Vulnerability}] {
			continue
		}
		facts := mended[f.Package]
		facts.Security = true
		facts.Exploited = facts.Exploited || a.Exploited != nil && a.Exploited(f.Vulnerability)
		facts.Severity = advisory.Worse(facts.Severity, f.Severity)
		facts.Advisories = append(append(facts.Advisories, f.Vulnerability), f.Advisories...)
		mended[f.Package] = facts
	}
	for source, facts := range mended {
		slices.Sort(facts.Advisories)
		facts.Advisories = slices.Compact(facts.Advisories)
		mended[source] = facts
	}
	return mended, nil
}

// Installed are the packages of a lock that enter images, as advisories call them: those
// of the root and the boot layer, and the boot loaders, which disks have from the tools.
func Installed(lock *updates.Lock) []installed.Package {
	var list []installed.Package
	entering := slices.DeleteFunc(slices.Clone(lock.Packages), func(p updates.Package) bool { return p.Set == updates.Tools })
	for _, p := range disk.LoaderPackages(lock) {
		if !slices.ContainsFunc(entering, func(o updates.Package) bool { return o.Name == p.Name && o.Version == p.Version }) {
			entering = append(entering, p)
		}
	}
	for _, p := range entering {
		one := installed.Package{
			Ecosystem: "Debian:" + ecosystem.DebianRelease(lock.Suite), Name: p.Name, Version: p.Version, Architecture: p.Architecture,
			Source: p.Source, SourceVersion: p.SourceVersion, Foreign: installed.From(p.Archive, p.SHA256),
		}
		one.Complete()
		list = append(list, one)
	}
	return list
}

// JoinPending joins what several baselines, architectures and sets could take: each
// update once, sorted by name and version.
func JoinPending(pending []Pending) []Pending {
	at := map[string]int{}
	var joined []Pending
	for _, p := range pending {
		i, known := at[p.Update.SHA256]
		if !known {
			at[p.Update.SHA256] = len(joined)
			joined = append(joined, p)
			continue
		}
		joined[i].Evaluation = join(joined[i].Evaluation, p.Evaluation)
	}
	slices.SortFunc(joined, func(a, b Pending) int {
		return cmp.Or(strings.Compare(a.Update.Name, b.Update.Name), strings.Compare(a.Update.Version, b.Update.Version), strings.Compare(a.Update.SHA256, b.Update.SHA256))
	})
	return joined
}

func join(a, b life.Evaluation) life.Evaluation {
	for _, applies := range b.Applies {
		i := slices.IndexFunc(a.Applies, func(known life.Applies) bool {
			return known.Baseline == applies.Baseline && known.Architecture == applies.Architecture
		})
		if i < 0 {
			a.Applies = append(slices.Clip(a.Applies), applies)
			continue
		}
		for _, set := range applies.Sets {
			if !slices.Contains(a.Applies[i].Sets, set) {
				a.Applies[i].Sets = append(slices.Clip(a.Applies[i].Sets), set)
			}
		}
	}
	// In one order, so that two baselines that say the same by turns say it once.
	slices.SortFunc(a.Applies, func(x, y life.Applies) int {
		return cmp.Or(strings.Compare(x.Baseline, y.Baseline), strings.Compare(x.Architecture, y.Architecture))
	})
	f, g := a.Facts, b.Facts
	f.Security, f.Exploited = f.Security || g.Security, f.Exploited || g.Exploited
	f.Severity = advisory.Worse(f.Severity, g.Severity)
	f.Advisories = append(slices.Clip(f.Advisories), g.Advisories...)
	slices.Sort(f.Advisories)
	f.Advisories = slices.Compact(f.Advisories)
	a.Facts = f
	return a
}

// keep adds to an evaluation what an earlier one, which may be nil, says of other
// baselines.
func keep(earlier *life.Evaluation, e life.Evaluation) life.Evaluation {
	if earlier == nil {
		return e
	}
	kept := life.Evaluation{Facts: earlier.Facts}
	for _, applies := range earlier.Applies {
		if !slices.ContainsFunc(e.Applies, func(a life.Applies) bool {
			return a.Baseline == applies.Baseline && a.Architecture == applies.Architecture
		}) {
			kept.Applies = append(kept.Applies, applies)
		}
	}
	if len(kept.Applies) == 0 {
		return e
	}
	return join(kept, e)
}

// sameEvaluation tells whether two evaluations say the same.
func sameEvaluation(a, b life.Evaluation) bool {
	return a.Facts.Security == b.Facts.Security && a.Facts.Exploited == b.Facts.Exploited && a.Facts.Severity == b.Facts.Severity &&
		slices.Equal(a.Facts.Advisories, b.Facts.Advisories) &&
		slices.EqualFunc(a.Applies, b.Applies, func(x, y life.Applies) bool {
			return x.Baseline == y.Baseline && x.Architecture == y.Architecture && x.Has == y.Has && x.Why == y.Why && slices.Equal(x.Sets, y.Sets)
		})
}
