package openscap_test

import (
	"os"
	"strings"
	"testing"

	"imgbuild/builder/scan/openscap"
)

// TestWhatLooksAtARunningMachineIsToldByWhatItIsMadeOf and matters only where it
// decides.
func TestWhatLooksAtARunningMachineIsToldByWhatItIsMadeOf(t *testing.T) {
	f, err := os.Open("testdata/oval-results.xml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written, told, err := openscap.ReadOVAL(f)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"file": "true", "kernel": "unknown", "path": "unknown", "set": "unknown", "setting": "unknown",
		// What its probe did not answer for does not count, in OVAL neither.
		"sysctl": "true",
		"either": "true", "both": "false", "not-both": "true", "one": "unknown", "uses": "unknown",
		"round": "true", "mounts": "true",
	}
	for id, want := range want {
		id = "oval:t:def:" + id
		if told[id] != want {
			t.Errorf("%s: %q, want %s", id, told[id], want)
		}
		if want != "unknown" && told[id] != written[id] {
			t.Errorf("%s: %q was written", id, written[id])
		}
	}
	if len(told) != len(want) {
		t.Errorf("%d definitions", len(told))
	}
}

// criteriaOf is a file of results with one definition.
func criteriaOf(criteria string) string {
	return `<oval_results><results><system><definitions><definition definition_id="d" result="true">` + criteria +
		`</definition></definitions></system></results></oval_results>`
}

// TestOperators holds every operator against the tables of the schema.
func TestOperators(t *testing.T) {
	short := map[byte]string{'T': "true", 'F': "false", 'U': "unknown", 'E': "error", 'N': "not evaluated", '-': "not applicable"}
	for _, tc := range []struct{ operator, of, want string }{
		{"AND", "TT", "true"}, {"AND", "TF", "false"}, {"AND", "UF", "false"}, {"AND", "TU", "unknown"}, {"AND", "TE", "error"},
		{"AND", "TN", "not evaluated"}, {"AND", "T-", "true"}, {"AND", "--", "not applicable"}, {"AND", "EU", "error"},
		{"OR", "FF", "false"}, {"OR", "FT", "true"}, {"OR", "UT", "true"}, {"OR", "FU", "unknown"}, {"OR", "F-", "false"}, {"OR", "FEU", "error"},
		{"ONE", "TF", "true"}, {"ONE", "TT", "false"}, {"ONE", "TTU", "false"}, {"ONE", "TU", "unknown"}, {"ONE", "FF", "false"}, {"ONE", "T-", "true"},
		{"XOR", "TF", "true"}, {"XOR", "TT", "false"}, {"XOR", "TTT", "true"}, {"XOR", "TU", "unknown"}, {"XOR", "F-", "false"},
	} {
		var b strings.Builder
		for i := range len(tc.of) {
			b.WriteString(`<criterion test_ref="t" result="` + short[tc.of[i]] + `"/>`)
		}
		_, told, err := openscap.ReadOVAL(strings.NewReader(criteriaOf(`<criteria operator="` + tc.operator + `">` + b.String() + `</criteria>`)))
		if err != nil || told["d"] != tc.want {
			t.Errorf("%s %s: %q, %v; want %s", tc.operator, tc.of, told["d"], err, tc.want)
		}
	}
}

func TestOVALThatDoesNotHoldIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"operator":        criteriaOf(`<criteria operator="MOST"><criterion test_ref="t" result="true"/><criterion test_ref="t" result="true"/></criteria>`),
		"no definition":   criteriaOf(`<criteria><extend_definition definition_ref="none" result="true"/></criteria>`),
		"cut off":         strings.TrimSuffix(criteriaOf(""), "</results></oval_results>"),
		"deep criteria":   criteriaOf(strings.Repeat("<criteria>", 100) + strings.Repeat("</criteria>", 100)),
		"deep elements":   strings.Repeat("<a>", 1000),
		"another charset": `<?xml version="1.0" encoding="UTF-16"?>` + criteriaOf(""),
		"an entity":       `<!DOCTYPE a [<!ENTITY b "c">]>` + criteriaOf("&b;"),
	} {
		if _, told, err := openscap.ReadOVAL(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %v", name, told)
		}
	}
}

func FuzzReadOVAL(f *testing.F) {
	data, err := os.ReadFile("testdata/oval-results.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add(criteriaOf(`<criteria operator="ONE" negate="true"><criterion test_ref="t" result="unknown"/></criteria>`))
	f.Add(criteriaOf(`<criteria><extend_definition definition_ref="d" result="true"/></criteria>`))
	f.Fuzz(func(t *testing.T, text string) {
		_, told, err := openscap.ReadOVAL(strings.NewReader(text))
		if err == nil && len(told) > len(text) {
			t.Errorf("%d results of %d bytes", len(told), len(text))
		}
	})
}
