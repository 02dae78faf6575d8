package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

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
	// those that it comes from.
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

// standings are in the order in which they are shown, with what each means.
var standings = []struct {
	Standing
	meaning string
}{
	{Differs, "both judge, and not alike"},
	{Alone, "a person has to look here, or the control does not apply; only the other engine judges"},
	{Unmapped, "no section that is known here stands for the rule"},
	{Unjudged, "the other engine could not judge"},
	{Untold, "asks about a machine that runs: of an image there is no answer, or one about the scanner's machine"},
	{Agrees, "both judge alike"},
	{NotOfIt, "does not apply to this system"},
}

// Standings are the rules of each standing that has any.
func (o *Opinion) Standings() []StandingRules {
	var list []StandingRules
	for _, s := range standings {
		if rules := o.By(s.Standing); len(rules) > 0 {
			list = append(list, StandingRules{s.Standing, s.meaning, rules})
		}
	}
	return list
}

// StandingRules are the rules of one standing, and what it means.
type StandingRules struct {
	Standing Standing
	Meaning  string
	Rules    []OpinionRule
}

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

// because is what Why of a rule says.
func (r OpinionRule) because() string {
	if r.Result == "fail" {
		return "not met"
	}
	return "besides"
}

// Counted is how many rules there are of each standing, in their order, in a few
// words.
func (o *Opinion) Counted() string {
	var words []string
	for _, s := range o.Standings() {
		words = append(words, fmt.Sprintf("%s: %d", s.Standing, len(s.Rules)))
	}
	return strings.Join(words, ", ")
}

// told are the rules that a reader wants to see one by one: what the two do not
// agree on, and what the engine alone finds not met. Where only this program finds
// something by a section, the engine's rules of it are one.
func (o *Opinion) told() []OpinionRule {
	var list []OpinionRule
	passed := map[string]int{}
	for _, r := range o.By(Differs) {
		if r.Result == "pass" {
			sections := strings.Join(r.Sections, ", ")
			if passed[sections]++; passed[sections] > 1 {
				continue
			}
		}
		list = append(list, r)
	}
	for i, r := range list {
		if more := passed[strings.Join(r.Sections, ", ")] - 1; r.Result == "pass" && more > 0 {
			list[i].Why = []string{fmt.Sprintf("further rules of the section that pass: %d", more)}
		}
	}
	for _, s := range []Standing{Alone, Unmapped} {
		for _, r := range o.By(s) {
			if r.Result == "fail" {
				list = append(list, r)
			}
		}
	}
	return list
}

// opinionPrefix begins the ids of items that are rules of another engine.
const opinionPrefix = "second-opinion-"

// opinions are the items of what a person has to look at, since two engines do
// not agree or only the other one can tell.
func opinions(o *Opinion) []item {
	if o == nil {
		return nil
	}
	var list []item
	for _, r := range o.told() {
		list = append(list, item{
			Rule: opinionPrefix + r.Short(), Title: r.Title, Severity: control.Low, Result: control.Manual,
			Why: r.Both(o.Engine), Evidence: r.Why, Sections: r.Sections,
		})
	}
	return list
}

// write writes an opinion for a terminal.
func (o *Opinion) write(w io.Writer) error {
	fmt.Fprintf(w, "\nsecond opinion: %s by %s\n\n", plain(o.Engine), plain(o.Content))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "level\tscore\tpass\tfail\terror\tunknown\tnot checked\tnot applicable")
	for _, p := range o.Profiles {
		fmt.Fprintf(table, "%s\t%.1f %%", p.Name(), p.Percent())
		for _, result := range []string{"pass", "fail", "error", "unknown", "notchecked", "notapplicable"} {
			fmt.Fprintf(table, "\t%d", p.Counts[result])
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nrules next to our controls: %s\n", o.Counted())
	for _, r := range o.told() {
		fmt.Fprintf(w, "%-7s  %s: %s\n", r.Standing, plain(r.Short()), plain(r.Title))
		fmt.Fprintf(w, "         %s: %s\n", plain(cmp.Or(strings.Join(r.Sections, ", "), "no section")), plain(r.Both(o.Engine)))
		for _, why := range r.Why[:min(len(r.Why), 2)] {
			fmt.Fprintf(w, "         %s: %s\n", r.because(), plain(why))
		}
	}
	return nil
}

// Name is a profile's level, or its title where it is of none.
func (p OpinionProfile) Name() string {
	if p.Level > 0 {
		return strconv.Itoa(p.Level)
	}
	return plain(p.Title)
}
