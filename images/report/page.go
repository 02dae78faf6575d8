package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"imgbuild/images/control"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// Page writes a report as one page that needs nothing else and may load nothing:
// scores by benchmark and section, what has changed since the report before (nil
// without one), and every rule with its evidence, the worst first, to be filtered
// by result, severity, section and word.
func Page(w io.Writer, r, before *Report) error {
	page, err := template.New("page").Parse(pageSource)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	return page.Execute(w, newPageData(r, before))
}

// pageData is what the template shows.
type pageData struct {
	*Report
	Benchmarks []pageBenchmark
	// CVEs is nil where nobody looks for any.
	CVEs    *pageCVEs
	Items   []pageItem
	Results []counted
	// Before names the report that is compared with, Changed is how many rules
	// have another result than there.
	Before  string
	Changed int

	// Policy lets a browser use the page's own style and script and nothing else
	// (Content Security Policy Level 3, W3C), whatever an image's text makes of it.
	Policy string
	Style  template.CSS
	Script template.JS
}

type pageItem struct {
	item
	Lines []string
	// Was is the result in the report before, when it was another one.
	Was control.Result
	// References are the sections by benchmark; Marks has them once more, for
	// the filter.
	References []pageReference
	Marks      string
	// Weight orders severities, from 0.
	Weight int
}

type pageReference struct{ Name, IDs string }

type counted struct {
	Result control.Result
	Count  int
}

// shownFirst are results from those that somebody has to do something about.
var shownFirst = []control.Result{control.Fail, control.Error, control.Waived, control.Manual, control.Pass, control.NotApplicable}

func newPageData(r, before *Report) pageData {
	data := pageData{
		Report: r, Benchmarks: pageBenchmarks(r, before), CVEs: newPageCVEs(r, before),
		Policy: "default-src 'none'; base-uri 'none'; form-action 'none'; style-src " + sourceHash(pageStyle) + "; script-src " + sourceHash(pageScript),
		Style:  template.CSS(pageStyle), Script: template.JS(pageScript),
	}
	earlier := map[string]control.Result{}
	if before != nil {
		data.Before = before.Target
		for _, i := range rules(before) {
			earlier[i.Rule] = i.Result
		}
	}
	for _, i := range rules(r) {
		shown := newPageItem(i)
		if was, ok := earlier[i.Rule]; ok && was != i.Result {
			shown.Was = was
			data.Changed++
		}
		data.Items = append(data.Items, shown)
	}
	slices.SortStableFunc(data.Items, func(a, b pageItem) int {
		return cmp.Or(slices.Index(shownFirst, a.Result)-slices.Index(shownFirst, b.Result), b.Weight-a.Weight)
	})
	for _, result := range shownFirst {
		n := 0
		for _, i := range data.Items {
			if i.Result == result {
				n++
			}
		}
		if n > 0 {
			data.Results = append(data.Results, counted{result, n})
		}
	}
	return data
}

func newPageItem(i item) pageItem {
	shown := pageItem{item: i, Lines: bounded(i.lines()), Marks: strings.Join(i.Sections, "|")}
	for _, s := range []control.Severity{control.Medium, control.High, control.Critical} {
		if i.Severity.AtLeast(s) {
			shown.Weight++
		}
	}
	if i.Result == control.Pass && len(shown.Lines) == 0 {
		for _, name := range i.Looked {
			shown.Lines = append(shown.Lines, "as it should be: "+plain(name))
		}
	}
	for _, section := range i.Sections {
		name, id, _ := strings.Cut(section, " ")
		if last := len(shown.References) - 1; last >= 0 && shown.References[last].Name == name {
			shown.References[last].IDs += ", " + id
			continue
		}
		shown.References = append(shown.References, pageReference{name, id})
	}
	return shown
}

// sourceHash is how a policy names an element by its text.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
