// Package gate judges whether an image may enter a channel: the gates of its
// recipe held against what is known of the finished version. It is pure: it
// reads nothing itself, and never decides what follows from a no.
package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
	// Now is when waivers must hold.
	Now time.Time
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
		refusals = append(refusals, scanned(gates, facts)...)
	}
	slices.SortFunc(refusals, func(a, b Refusal) int { return strings.Compare(a.Gate+"\x00"+a.Why, b.Gate+"\x00"+b.Why) })
	return refusals
}

// scanned are the gates that say no to what scans found. A form that was not
// scanned whole is refused: what was not looked at is not passed.
func scanned(gates baseline.Gates, facts Facts) []Refusal {
	var refusals []Refusal
	for _, form := range facts.Forms {
		r := facts.Reports[form]
		no := func(gate, why string, args ...any) {
			refusals = append(refusals, Refusal{gate + "." + string(form), fmt.Sprintf(why, args...)})
		}
		if r == nil {
			no("scan", "it was not scanned")
			continue
		}
		if r.Narrowed {
			no("scan", "it was held to some benchmarks or levels only")
			continue
		}
		if gates.NoFail != "" {
			if len(r.Findings) == 0 {
				no("no-fail", "no control was held against it")
			}
			for _, f := range r.Failed(gates.NoFail, facts.Now) {
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
			for _, u := range r.Unseen {
				no("clean", "%s was not looked at", u)
			}
			if !r.Compared {
				no("clean", "it was not compared with its manifest")
			}
		}
	}
	return append(refusals, scores(gates, facts)...)
}

// scores are the least scores that are not reached. A benchmark that says
// nothing of one form, such as of a container, is held against the others; one
// that says nothing of any is not passed.
func scores(gates baseline.Gates, facts Facts) []Refusal {
	var refusals []Refusal
	for benchmark, least := range gates.MinScore {
		for level, percent := range []int{1: least.Level1, 2: least.Level2} {
			gate, held := fmt.Sprintf("min-score.%s.level-%d", benchmark, level), false
			for _, form := range facts.Forms {
				r := facts.Reports[form]
				if r == nil || percent == 0 {
					continue
				}
				score, ok := r.Score(benchmark, level)
				if held = held || ok; ok && score.Percent() < float64(percent) {
					refusals = append(refusals, Refusal{gate + "." + string(form), fmt.Sprintf("the score is %.2f %%, at least %d %% are asked for", score.Percent(), percent)})
				}
			}
			if percent != 0 && !held {
				refusals = append(refusals, Refusal{gate, "nothing of the benchmark was held against it"})
			}
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
		WithHint("change the recipe or its gates and bake again; after a change of waivers, imgbuild scan %s --attach", image)
}
