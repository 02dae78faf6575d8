package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"imgbuild/images/control"
)

//go:embed page.html
var pageSource string

// Page writes a report as one page that needs nothing else: scores by benchmark
// and section, what has changed since the report before (nil without one), and
// every rule with its evidence, to be filtered by result, severity and word.
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
	Scores  []pageScore
	Items   []pageItem
	Results []counted
	// Before names the report that is compared with.
	Before string
}

type pageScore struct {
	control.Score
	// Change is against the report before, such as "+1.2"; empty without one.
	Change  string
	Chapter []chapter
}

// chapter adds up the sections of one chapter of a benchmark.
type chapter struct {
	Number     string
	Pass, Fail int
}

// Share is how much of the chapter passes, in percent.
func (c chapter) Share() int {
	if c.Pass+c.Fail == 0 {
		return 0
	}
	return 100 * c.Pass / (c.Pass + c.Fail)
}

// Total is how many sections of the chapter say something.
func (c chapter) Total() int { return c.Pass + c.Fail }

type pageItem struct {
	item
	Lines []string
	// Was is the result in the report before, when it was another one.
	Was control.Result
}

type counted struct {
	Result control.Result
	Count  int
}

func newPageData(r, before *Report) pageData {
	data := pageData{Report: r}
	earlier := map[string]control.Result{}
	scores := map[string]control.Score{}
	if before != nil {
		data.Before = before.Target
		for _, i := range items(before) {
			earlier[i.Rule] = i.Result
		}
		for _, s := range before.Scores {
			scores[scoreName(s)] = s
		}
	}
	for _, s := range r.Scores {
		shown := pageScore{Score: s, Chapter: chapters(s)}
		if was, ok := scores[scoreName(s)]; ok {
			shown.Change = fmt.Sprintf("%+.1f", s.Percent()-was.Percent())
		}
		data.Scores = append(data.Scores, shown)
	}
	for _, i := range items(r) {
		shown := pageItem{item: i, Lines: i.lines()}
		if i.Result == control.Pass && len(shown.Lines) == 0 {
			for _, name := range i.Looked {
				shown.Lines = append(shown.Lines, "as it should be: "+plain(name))
			}
		}
		if was, ok := earlier[i.Rule]; ok && was != i.Result {
			shown.Was = was
		}
		data.Items = append(data.Items, shown)
		at := slices.IndexFunc(data.Results, func(c counted) bool { return c.Result == i.Result })
		if at < 0 {
			at, data.Results = len(data.Results), append(data.Results, counted{Result: i.Result})
		}
		data.Results[at].Count++
	}
	return data
}

func scoreName(s control.Score) string { return fmt.Sprintf("%s %d", s.Benchmark, s.Level) }

// chapters adds up what passes and fails by the first number of the sections.
func chapters(s control.Score) []chapter {
	var list []chapter
	for _, section := range s.Sections {
		number, _, _ := strings.Cut(section.Section, ".")
		if len(list) == 0 || list[len(list)-1].Number != number {
			list = append(list, chapter{Number: number})
		}
		last := &list[len(list)-1]
		switch section.Result {
		case control.Pass:
			last.Pass++
		case control.Fail, control.Error, control.Waived:
			last.Fail++
		}
	}
	return list
}
