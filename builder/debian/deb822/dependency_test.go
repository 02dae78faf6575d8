package deb822_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian/deb822"
)

func TestDependenciesAreRead(t *testing.T) {
	got, err := deb822.ParseDependencies("libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, python3:any (<< 3.12),\n" +
		" perl:native(>>5), gcc-12 [amd64 !i386] <!nocheck>, a (= 1:2.3-4~b+c), old (< 2), bare (2), , last,")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]deb822.Relation{
		{{Name: "libc6", Operator: deb822.LaterEqual, Version: "2.36"}},
		{{Name: "debconf", Operator: deb822.LaterEqual, Version: "0.5", Or: true}, {Name: "debconf-2.0"}},
		{{Name: "python3", Qualifier: "any", Operator: deb822.Earlier, Version: "3.12"}},
		{{Name: "perl", Qualifier: "native", Operator: deb822.Later, Version: "5"}},
		{{Name: "gcc-12", Architectures: "amd64 !i386"}},
		{{Name: "a", Operator: deb822.Equal, Version: "1:2.3-4~b+c"}},
		{{Name: "old", Operator: deb822.EarlierEqual, Version: "2"}},
		{{Name: "bare", Operator: deb822.Equal, Version: "2"}},
		{{Name: "last"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestArchitectureRestrictions(t *testing.T) {
	for restriction, want := range map[string]bool{
		"": true, "amd64": true, "i386": false, "i386 amd64": true, "!amd64": false, "!i386": true,
		"any": true, "linux-any": true, "any-amd64": true, "!i386 !amd64": false,
	} {
		if got := (deb822.Relation{Name: "a", Architectures: restriction}).AppliesTo("amd64"); got != want {
			t.Errorf("[%s] on amd64: got %v", restriction, got)
		}
	}
}

func TestWhatIsNoDependencyIsRefused(t *testing.T) {
	for _, field := range []string{
		"a (>= 1", "a (=> 1)", "a (>=)", "a ()", "(>= 1)", "a b", "a |", "| a", "a:", "a [amd64", "a []", "a <x", "-a",
		"a (>= 1 2)", "a (>= 1) b", "a;b", "$(reboot)", "a (>= ;)", strings.Repeat("x", 300),
		strings.Repeat("a,", deb822.MaxRelations+1),
	} {
		if got, err := deb822.ParseDependencies(field); err == nil {
			t.Errorf("%.40q: accepted as %v", field, got)
		}
	}
}

func FuzzDependencies(f *testing.F) {
	f.Add("libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, python3:any (<< 3.12)")
	f.Add("gcc-12 [amd64 !i386] <!nocheck>, a(=1),,")
	f.Fuzz(func(t *testing.T, field string) {
		got, err := deb822.ParseDependencies(field)
		if err != nil {
			return
		}
		var groups []string
		for _, group := range got {
			var words []string
			for _, r := range group {
				words = append(words, r.String())
			}
			groups = append(groups, strings.Join(words, " | "))
		}
		again, err := deb822.ParseDependencies(strings.Join(groups, ", "))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
