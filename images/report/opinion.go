package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/control"
)

// Opinion is what another engine said of the same output, by rules of its own.
type Opinion struct {
	// Engine is its name and version: "OpenSCAP 1.3.7".
	Engine string `json:"engine"`
	// Content is where its rules come from, with their version, and ContentDigest
	// the SHA-256 of that file.
	Content       string `json:"content"`
	ContentDigest string `json:"content_sha256"`
	// Profiles are the choices of rules that were looked at, the smallest first.
	Profiles []OpinionProfile `json:"profiles"`
	// Rules are those that were chosen, by section and id.
	Rules []OpinionRule `json:"rules"`
}

// OpinionProfile adds up the rules of one choice. It is the engine's own count:
// nothing was taken out of it.
type OpinionProfile struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Level is that of the benchmark it is made after; 0 for none.
	Level int `json:"level,omitempty"`
	// Counts are of rules by result, as the engine calls them: "pass", "fail",
	// "error", "unknown", "notchecked", "notapplicable", "informational".
	Counts map[string]int `json:"counts"`
}

// Percent is the share of the rules that pass among those that pass or fail; 0
// without any.
func (p OpinionProfile) Percent() float64 {
	pass, fail := p.Counts["pass"], p.Counts["fail"]
	if pass+fail == 0 {
		return 0
	}
	return 100 * float64(pass) / float64(pass+fail)
}

// OpinionRule is what the engine said by one rule, next to what this program
// says by the same sections of a benchmark.
type OpinionRule struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Severity string `json:"severity,omitempty"`
	// Level is the lowest of the profiles that have the rule.
	Level    int      `json:"level,omitempty"`
	Sections []string `json:"sections,omitempty"`
	// Result is the engine's, Why the checks that were not met.
	Result string   `json:"result"`
	Why    []string `json:"why,omitempty"`
	// Ours is the result of the sections here, the worst of several; Controls are
	// those that it comes from, with their results.
	Ours     control.Result `json:"ours,omitempty"`
	Controls []string       `json:"controls,omitempty"`
	Standing Standing       `json:"standing"`
}

// Standing is how two opinions of one rule stand to each other.
type Standing string

// The standings.
const (
	// Agrees and Differs are of rules that both have judged.
	Agrees  Standing = "agrees"
	Differs Standing = "differs"
	// Alone is a rule that only the engine judges: here a person has to look, or
	// it does not apply.
	Alone Standing = "alone"
	// Unmapped is a rule that names no section that is known here.
	Unmapped Standing = "unmapped"
	// Untold is a rule that asks about a machine that runs. Of an image that does
	// not, its answer is none, or one about the scanner's own machine.
	Untold Standing = "not to be told offline"
	// Unjudged is a rule that the engine could not judge.
	Unjudged Standing = "not judged"
	// NotOfIt is a rule that does not apply.
	NotOfIt Standing = "not applicable"
)

// standings are in the order in which they are shown.
var standings = []Standing{Differs, Alone, Unmapped, Unjudged, Untold, Agrees, NotOfIt}

// By are the rules of one standing.
func (o *Opinion) By(s Standing) []OpinionRule {
	var list []OpinionRule
	for _, r := range o.Rules {
		if r.Standing == s {
			list = append(list, r)
		}
	}
	return list
}

// Sort puts the rules into their order.
func (o *Opinion) Sort() {
	slices.SortFunc(o.Rules, func(a, b OpinionRule) int {
		return cmp.Or(control.CompareSections(first(a.Sections), first(b.Sections)), strings.Compare(a.ID, b.ID))
	})
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// Short is a rule's id without what all ids of its content begin with.
func (r OpinionRule) Short() string {
	if _, short, ok := strings.Cut(r.ID, "_rule_"); ok {
		return short
	}
	return r.ID
}

// Both says what the two opinions are.
func (r OpinionRule) Both(engine string) string {
	ours := string(r.Ours)
	if ours == "" {
		ours = "nothing"
	}
	if len(r.Controls) > 0 {
		ours += " (" + strings.Join(r.Controls, ", ") + ")"
	}
	return fmt.Sprintf("%s says %s, imgbuild %s", engine, r.Result, ours)
}

// Counted is how many rules there are of each standing, in their order, in a few
// words.
func (o *Opinion) Counted() string {
	var words []string
	for _, s := range standings {
		if n := len(o.By(s)); n > 0 {
			words = append(words, fmt.Sprintf("%s: %d", s, n))
		}
	}
	return strings.Join(words, ", ")
}
