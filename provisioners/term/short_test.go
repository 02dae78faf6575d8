package term_test

import (
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/term"
)

func TestShortFormsAreMaps(t *testing.T) {
	for text, want := range map[string]string{
		"absent": "absent", "4": "value", `"no"`: "value", "no": "value", "{at-most: 4}": "at-most", "[absent]": "value",
	} {
		n, err := node.Parse("t.yaml", nil, "t.yaml", []byte("x: "+text))
		if err != nil {
			t.Fatal(err)
		}
		got := term.Short(n.Entries[0].Value, "present", "absent")
		if got.Kind != node.Map || len(got.Entries) != 1 || got.Entries[0].Key != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestStatesAreNamed(t *testing.T) {
	text := func(s term.Text) *term.Text { return &s }
	for want, b := range map[string]term.Bounds{
		"x=4":               {Value: text("4")},
		"x at most 4":       {AtMost: text("4")},
		"x one of 4, 5":     {Value: text("5"), OneOf: []term.Text{"4", "5"}},
		"x from 1 to 4":     {Value: text("3"), AtLeast: text("1"), AtMost: text("4")},
		"x absent":          {Absent: true},
		"x without weak, b": {Without: []term.Text{"weak", "b"}},
	} {
		if got := b.Of("x"); got != want || !b.Given() {
			t.Errorf("%q, want %q; given: %v", got, want, b.Given())
		}
	}
	if (&term.Bounds{}).Given() {
		t.Error("nothing is given")
	}
}
