package openscap_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/scan/openscap"
	"imgbuild/images/fault"
)

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestResultsAreReadWholeOrNotAtAll(t *testing.T) {
	text := read(t, "testdata/results.xml")
	got, err := openscap.ReadResults(strings.NewReader(text), "p")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"xccdf_test_rule_one": "pass", "xccdf_test_rule_two": "fail", "xccdf_test_rule_three": "notselected"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, text := range map[string]string{
		"no end":         strings.Replace(text, ` end-time="2026-01-31T12:00:09"`, "", 1),
		"cut off":        text[:strings.LastIndex(text, "</Benchmark>")],
		"a new result":   strings.Replace(text, "<result>pass", "<result>maybe", 1),
		"no result":      strings.Replace(text, "<result>pass</result>", "", 1),
		"a rule twice":   strings.Replace(text, "rule_two", "rule_one", 1),
		"no rules":       strings.NewReplacer("rule-result", "rule-nothing").Replace(text),
		"another format": strings.Replace(text, "xccdf/1.2", "xccdf/1.1", 1),
		"nothing":        "",
	} {
		if got, err := openscap.ReadResults(strings.NewReader(text), "p"); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := openscap.ReadResults(strings.NewReader(text), "q"); err == nil {
		t.Error("they count for another profile")
	}
}

func TestAStreamTellsItsRulesAndProfiles(t *testing.T) {
	text := read(t, stream)
	s, err := openscap.ReadStream(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if s.Benchmark != "xccdf_test.imgbuild_benchmark_small" || s.Version != "1.0.0" || len(s.Rules) != 11 || len(s.Profiles) != 2 {
		t.Errorf("%s %s: %d rules, %d profiles", s.Benchmark, s.Version, len(s.Rules), len(s.Profiles))
	}
	want := &openscap.Rule{
		ID: "xccdf_test.imgbuild_rule_package_of_tree", Title: "A package that the tree has, and the scanner's machine has not", Severity: "medium", Sections: []string{"1.1.1"},
	}
	if d := cmp.Diff(want, s.Rules[want.ID]); d != "" {
		t.Error(d)
	}
	for level, first := range map[int]int{1: 1, 2: 2} {
		if p, err := s.Levels(level); err != nil || len(p) != level || p[0].Level != first {
			t.Errorf("level %d: %v, %v", level, p, err)
		}
	}
	other, err := openscap.ReadStream(strings.NewReader(strings.ReplaceAll(text, "_cis_level", "_house_")))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := other.Levels(2); err != nil || len(p) != 1 || p[0].Level != 0 {
		t.Errorf("without levels: %v, %v", p, err)
	}
}

// TestOneRunAnswersForASmallerProfile only when it is asked for nothing else.
func TestOneRunAnswersForASmallerProfile(t *testing.T) {
	text := read(t, stream)
	const first = `<title>Level 1</title>`
	for name, tc := range map[string]struct {
		text string
		want bool
	}{
		"as it is":      {text, true},
		"another value": {strings.Replace(text, first, first+`<set-value idref="v">1</set-value>`, 1), false},
		"another rule":  {strings.Replace(text, `rule_level2_motd" selected="true"`, `rule_level2_motd" selected="false"`, 1), true},
		"a rule more":   {strings.Replace(text, `rule_level2_motd" selected="false"`, `rule_other" selected="true"`, 1), false},
		"a parent":      {strings.Replace(text, `cis_level1_server">`, `cis_level1_server" extends="x">`, 1), false},
	} {
		s, err := openscap.ReadStream(strings.NewReader(tc.text))
		if err != nil || s.Within() != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStreamsThatAreNoneAreTheUsersToMend(t *testing.T) {
	text := read(t, stream)
	for name, text := range map[string]string{
		"nothing":      "",
		"no checklist": "<a/>",
		"cut off":      text[:len(text)/4],
		"two rules":    strings.Replace(text, `Rule id="xccdf_test.imgbuild_rule_tmp_nodev"`, `Rule id="xccdf_test.imgbuild_rule_owner"`, 1),
		"deep":         strings.Replace(text, "<title>Small</title>", strings.Repeat("<Group>", 1000), 1),
		"no rules":     `<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2"/>`,
	} {
		if _, err := openscap.ReadStream(strings.NewReader(text)); fault.KindOf(err) != fault.Input {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add(read(f, stream))
	f.Add(`<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2"><Group><Rule id="r"/></Group></Benchmark>`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := openscap.ReadStream(strings.NewReader(text))
		if err == nil && (len(s.Rules) == 0 || len(s.Rules) > len(text)) {
			t.Errorf("%d rules of %d bytes", len(s.Rules), len(text))
		}
	})
}

func FuzzReadResults(f *testing.F) {
	f.Add(read(f, "testdata/results.xml"))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := openscap.ReadResults(strings.NewReader(text), "p")
		if err == nil && len(got) == 0 {
			t.Error("results of nothing")
		}
	})
}
