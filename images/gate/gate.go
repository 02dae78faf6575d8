// Package gate judges whether an image may enter a channel: the gates of its
// recipe held against what is known of the finished version. It is pure: it
// reads nothing itself, and never decides what follows from a no.
package gate

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/baseline"
	"imgbuild/images/fault"
)

// Facts are what is known of a finished version.
type Facts struct {
	// Sizes are the stored sizes of its outputs in bytes, by output name:
	// "container", "qcow2", "raw".
	Sizes map[string]int64
	// Packages are the names of all packages in any output.
	Packages []string
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
	slices.SortFunc(refusals, func(a, b Refusal) int { return strings.Compare(a.Gate, b.Gate) })
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
