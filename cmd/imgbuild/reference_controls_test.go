package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/baseline"
	"imgbuild/images/baselines"
	"imgbuild/images/control"
)

// benchmarkPages are a page for each benchmark: every section, and what of ours
// meets it.
func benchmarkPages(t *testing.T) map[string]string {
	t.Helper()
	source, err := baseline.NewSource("", baselines.FS())
	if err != nil {
		t.Fatal(err)
	}
	set, err := source.Controls()
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, id := range benchmarkIDs(set) {
		pages["benchmark-"+id+".md"] = benchmarkPage(set, set.Benchmarks[id])
	}
	return pages
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

// cell is a text in a table's cell.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
}
