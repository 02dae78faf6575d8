package control_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// setOf loads controls and a benchmark.
func setOf(t *testing.T, controls, sections string) *control.Set {
	t.Helper()
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{
		"c.yaml":                {Data: []byte(controls)},
		"benchmarks/house.yaml": {Data: []byte("{title: t, version: '1', platforms: [debian-12], sections: " + sections + "}")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestWhatChangedOfControls(t *testing.T) {
	const motd = "motd: {title: t, severity: low, rationale: r, resources: {files: {/etc/motd: {mode: '0644', owner: root}}}}\n"
	const issue = "issue: {title: i, severity: low, rationale: r, resources: {files: {/etc/issue: {mode: '0644'}}}}\n"
	const both = "{1.1.1: {level: 1, controls: [motd]}, 1.1.2: {level: 1, controls: [issue]}}"
	for name, c := range map[string]struct {
		from, to, fromSections, toSections string
		want                               []control.Change
	}{
		"nothing":   {from: motd + issue, to: motd + issue},
		"its words": {from: motd + issue, to: strings.Replace(motd, "rationale: r", "rationale: other", 1) + issue},
		"its order": {from: motd + issue, to: issue + strings.Replace(motd, "mode: '0644', owner: root", "owner: root, mode: '0644'", 1)},
		"one more":  {from: motd, to: motd + issue, fromSections: "{1.1.1: {level: 1, controls: [motd]}}", want: []control.Change{{Kind: "added", Control: "issue", Title: "i", Severity: "low"}}},
		"one less":  {from: motd + issue, to: issue, toSections: "{1.1.2: {level: 1, controls: [issue]}}", want: []control.Change{{Kind: "removed", Control: "motd", Title: "t", Severity: "low"}}},
		"its title and severity": {from: motd + issue, to: strings.Replace(motd, "title: t, severity: low", "title: u, severity: high", 1) + issue, want: []control.Change{
			{Kind: "changed", Control: "motd", Title: "u", Severity: "high", Fields: []control.FieldChange{{"title", "t", "u"}, {"severity", "low", "high"}}}}},
		"its state": {from: motd + issue, to: strings.Replace(motd, "0644", "0600", 1) + issue, want: []control.Change{
			{Kind: "changed", Control: "motd", Title: "t", Severity: "low", State: []string{`-     mode: "0644"`, `+     mode: "0600"`}}}},
		"when it applies": {from: motd + issue, to: strings.Replace(motd, "resources:", "when: {files: {/etc/x: {}}}, resources:", 1) + issue, want: []control.Change{
			{Kind: "changed", Control: "motd", Title: "t", Severity: "low", State: []string{"+ when:", "+   files:", "+     /etc/x: {}"}}}},
		"its section": {from: motd + issue, to: motd + issue, toSections: "{1.2.1: {level: 2, controls: [motd]}, 1.1.2: {level: 1, controls: [issue]}}", want: []control.Change{
			{Kind: "changed", Control: "motd", Title: "t", Severity: "low", Fields: []control.FieldChange{{"sections", "1.1.1 (level 1)", "1.2.1 (level 2)"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			sections := func(text string) string {
				if text == "" {
					return both
				}
				return text
			}
			define := func(text, sections string) control.Definitions {
				set := setOf(t, text, sections)
				d, err := set.Definitions("debian-12", nil)
				if err != nil {
					t.Fatal(err)
				}
				of, err := set.DefinitionsOf("house")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(d, of); diff != "" {
					t.Errorf("the benchmark's are others (-platform +benchmark):\n%s", diff)
				}
				document, err := json.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				read, err := control.ReadDefinitions(document)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(d, read); diff != "" {
					t.Errorf("(-written +read):\n%s", diff)
				}
				return read
			}
			got := control.Compare(define(c.from, sections(c.fromSections)), define(c.to, sections(c.toSections)))
			if diff := cmp.Diff(append([]control.Change{}, c.want...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasAppliedIsKept(t *testing.T) {
	set := setOf(t, "a: {title: a, severity: low, rationale: r, outputs: [vm], resources: {files: {/a: {}}}}\nb: {title: b, severity: low, rationale: r, resources: {files: {/b: {}}}}\nc: {title: c, severity: low, rationale: r, resources: {files: {/c: {}}}}\n",
		"{1.1.1: {level: 1, controls: [a]}, 1.1.2: {level: 2, controls: [b]}}")
	d, err := set.Definitions("debian-12", map[control.Output][]*control.Control{
		control.Container: {set.Controls["b"]}, control.Machine: {set.Controls["a"], set.Controls["b"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(d) != 2 || !slices.Equal(d["a"].Applied, []control.Output{control.Machine}) || !slices.Equal(d["b"].Applied, []control.Output{control.Container, control.Machine}) {
		t.Errorf("got %+v", d)
	}
	if _, err := set.DefinitionsOf("hose"); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), `did you mean "house"`) {
		t.Errorf("got %v", err)
	}
	// Of what only a finding is known, the state is not said to have changed.
	old := control.DefinitionsBy([]control.Finding{{Control: "a", Title: "a", Severity: control.Low, References: d["a"].References}})
	if got := control.Compare(old, control.Definitions{"a": d["a"]}); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
	for _, text := range []string{"", "[]", `{"a":{"shell":"x"}}`, "{} {}"} {
		if _, err := control.ReadDefinitions([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// TestEditsLeadFromOneToTheOther takes and adds the lines of random states.
func TestEditsLeadFromOneToTheOther(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []string {
		list := make([]string, 1+random.IntN(12))
		for i := range list {
			list[i] = string(rune('a' + random.IntN(4)))
		}
		return list
	}
	for range 500 {
		from, to := text(), text()
		changes := control.Compare(control.Definitions{"x": {Resources: from}}, control.Definitions{"x": {Resources: to}})
		if slices.Equal(from, to) != (len(changes) == 0) {
			t.Fatalf("%q to %q: %+v", from, to, changes)
		}
		if len(changes) == 0 {
			continue
		}
		count := map[string]int{}
		for _, line := range from {
			count[line]++
		}
		for _, edit := range changes[0].State {
			switch sign, line, _ := strings.Cut(edit, " "); sign {
			case "-":
				count[line]--
			case "+":
				count[line]++
			}
		}
		for _, line := range to {
			count[line]--
		}
		for line, n := range count {
			if n != 0 {
				t.Fatalf("%q to %q by %q: %s is left over %d times", from, to, changes[0].State, line, n)
			}
		}
	}
}

// The requirements of guides have no level to tell.
func TestRequirementsOfGuidesThatChanged(t *testing.T) {
	of := func(references ...control.Reference) control.Definitions {
		return control.Definitions{"motd": {Title: "t", Severity: "low", References: append([]control.Reference{{Benchmark: "house", Section: "1.1", Level: 1}}, references...)}}
	}
	want := []control.Change{{Kind: "changed", Control: "motd", Title: "t", Severity: "low", Fields: []control.FieldChange{
		{"sections", "house 1.1 (level 1)", "house 1.1 (level 1), guide R-7"},
	}}}
	if diff := cmp.Diff(want, control.Compare(of(), of(control.Reference{Benchmark: "guide", Section: "R-7"}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
