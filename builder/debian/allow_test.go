package debian_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/repo"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// allow lets a lock have version 1 of everything, and what is named with a version.
func allow(names ...string) func(updates.Package) bool {
	return func(p updates.Package) bool {
		for _, n := range names {
			if n == p.Name+" "+p.Version {
				return true
			}
		}
		return p.Version == "1"
	}
}

func TestALockTakesWhatIsAllowed(t *testing.T) {
	first := mustMake(t, debian12(t), request())
	newer := debian12(t, "libc 2", "ssl 2; Depends: libc (>= 2)", "web 2; Depends: web-core (= 2), ssl", "web-core 2; Depends: web-data", "mkfs 2; Depends: libc")
	for name, c := range map[string]struct {
		allowed []string
		change  func(*debian.Request)
		want    []string
		later   []string
		refused string
	}{
		"nothing new":           {},
		"two":                   {allowed: []string{"libc 2", "mkfs 2"}, want: []string{"root libc 2 security", "tools libc 2 security", "tools mkfs 2 security"}, later: []string{"libc", "mkfs"}},
		"one of two, by name":   {allowed: []string{"libc 2", "mkfs 2"}, change: func(r *debian.Request) { r.Update = []string{"mkfs"} }, want: []string{"tools mkfs 2 security"}, later: []string{"libc", "mkfs"}},
		"with what it needs":    {allowed: []string{"web 2", "web-core 2"}, want: []string{"root web 2 security", "root web-core 2 security"}, later: []string{"web", "web-core"}},
		"without what it needs": {allowed: []string{"web 2"}, later: []string{"web"}, refused: "web-core"},
		"fresh":                 {allowed: []string{"libc 2"}, change: func(r *debian.Request) { r.Fresh = true }, want: []string{"root libc 2 security", "tools libc 2 security"}, later: []string{"libc"}},
	} {
		r := request()
		r.Previous, r.Allowed = first, allow(c.allowed...)
		if c.change != nil {
			c.change(&r)
		}
		if got := debian.Later(newer, r); !cmp.Equal(got, c.later) {
			t.Errorf("%s: later are %v, want %v", name, got, c.later)
		}
		lock, err := debian.MakeFrom(t.Context(), newer, r)
		if c.refused != "" {
			if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: got %v, want one about %s", name, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, moves(debian.Check(first, lock))); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestWhatIsAllowedIsOfferedFromTheArchive has the mirror replace what is approved by
// what is not.
func TestWhatIsAllowedIsOfferedFromTheArchive(t *testing.T) {
	first := mustMake(t, debian12(t), request())
	approved := mustMake(t, debian12(t, "ssl 2; Depends: libc"), request())
	var ssl updates.Package
	for _, p := range approved.Packages {
		if p.Name == "ssl" {
			ssl = p
		}
	}
	later := debian12(t, "ssl 3; Depends: libc")
	r := request()
	r.Previous, r.Allowed, r.Archived = first, allow("ssl 2"), []updates.Package{ssl}
	r.Control = func(_ context.Context, p updates.Package) (string, error) {
		return control(p.Name + " " + p.Version + "; Depends: libc"), nil
	}
	if got := moves(debian.Check(first, mustMake(t, later, r))); !cmp.Equal(got, []string{"root ssl 2 security"}) {
		t.Errorf("got %v", got)
	}
	// What is taken back is replaced, also where it was locked.
	r.Previous, r.Allowed, r.Archived = approved, allow(), nil
	if got := moves(debian.Check(approved, mustMake(t, later, r))); !cmp.Equal(got, []string{"root ssl 1"}) {
		t.Errorf("got %v", got)
	}
}

// TestTheProjectsOwnFilesAreNotAskedAbout locks one that nothing allows.
func TestTheProjectsOwnFilesAreNotAskedAbout(t *testing.T) {
	r := request()
	r.Generations[1].Packages = []string{"web", "own"}
	r.Locals = []debian.Local{{Path: "packages/own.deb", SHA256: strings.Repeat("a", 64), Size: 7, Control: control("own 3; Depends: ssl")}}
	r.Allowed = allow()
	mustMake(t, debian12(t), r)
	var none []*repo.Index
	if got := debian.Later(none, r); got != nil {
		t.Errorf("later without a lock: %v", got)
	}
}
