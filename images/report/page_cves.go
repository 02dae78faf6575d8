package report

import (
	"fmt"
	"slices"

	"imgbuild/images/advisory"
	"imgbuild/images/control"
)

// pageCVEs is the section of the page about vulnerabilities.
type pageCVEs struct {
	// Why says that nobody looked; then there is nothing else.
	Why string
	// Held and Counted say in words what was held against what, and what there is.
	Held, Counted string
	// Untold is why that nothing more is said is no fact.
	Untold []string
	Feeds  []pageFeed
	// Items are the worst first; More is how many there are besides.
	Items []pageCVE
	More  int
	// Sorts are the sorts that there are; Compared is that it can be told which are
	// new.
	Sorts    []countedSort
	Compared bool
}

type pageFeed struct {
	Feed
	// State is "fresh", or why it is not; Class colours it.
	State, Class string
}

type pageCVE struct {
	*Vulnerability
	// Sort is what somebody can do about it; Class colours it.
	Sort   string
	Class  control.Result
	Weight int
	Marks  []string
	Lines  []string
	// New says that the report before, which was held against advisories too, has
	// it not.
	New bool
}

type countedSort struct {
	Sort  string
	Count int
}

// mostCVEs is how many vulnerabilities a page shows. A report as JSON has all.
const mostCVEs = 5000

// sorts are in the order in which they are shown.
var sorts = []string{"to mend", "no fix yet", "undetermined", "dismissed", "waived"}

func newPageCVEs(r, before *Report) *pageCVEs {
	if r.Live || !r.Looked(CVEs) {
		return nil
	}
	if r.Advised == nil {
		return &pageCVEs{Why: NotLooked}
	}
	page := &pageCVEs{
		Held: fmt.Sprintf("%d packages held against %s", r.Advised.Packages, r.Advised.Sources()), Counted: r.Counted(),
		Compared: before != nil && before.Advised != nil,
		More:     max(0, len(r.Vulnerabilities)-mostCVEs),
	}
	for _, line := range bounded(r.Untold()) {
		page.Untold = append(page.Untold, plain(line))
	}
	for _, f := range r.Advised.Feeds {
		shown := pageFeed{Feed: f, State: "fresh", Class: "up"}
		switch {
		case len(f.Alarms) > 0:
			shown.State, shown.Class = "in alarm: "+plain(f.Alarms[0].Reason), "down"
		case f.FreshBefore.IsZero():
			shown.State, shown.Class = "given, watched by nobody", "dim"
		}
		page.Feeds = append(page.Feeds, shown)
	}
	known := map[string]bool{}
	if before != nil {
		for _, v := range before.Vulnerabilities {
			known[v.ID+" "+v.Source] = true
		}
	}
	counts := map[string]int{}
	for i := range r.Vulnerabilities {
		v := &r.Vulnerabilities[i]
		counts[v.sort(r)]++
		if i >= mostCVEs {
			continue
		}
		shown := pageCVE{Vulnerability: v, Sort: v.sort(r), Class: v.Result(r.At), Weight: v.weight(), Marks: v.marks()[1:]}
		if v.Fixed != "" {
			shown.Marks = append(shown.Marks, "fixed in "+plain(v.fix()))
		}
		shown.New = page.Compared && !known[v.ID+" "+v.Source]
		for _, line := range v.item(r.At).lines() {
			shown.Lines = append(shown.Lines, plain(line))
		}
		page.Items = append(page.Items, shown)
	}
	for _, s := range sorts {
		if counts[s] > 0 {
			page.Sorts = append(page.Sorts, countedSort{s, counts[s]})
		}
	}
	return page
}

// sort is one of sorts.
func (v *Vulnerability) sort(r *Report) string {
	switch {
	case v.Waived(r.At):
		return "waived"
	case v.Dismissed():
		return "dismissed"
	case v.State == advisory.StateUndetermined:
		return "undetermined"
	case v.Fixed == "":
		return "no fix yet"
	}
	return "to mend"
}

// weight orders severities, from 0; what is not rated is as bad as any.
func (v *Vulnerability) weight() int {
	if v.Severity == "" {
		return 3
	}
	return slices.Index([]control.Severity{control.Low, control.Medium, control.High, control.Critical}, v.Severity)
}
