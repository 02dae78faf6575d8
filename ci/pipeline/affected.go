package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"imgbuild/builder"
	"imgbuild/images/advisory"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Line is a baseline for one architecture, with its lock.
type Line struct {
	Recipe *baseline.Recipe
	Lock   *updates.Lock
}

// Affected are the jobs of all lines that what names stand for concerns: those whose lock
// has such a package, those of which images have it, those that a suite of security updates
// has a newer version for, and the descendants of all, which follow their parents. Parents
// come before their children. A name that nobody knows is an error of kind fault.Input.
func Affected(index *advisory.Index, names []string, lines []Line, images Havings, newer map[At][]Signal) ([]Job, error) {
	wanted := map[string]bool{}
	for _, name := range names {
		list, err := index.Vulnerabilities(name)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fault.Inputf("no advisory and no vulnerability is called %q in what the feeds have", name).
				WithHint("read them now: imgbuild advisories sync --now")
		}
		for _, v := range list {
			wanted[v.ID] = true
		}
	}
	var jobs []Job
	matcher := index.Matcher()
	for _, l := range lines {
		job := Job{Recipe: l.Recipe, Lock: l.Lock}
		found, err := matcher.Match(builder.Installed(l.Lock))
		if err != nil {
			return nil, fmt.Errorf("the lock of %s: %w", l.Recipe.Typed(), err)
		}
		for _, f := range found.Findings {
			if !wanted[f.Vulnerability] || !f.State.Has() {
				continue
			}
			job.For, job.Packages = append(job.For, f.Vulnerability), append(job.Packages, f.Binaries...)
			if fix, ok := fixOf(f); ok {
				job.Fixes = append(job.Fixes, fix)
			}
			if job.Why == "" {
				job.Why = fmt.Sprintf("its lock has %s %s", f.Package, f.Version)
			}
		}
		for _, h := range images.of(l.Recipe) {
			if h.Fixed != "" {
				job.Having = append(job.Having, h)
			}
			if job.Why == "" {
				job.Why = h.String()
			}
		}
		job.Newer = newer[At{l.Recipe.Name, l.Recipe.Architecture}]
		for _, s := range job.Newer {
			job.Packages = append(job.Packages, s.Package)
			if job.Why == "" {
				job.Why = s.String()
			}
		}
		job.For, job.Packages = join(job.For, nil), join(job.Packages, nil)
		if job.Why != "" {
			jobs = append(jobs, job)
		}
	}
	for _, l := range lines {
		if slices.ContainsFunc(jobs, func(j Job) bool { return j.Recipe == l.Recipe }) {
			continue
		}
		at := slices.IndexFunc(jobs, func(j Job) bool { return isParent(j.Recipe, l.Recipe) })
		if at >= 0 {
			jobs = append(jobs, Job{Recipe: l.Recipe, Lock: l.Lock, Why: "it follows its parent " + jobs[at].Recipe.Name})
		}
	}
	sortJobs(jobs)
	return jobs, nil
}

// sortJobs puts parents before their children.
func sortJobs(jobs []Job) {
	slices.SortStableFunc(jobs, func(a, b Job) int {
		return cmp.Or(cmp.Compare(len(a.Recipe.Chain()), len(b.Recipe.Chain())), strings.Compare(a.Recipe.Typed(), b.Recipe.Typed()))
	})
}

// Unfinished adds to jobs those that an earlier run has begun and not ended, or of which
// it has written the lock and not offered the image.
func Unfinished(jobs []Job, lines []Line, entries []Entry) []Job {
	for _, e := range entries {
		if !e.Unfinished() && !e.Owed || slices.ContainsFunc(jobs, func(j Job) bool { return j.is(e) }) {
			continue
		}
		for _, l := range lines {
			job := Job{Recipe: l.Recipe, Lock: l.Lock, For: e.For, Packages: e.Packages, Why: "an earlier run has begun it"}
			if job.is(e) {
				jobs = append(jobs, job)
			}
		}
	}
	sortJobs(jobs)
	return jobs
}

// Lost are the entries that an earlier run left and that no line is there to go on with.
func Lost(lines []Line, entries []Entry) []Gap {
	var gaps []Gap
	for _, e := range entries {
		if !e.Unfinished() && !e.Owed || slices.ContainsFunc(lines, func(l Line) bool { return Job{Recipe: l.Recipe}.is(e) }) {
			continue
		}
		gaps = append(gaps, Gap{
			Where: At{e.Baseline, e.Architecture}.String(), Why: "an earlier run has begun to rebuild it and not ended, and it has no lock that can be read here any more",
			Mend: "bring its lock back; or where it is given up, take its file out of the journal, rebuilds/ of the project's data", baseline: e.Baseline,
		})
	}
	return gaps
}

func (j Job) is(e Entry) bool {
	return j.Recipe.Name == e.Baseline && j.Recipe.Architecture == e.Architecture
}
