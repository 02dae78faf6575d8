package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDependenciesPointOneWay holds the imports of the tree to
// docs/architecture.md.
func TestDependenciesPointOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "imgbuild/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	rank := map[string]int{"images": 0, "provisioners": 1, "builder": 2, "ci": 3, "cmd": 4}
	top := func(path string) (int, bool) {
		rest, own := strings.CutPrefix(path, "imgbuild/")
		first, _, _ := strings.Cut(rest, "/")
		r, known := rank[first]
		return r, own && known
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from, ok := top(words[0])
		if !ok {
			t.Errorf("%s lies outside the house", words[0])
		}
		for _, imported := range words[1:] {
			if to, own := top(imported); own && to > from {
				t.Errorf("%s imports %s", words[0], imported)
			}
		}
	}
}
