package node_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

func parse(text string) (*node.Node, error) {
	return node.Parse("a.yaml", fstest.MapFS{}, "a.yaml", []byte(text))
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"nested deeper than":    "a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40),
		"nested deeper":         strings.Repeat("- ", 50_000) + "a",
		"deeper than 32 levels": strings.Repeat("{a: ", 100_000),
		"larger than 1 MiB":     strings.Repeat("#", 1<<20+1),
		"more than 100000":      "a: [" + strings.Repeat("1,", 100_001) + "]",
		"not UTF-8":             "a: \xff",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), name) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestPlainIsWhatPeopleExpectOfJSON(t *testing.T) {
	n, err := parse("on: true\nport: 80\nmode: 0644\nname: '80'\nlist: [a, 1]\nempty: {}\nnone:\n")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(node.Plain(n))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"empty":{},"list":["a",1],"mode":"0644","name":"80","none":null,"on":true,"port":80}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if node.Plain(nil) != nil {
		t.Error("nothing is something")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"packages", "resources", "path-exclude", "path-include", "run"}
	for word, want := range map[string]string{
		"pakages": "packages", "Packages": "packages", "recources": "resources", "pathexclude": "path-exclude", "rnu": "run", "zzzzzz": "", "": "",
	} {
		if got := node.Nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// FuzzParse feeds the parser anything: it answers with a tree or with a fault
// of the input that has a place, and what it read it can write and read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "a: b", "a: [1, {b: c}]\nd:\n  - e\n  - f: g\n", "a: |\n  x\n\n  y\nb: >-\n  c\n  d\n", "a: \"\\u00e9\\n\"\n'b': 'it''s'\n",
		"a: &x 1\nb: *x\n", "? a\n: b\n", "<<: {a: b}", "a: 0644\nb: 0x1f\nc: -3\nd: ~\ne:\n", "- a\n- - b\n  - c\n", "a: b\n---\nc: d\n", "\ufeffa: b", "{a, b}", "a: 'x", "%YAML 1.2\n---\na: b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := node.Parse("f.yaml", fstest.MapFS{}, "f.yaml", data)
		if err != nil {
			if fault.KindOf(err) != fault.Input || !strings.HasPrefix(err.Error(), "f.yaml:") {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		var text strings.Builder
		for _, l := range node.Lines(tree) {
			text.WriteString(l.Text + "\n")
		}
		if tree.Kind != node.Map && tree.Kind != node.List {
			return
		}
		again, err := node.Parse("g.yaml", fstest.MapFS{}, "g.yaml", []byte(text.String()))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text.String())
		}
		if a, b := string(node.Canonical(tree)), string(node.Canonical(again)); len(tree.Entries)+len(tree.Items) > 0 && a != b {
			t.Fatalf("changed by writing and reading:\n%s\n%s\n%s", a, b, text.String())
		}
	})
}
