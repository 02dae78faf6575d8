package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/baseline"
	"imgbuild/images/baselines"
	"imgbuild/images/control"
)

// benchmarkPages are a page for each benchmark: every section, and what of ours
// meets it; and one for each guide.
func benchmarkPages(t *testing.T) map[string]string {
	t.Helper()
	set := shippedControls(t)
	pages := map[string]string{}
	for _, id := range benchmarkIDs(set) {
		pages["benchmark-"+id+".md"] = benchmarkPage(set, set.Benchmarks[id])
	}
	for id, guide := range set.Guides {
		pages["reference-"+id+".md"] = guidePage(guide)
	}
	return pages
}

// guidePage lists the requirements of a guide that controls help to meet.
func guidePage(g *control.Guide) string {
	by := map[string][]string{}
	for id, requirements := range g.Controls {
		for _, r := range requirements {
			by[r] = append(by[r], id)
		}
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# %s, version %s\n\nMade from `images/baselines/controls/references`: what of our controls helps to meet which of its requirements.\n"+
		"%d requirements, %d controls. A control shows part of a requirement, seldom all of it; a scan has no score of it.\n"+
		"The text of the requirements is published by its authors.\n\n| requirement | controls |\n|---|---|\n", g.Title, g.Version, len(by), len(g.Controls))
	for _, r := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[r])
		fmt.Fprintf(&page, "| %s | `%s` |\n", r, strings.Join(by[r], "`, `"))
	}
	return page.String()
}

func shippedControls(t *testing.T) *control.Set {
	t.Helper()
	source, err := baseline.NewSource("", baselines.FS())
	if err != nil {
		t.Fatal(err)
	}
	set, err := source.Controls()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func benchmarkPage(set *control.Set, b *control.Benchmark) string {
	var page strings.Builder
	manual := 0
	for _, s := range b.Sections {
		if s.Manual != "" {
			manual++
		}
	}
	fmt.Fprintf(&page, "# %s, version %s\n\nMade from the definitions in `images/baselines/controls`. %d sections; %d of them are for a person to look at.\n\n"+
		"The words are ours: the benchmark itself is published by its authors.\n\n| section | level | control | severity | what is demanded |\n|---|---|---|---|---|\n",
		b.Title, b.Version, len(b.Sections), manual)
	for _, s := range b.Sections {
		if s.Manual != "" {
			fmt.Fprintf(&page, "| %s | %d | manual | | %s: %s |\n", s.ID, s.Level, cell(s.Title), cell(s.Manual))
		}
		for _, id := range slices.Sorted(slices.Values(s.Controls)) {
			c := set.Controls[id]
			fmt.Fprintf(&page, "| %s | %d | `%s` | %s | %s |\n", s.ID, s.Level, id, c.Severity, cell(c.Title))
		}
	}
	return page.String()
}

// TestExamplesNameControlsThatAreThere reads the examples of the pages and of the
// commands' help.
func TestExamplesNameControlsThatAreThere(t *testing.T) {
	set := shippedControls(t)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:controls show|  control:) ([a-z0-9-]+)`).FindAllStringSubmatch(string(text), -1) {
			if set.Controls[m[1]] == nil {
				t.Errorf("%s names the control %q, which is not there", page, m[1])
			}
		}
	}
}

// cell is a text in a table's cell.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
}
