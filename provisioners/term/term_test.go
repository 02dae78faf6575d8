package term_test

import (
	"encoding/json"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/term"
)

func decode(t *testing.T, text string) (*term.Term, *node.Node, error) {
	t.Helper()
	n, err := node.Parse("a.yaml", nil, "a.yaml", []byte("k: "+text))
	if err != nil {
		t.Fatal(err)
	}
	into := &term.Term{}
	return into, n.Get("k"), node.Decode(n.Get("k"), into)
}

func TestATermJudgesAndSaysWhatToWrite(t *testing.T) {
	fold := term.Sense{Equal: strings.EqualFold}
	blanks := term.Sense{Separator: " "}
	for _, c := range []struct {
		term  string
		sense term.Sense
		words string
		holds []string
		// write is what replaces each value that does not do.
		write map[string]string
	}{
		{`no`, term.Sense{}, "no", []string{"no"}, map[string]string{"": "no", "No": "no", "yes": "no"}},
		{`no`, fold, "no", []string{"no", "NO"}, map[string]string{"yes": "no"}},
		{`""`, term.Sense{}, "set without a value", []string{""}, map[string]string{"x": ""}},
		{`022`, term.Sense{}, "022", []string{"022"}, map[string]string{"22": "022"}},
		{`{at-most: 4}`, term.Sense{}, "at most 4", []string{"4", "04", "-1"}, map[string]string{"5": "4", "10": "4", "x": "4", "": "4", "3 # x": "4"}},
		{`{at-least: 14}`, term.Sense{}, "at least 14", []string{"14", "100"}, map[string]string{"9": "14", "": "14", "99999999999999999999": "14"}},
		{`{at-least: 1, at-most: 300}`, term.Sense{}, "from 1 to 300", []string{"1", "300"}, map[string]string{"0": "1", "301": "300"}},
		{`{at-least: 1, at-most: 300, value: 60}`, term.Sense{}, "from 1 to 300", []string{"1", "300"}, map[string]string{"0": "60", "301": "60"}},
		{`{at-most: 1G}`, term.Sense{Measure: term.Size}, "at most 1G", []string{"1024M", "0.5G", "7"}, map[string]string{"1.1G": "1G", "infinity": "1G"}},
		{`{at-most: 1h}`, term.Sense{Measure: term.Span}, "at most 1h", []string{"3600", "59min 60s", "1 h"}, map[string]string{"61min": "1h", "1y": "1h", "h": "1h"}},
		{`{one-of: [VERBOSE, INFO]}`, fold, "one of VERBOSE, INFO", []string{"info"}, map[string]string{"DEBUG": "VERBOSE"}},
		{`{one-of: [VERBOSE, INFO], value: INFO}`, fold, "one of VERBOSE, INFO", []string{"info"}, map[string]string{"DEBUG": "INFO"}},
		{`{matches: "^/", value: /etc/issue}`, fold, "a match of ^/", []string{"/a"}, map[string]string{"none": "/etc/issue"}},
		{`{without: [b, d]}`, term.Sense{}, "without b, d", []string{"a", "a,c", " a , c"}, map[string]string{"a,b,c,d": "a,c"}},
		{`{only: [a, b]}`, term.Sense{}, "only of a, b", []string{"b,a", "a"}, map[string]string{"a,x": "a", "x": "a,b", "": "a,b"}},
		{`{only: [a, b, c], without: [a]}`, blanks, "only of a, b, c, without a", []string{"b c"}, map[string]string{"x": "b c", "a b": "b"}},
	} {
		b, n, err := decode(t, c.term)
		if err != nil {
			t.Errorf("%s: %v", c.term, err)
			continue
		}
		if err := b.CheckNumbers(n, c.sense); err != nil {
			t.Errorf("%s: %v", c.term, err)
		}
		if b.String() != c.words {
			t.Errorf("%s: words itself %q", c.term, b)
		}
		for _, have := range c.holds {
			if !b.Holds(have, c.sense) {
				t.Errorf("%s: %q does not do", c.term, have)
			}
		}
		for have, want := range c.write {
			got, err := b.Write(have, c.sense)
			if b.Holds(have, c.sense) || err != nil || got != want {
				t.Errorf("%s: in place of %q writes %q, want %q: %v", c.term, have, got, want, err)
			}
			if !b.Holds(got, c.sense) {
				t.Errorf("%s: writes %q, which does not do", c.term, got)
			}
		}
	}
}

func TestNothingIsWrittenForWhatCannotBeMet(t *testing.T) {
	for text, have := range map[string]string{"{absent: true}": "x", "{without: [a]}": "a"} {
		b, _, err := decode(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if b.Holds(have, term.Sense{}) {
			t.Errorf("%s: %q does", text, have)
		}
		if _, err := b.Write(have, term.Sense{}); fault.KindOf(err) != fault.Input {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMistakesAreFoundAtTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             `a.yaml:1:4: expected "value"`,
		`[a]`:                            `expected a text or a number, found a list`,
		`{atmost: 3}`:                    `a.yaml:1:5: unknown key "atmost"; did you mean "at-most"?`,
		`{at-most: x}`:                   `a.yaml:1:5: "x" is not a number`,
		`{at-least: 5, at-most: 4}`:      `a.yaml:1:18: at most 4 is less than at least 5`,
		`{at-most: 4, one-of: [a]}`:      `"one-of" does not go with "at-most"`,
		`{at-most: 4, value: 5}`:         `a.yaml:1:17: "5" is not at most 4`,
		`{one-of: []}`:                   `"one-of" is empty`,
		`{one-of: [abc], value: abd}`:    `"abd" is not in "one-of"; did you mean "abc"?`,
		`{matches: "("}`:                 `is not a regular expression`,
		`{matches: a}`:                   `"matches" needs a "value"`,
		`{matches: a, value: b}`:         `"b" does not match "a"`,
		`{absent: true, value: b}`:       `"value" does not go with "absent"`,
		`{absent: true, at-most: 3}`:     `"absent" does not go with "at-most"`,
		`{value: "a\nb"}`:                `expected one line of text`,
		`{only: [a], value: c}`:          `"c" is not only of a`,
		`{only: [a], at-least: 3}`:       `"only" does not go with "at-least"`,
		`{value: [a]}`:                   `expected a text or a number`,
		`{only: [a], without: [{b: c}]}`: `expected a text or a number`,
	} {
		b, n, err := decode(t, text)
		if err == nil {
			err = b.CheckNumbers(n, term.Sense{})
		}
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestAShortFormMeansTheLongOne(t *testing.T) {
	encode := func(text string) string {
		b, _, err := decode(t, text)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if a, b := encode("4"), encode(`{value: "4"}`); a != b || a != `{"value":"4"}` {
		t.Errorf("%s and %s", a, b)
	}
}

// FuzzMeasures: no text is a negative length or size, and none takes long.
func FuzzMeasures(f *testing.F) {
	for _, text := range []string{"1h 5min", "1.5G", "infinity", "9999999999999999999E", "1..2", ".", "5 5", "1KB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, measure := range []func(string) ([]int64, bool){term.Size, term.Span} {
			if n, ok := measure(text); ok && (len(n) != 1 || n[0] < 0) {
				t.Errorf("%q is %v", text, n)
			}
		}
	})
}
