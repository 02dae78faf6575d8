package edit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/system"
)

// spelled wants every "colour" of some files written "color".
type spelled struct {
	files []string
	// mend is done in place of the right edit.
	mend func(d *edit.Draft) error
}

func (s spelled) find(d *edit.Draft) ([]edit.Violation, error) {
	var list []edit.Violation
	for _, name := range s.files {
		real, text, err := d.Read(name)
		if err != nil {
			return nil, err
		}
		for at := 0; ; at += len("colour") {
			next := strings.Index(text[at:], "colour")
			if next < 0 {
				break
			}
			at += next
			mend := func(d *edit.Draft) error { return d.Splice(real, at, at+len("colour"), "color") }
			if s.mend != nil {
				mend = s.mend
			}
			diff := system.Difference{Subject: fmt.Sprint(name, ":", at), Have: "colour", Want: "color"}
			list = append(list, edit.Violation{Difference: diff, File: real, At: at, Mend: mend})
		}
	}
	return list, nil
}

func (s spelled) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	return edit.Check(ctx, r, s.find)
}

func (s spelled) Apply(ctx context.Context, sys system.System) (bool, error) {
	return edit.Apply(ctx, sys, s.find)
}

func TestWhatIsFoundIsMended(t *testing.T) {
	have := map[string]string{"/a": "colour, colour of\ncolour", "/b": "-> a", "/c": "other", "/d": "colour"}
	sys := files(t, have)
	// One file is found by two names: its places are mended once each.
	s := spelled{files: []string{"/a", "/b", "/c", "/d"}}
	if d, err := s.Check(t.Context(), sys); err != nil || len(d) != 7 {
		t.Fatalf("%v, %v", d, err)
	}
	if changed, err := s.Apply(t.Context(), sys); err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	for name, want := range map[string]string{"/a": "color, color of\ncolor", "/c": "other", "/d": "color"} {
		if got, _, err := system.ReadText(sys, name, 100); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	edittest.Settled(t, s, sys)
}

// TestAllIsMendedOrNothingIsWritten has a state that is mended in part only, and one
// that no edit brings about.
func TestAllIsMendedOrNothingIsWritten(t *testing.T) {
	refused := errors.New("refused")
	left := 2
	for name, mend := range map[string]func(d *edit.Draft) error{
		"refused": func(d *edit.Draft) error {
			if left--; left == 0 {
				return refused
			}
			return d.Splice("/a", 7, 13, "x")
		},
		"not yet as wanted: /a:": func(d *edit.Draft) error { return d.Splice("/a", 0, 0, "") },
	} {
		sys := files(t, map[string]string{"/a": "colour colour"})
		s := spelled{[]string{"/a"}, mend}
		if changed, err := s.Apply(t.Context(), sys); err == nil || !strings.Contains(err.Error(), name) || changed {
			t.Errorf("%v, %v; want %s", changed, err, name)
		}
		if got, _, err := system.ReadText(sys, "/a", 100); err != nil || got != "colour colour" {
			t.Errorf("it is %q, %v", got, err)
		}
	}
}
