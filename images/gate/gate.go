// Package gate judges whether an image may enter a channel: the gates of its
// recipe held against what is known of the finished version. It is pure: it
// reads nothing itself, and never decides what follows from a no.
package gate

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// Facts are what is known of a finished version.
type Facts struct {
	// Sizes are the stored sizes of its outputs in bytes, by output name:
	// "container", "qcow2", "raw".
	Sizes map[string]int64
	// Packages are the names of all packages in any output.
	Packages []string
	// Forms are those that it has, Reports what scans found of them.
	Forms   []control.Output
	Reports map[control.Output]*report.Report
}

// Refusal is a gate that said no.
type Refusal struct {
	// Gate is its key in the recipe, such as "max-size.container".
	Gate string `json:"gate"`
	// Why says what was found and what was wanted.
	Why string `json:"why"`
}

// Judge holds facts against gates and returns those that say no, in order. A
// gate about an output that the version does not have says no: what cannot be
// seen is not passed.
func Judge(gates baseline.Gates, facts Facts) []Refusal {
	var refusals []Refusal
	for output, most := range gates.MaxSize {
		size, known := facts.Sizes[output]
		name := "max-size." + output
		switch {
		case !known:
			refusals = append(refusals, Refusal{name, "the version has no such output"})
		case size > int64(most):
			refusals = append(refusals, Refusal{name, fmt.Sprintf("it has %s, at most %s are allowed", mib(size), mib(int64(most)))})
		}
	}
	for _, name := range gates.ForbidPackages {
		if slices.Contains(facts.Packages, name) {
			refusals = append(refusals, Refusal{"forbid-packages." + name, "the package is installed"})
		}
	}
	if gates.Scanned() {
		for _, form := range facts.Forms {
			refusals = append(refusals, scanned(gates, form, facts.Reports[form])...)
		}
	}
	slices.SortFunc(refusals, func(a, b Refusal) int { return strings.Compare(a.Gate, b.Gate) })
	return refusals
}

// scanned are the gates that say no to what a scan found of one form.
func scanned(gates baseline.Gates, form control.Output, r *report.Report) []Refusal {
	if r == nil {
		return []Refusal{{"scan." + string(form), "it was not scanned"}}
	}
	var refusals []Refusal
	no := func(gate, why string, args ...any) {
		refusals = append(refusals, Refusal{gate + "." + string(form), fmt.Sprintf(why, args...)})
	}
	for benchmark, least := range gates.MinScore {
		for level, percent := range []int{1: least.Level1, 2: least.Level2} {
			if percent == 0 {
				continue
			}
			gate := fmt.Sprintf("min-score.%s.level-%d", benchmark, level)
			score, ok := r.Score(benchmark, level)
			switch {
			case !ok && form == control.Container: // what is for machines says nothing of it
			case !ok:
				no(gate, "nothing of the benchmark was held against it")
			case score.Percent() < float64(percent):
				no(gate, "the score is %.1f %%, at least %d %% are asked for", score.Percent(), percent)
			}
		}
	}
	if gates.NoFail != "" {
		for _, f := range r.Failed(gates.NoFail) {
			no("no-fail."+f.Control, "%s (%s) has the result %s", f.Title, f.Severity, f.Result)
		}
	}
	if gates.Clean {
		for _, s := range r.Strays {
			no("clean", "%s", s)
		}
		for _, d := range r.Drift {
			no("clean", "%s", d)
		}
		if !r.Compared {
			no("clean", "it was not compared with its manifest")
		}
	}
	return refusals
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// Error is the refusals as one error of kind fault.Gate; nil without any.
func Error(image string, refusals []Refusal) error {
	if len(refusals) == 0 {
		return nil
	}
	var all []string
	for _, r := range refusals {
		all = append(all, r.Gate+": "+r.Why)
	}
	return fault.Gatef("%s does not pass the gates of its recipe: %s", image, strings.Join(all, "; ")).
		WithHint("change what the recipe installs, or its gates, and bake again")
}
