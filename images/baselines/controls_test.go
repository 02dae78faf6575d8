package baselines_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/baselines/baselinestest"
	"imgbuild/images/control"
	"imgbuild/provisioners"
)

func all(set *control.Set) []*control.Control {
	var list []*control.Control
	for _, id := range set.IDs() {
		list = append(list, set.Controls[id])
	}
	return list
}

func TestEveryControlIsOfResourcesThatAreKnown(t *testing.T) {
	if _, err := provisioners.DecodeControls(all(baselinestest.Controls(t)), nil); err != nil {
		t.Error(err)
	}
}

// The lists in testdata are facts about the benchmarks: the number of every
// recommendation (of those of systems, in their server profiles), and the level
// that asks for it.
func TestBenchmarksAreCompleteBySection(t *testing.T) {
	set := baselinestest.Controls(t)
	for id := range set.Benchmarks {
		f, err := os.Open(filepath.Join("testdata", id+".sections"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var want, have []string
		for lines := bufio.NewScanner(f); lines.Scan(); {
			want = append(want, lines.Text())
		}
		for _, s := range set.Benchmarks[id].Sections {
			have = append(have, fmt.Sprint(s.ID, " ", s.Level))
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s:\n%s", id, diff)
		}
	}
}

func TestEveryControlIsThereForASection(t *testing.T) {
	set := baselinestest.Controls(t)
	for id, c := range set.Controls {
		references := set.References(id)
		if len(references) == 0 {
			t.Errorf("%s: control %s is in no section", c.Pos(), id)
		}
		for _, p := range c.Platforms {
			if !slices.ContainsFunc(references, func(r control.Reference) bool { return set.Benchmarks[r.Benchmark].For(p) }) {
				t.Errorf("%s: control %s is made for %s, whose benchmarks do not ask for it", c.Pos(), id, p)
			}
		}
	}
}

// A section whose controls are all made for another platform would count as
// not applicable for ever.
func TestSectionsAreMetOnTheirOwnPlatform(t *testing.T) {
	set := baselinestest.Controls(t)
	for id, b := range set.Benchmarks {
		for _, s := range b.Sections {
			for _, name := range s.Controls {
				for _, p := range b.Platforms {
					if c := set.Controls[name]; !c.On(p, control.Machine) {
						t.Errorf("%s %s: control %s is not held against a machine of %s", id, s.ID, name, p)
					}
				}
			}
		}
	}
}

// A program's controls are about systems that have it: on all others they say
// nothing, and its benchmark has no score.
func TestControlsOfAProgramAskForIt(t *testing.T) {
	set := baselinestest.Controls(t)
	for id, b := range set.Benchmarks {
		if len(b.Platforms) > 0 {
			continue
		}
		for _, s := range b.Sections {
			for _, name := range s.Controls {
				c := set.Controls[name]
				if c.When.Get("packages") == nil && c.When.Get("files") == nil {
					t.Errorf("%s: control %s, for %s %s, is held against every system", c.Pos(), name, id, s.ID)
				}
			}
		}
	}
}

func TestTextsAreWordsOfTheirOwn(t *testing.T) {
	set := baselinestest.Controls(t)
	seen := map[string]string{}
	unique := func(owner, text string) {
		key := strings.ToLower(text)
		if first, twice := seen[key]; twice {
			t.Errorf("%s says what %s says: %q", owner, first, text)
		}
		seen[key] = owner
	}
	for _, c := range all(set) {
		unique(c.ID, c.Title)
		unique(c.ID, c.Rationale)
		checkTitle(t, c.ID, c.Title)
		for _, text := range []string{c.Rationale, c.Impact} {
			if text != "" && !strings.HasSuffix(text, ".") || text != strings.TrimSpace(text) || strings.Contains(text, "  ") {
				t.Errorf("%s: %s: not whole sentences: %q", c.Pos(), c.ID, text)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(set.Benchmarks)) {
		titles := map[string]bool{}
		for _, s := range set.Benchmarks[id].Sections {
			if s.Manual == "" {
				continue
			}
			checkTitle(t, id+" "+s.ID, s.Title)
			if titles[s.Title] {
				t.Errorf("%s: two sections are called %q", id, s.Title)
			}
			titles[s.Title] = true
			if !strings.HasSuffix(s.Manual, ".") || len(s.Manual) < 60 {
				t.Errorf("%s %s: nobody can look at this: %q", id, s.ID, s.Manual)
			}
		}
	}
}

// ensure is how benchmarks begin their titles; ours state what is.
var ensure = regexp.MustCompile(`(?i)^ensure\b`)

func checkTitle(t *testing.T, owner, title string) {
	t.Helper()
	if title == "" || strings.HasSuffix(title, ".") || len(title) > 90 || ensure.MatchString(title) {
		t.Errorf("%s: not a title that states what is: %q", owner, title)
	}
}

func TestProfilesTakeMoreFromLevelToLevel(t *testing.T) {
	set := baselinestest.Controls(t)
	for _, platform := range []string{"debian-12", "debian-13"} {
		count := func(output control.Output, profile string) int {
			list, err := set.Select(node.Position{}, platform, output, profile)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		one, two := count(control.Machine, "cis-l1"), count(control.Machine, "cis-l2")
		if one < 150 || two <= one {
			t.Errorf("%s: %d controls at level 1, %d at level 2", platform, one, two)
		}
		if n := count(control.Container, "container"); n < 40 || n >= one {
			t.Errorf("%s: %d controls for containers", platform, n)
		}
		if n := count(control.Container, "cis-l2"); n != 0 {
			t.Errorf("%s: a profile of machines takes %d controls for a container", platform, n)
		}
	}
}

// TestGuidesNameRequirementsAsTheirAuthorsDo holds ids against their published
// form.
func TestGuidesNameRequirementsAsTheirAuthorsDo(t *testing.T) {
	forms := map[string]*regexp.Regexp{
		"disa-srg-gpos":    regexp.MustCompile(`^SRG-OS-[0-9]{6}-GPOS-[0-9]{5}$`),
		"disa-stig-apache": regexp.MustCompile(`^AS24-U1-[0-9]{6}$`),
		"disa-stig-nginx":  regexp.MustCompile(`^NGNX-APP-[0-9]{6}$`),
	}
	set := baselinestest.Controls(t)
	for id, guide := range set.Guides {
		form := forms[id]
		if form == nil {
			t.Errorf("nobody knows what the requirements of %s are called", id)
			continue
		}
		for name, requirements := range guide.Controls {
			for _, r := range requirements {
				if !form.MatchString(r) {
					t.Errorf("%s, %s: %q", id, name, r)
				}
			}
			if !slices.IsSorted(requirements) {
				t.Errorf("%s, %s: %v are not sorted", id, name, requirements)
			}
		}
	}
	if len(set.Guides) != len(forms) {
		t.Errorf("%d guides, want %d", len(set.Guides), len(forms))
	}
}
