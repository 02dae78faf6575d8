package edit_test

import (
	"testing"

	"imgbuild/provisioners/edit"
)

func TestReplaceKeepsTheRest(t *testing.T) {
	for _, c := range []struct {
		text       string
		begin, end int
		with       []string
		want       string
	}{
		{"", 0, 0, []string{"a"}, "a\n"},
		{"a\nb\nc", 1, 2, []string{"x", "y"}, "a\nx\ny\nc"},
		{"a\nb", 1, 2, []string{"x"}, "a\nx\n"},
		{"a\r\n\n", 2, 2, []string{"x"}, "a\r\n\nx\n"},
		{"a\nb\n", 0, 1, nil, "b\n"},
	} {
		if got := edit.Replace(c.text, c.begin, c.end, c.with...); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
