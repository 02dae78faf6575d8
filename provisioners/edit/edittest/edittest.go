// Package edittest asks of states that edit files what all of them must keep: what
// is applied holds, nothing else has changed, and applying it again changes nothing.
// It is for tests alone, and knows no formats.
package edittest

import (
	"context"
	"strings"
	"testing"

	"imgbuild/provisioners/system"
)

// State is what is checked and applied.
type State interface {
	Check(ctx context.Context, r system.Reader) ([]system.Difference, error)
	Apply(ctx context.Context, s system.System) (bool, error)
}

// Memory is a system with files for root, by their names.
func Memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.Replace(s, name, text, 0o644); err != nil {
			t.Skip(err) // a fuzzer's files may lie in one another
		}
	}
	return s
}

// Case is a system with what a state finds there and leaves of it.
type Case struct {
	Files map[string]string
	// Found are parts of the differences, in order.
	Found []string
	// Left are the files that applying it changes, with what is in them then.
	Left map[string]string
	// Refused is part of the error of what is left to a person; nothing is changed
	// then.
	Refused string
}

// Run checks the state, applies it, and asks that it is settled.
func (c Case) Run(t *testing.T, state State) {
	t.Helper()
	s := Memory(t, c.Files)
	found, err := state.Check(t.Context(), s)
	if err != nil || len(found) != len(c.Found) {
		t.Fatalf("found %v, %v; want %q", found, err, c.Found)
	}
	for i, d := range found {
		if !strings.Contains(d.String(), c.Found[i]) {
			t.Errorf("found %q, want %q", d, c.Found[i])
		}
	}
	changed, err := state.Apply(t.Context(), s)
	switch {
	case c.Refused != "" && (err == nil || !strings.Contains(err.Error(), c.Refused)):
		t.Fatalf("applying it: %v; want %q", err, c.Refused)
	case c.Refused == "" && err != nil, changed != (len(c.Left) > 0):
		t.Fatalf("applying it: %v, %v", changed, err)
	}
	for name, was := range c.Files {
		want, is := c.Left[name]
		if !is {
			want = was
		}
		if got, _, err := system.ReadText(s, name, 1<<20); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if c.Refused == "" {
		Settled(t, state, s)
	}
}

// Settled asks that a state holds, and that applying it changes nothing.
func Settled(t testing.TB, state State, s system.System) {
	t.Helper()
	if left, err := state.Check(t.Context(), s); err != nil || len(left) > 0 {
		t.Errorf("applied, it is left with %v, %v", left, err)
	}
	if again, err := state.Apply(t.Context(), s); err != nil || again {
		t.Errorf("applied a second time: %v, %v", again, err)
	}
}
