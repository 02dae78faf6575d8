package openscap

import (
	"maps"
	"slices"

	"imgbuild/images/control"
	"imgbuild/images/report"
)

// Opinion puts what oscap said next to what is in a report. Sections are those of
// the benchmark of set that was written for the report's platform.
func (o *Outcome) Opinion(set *control.Set, r *control.Report) *report.Opinion {
	opinion := &report.Opinion{Engine: o.Engine, Content: o.Stream.Benchmark + " " + o.Stream.Version, ContentDigest: o.Digest}
	ours := sectionsOf(set, r)
	levels := map[string]int{}
	for _, p := range slices.Backward(o.Profiles) { // the lowest first
		counts := map[string]int{}
		for id, rule := range p.Rules {
			counts[rule.Result]++
			if _, known := levels[id]; !known {
				levels[id] = p.Level
			}
		}
		opinion.Profiles = append(opinion.Profiles, report.OpinionProfile{ID: p.ID, Title: p.Title, Level: p.Level, Counts: counts})
	}
	// A rule that two profiles judge apart has the result of the highest.
	outcomes := map[string]RuleOutcome{}
	for _, p := range slices.Backward(o.Profiles) {
		maps.Copy(outcomes, p.Rules)
	}
	theirs := failing(o.Stream, outcomes)
	for id, outcome := range outcomes {
		rule := o.Stream.Rules[id]
		line := report.OpinionRule{
			ID: id, Title: rule.Title, Severity: rule.Severity, Level: levels[id], Sections: rule.Sections,
			Result: outcome.Result, Why: outcome.Why,
		}
		failed := false
		for _, section := range rule.Sections {
			line.Ours = control.Worst(line.Ours, ours[section].result)
			line.Controls = append(line.Controls, ours[section].controls...)
			failed = failed || theirs[section]
		}
		line.Standing = standing(line, outcome, failed)
		opinion.Rules = append(opinion.Rules, line)
	}
	opinion.Sort()
	return opinion
}

// section is what is said here by one section.
type section struct {
	result control.Result
	// controls are those that have the section's result.
	controls []string
}

// sectionsOf are the sections of the benchmarks that were written for the
// platform, with what a report says by them.
func sectionsOf(set *control.Set, r *control.Report) map[string]section {
	results := map[string]control.Result{}
	for _, f := range r.Findings {
		results[f.Control] = f.Result
	}
	sections := map[string]section{}
	for _, score := range r.Scores { // the highest level comes last
		b := set.Benchmarks[score.Benchmark]
		if b == nil || !slices.Contains(b.Platforms, r.Platform) {
			continue
		}
		for _, s := range score.Sections {
			sections[s.Section] = section{result: s.Result}
		}
		for _, s := range b.Sections {
			known, ok := sections[s.ID]
			if !ok {
				continue
			}
			known.controls = nil
			for _, id := range s.Controls {
				if results[id] == known.result {
					known.controls = append(known.controls, id)
				}
			}
			sections[s.ID] = known
		}
	}
	return sections
}

// failing are the sections by which oscap found something, and could.
func failing(s *Stream, outcomes map[string]RuleOutcome) map[string]bool {
	found := map[string]bool{}
	for id, outcome := range outcomes {
		if outcome.Result == "fail" && outcome.Offline {
			for _, section := range s.Rules[id].Sections {
				found[section] = true
			}
		}
	}
	return found
}

// standing compares two results of one rule. failed says that oscap found
// something by one of its sections, by this rule or another one.
func standing(r report.OpinionRule, outcome RuleOutcome, failed bool) report.Standing {
	switch {
	case r.Result == "notapplicable":
		return report.NotOfIt
	case !outcome.Offline:
		return report.Untold
	case r.Result != "pass" && r.Result != "fail":
		return report.Unjudged
	case r.Ours == "":
		return report.Unmapped
	}
	switch r.Ours {
	case control.Pass:
		if r.Result == "fail" {
			return report.Differs
		}
	case control.Fail, control.Waived, control.Error:
		// A section has several rules: that one of them passes says nothing
		// against its failure where another one fails too.
		if r.Result == "pass" && !failed {
			return report.Differs
		}
	default:
		return report.Alone
	}
	return report.Agrees
}
