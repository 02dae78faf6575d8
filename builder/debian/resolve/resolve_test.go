package resolve_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/resolve"
	"imgbuild/images/fault"
)

var suites = []string{"bookworm", "trixie"}

// question is one request put to both resolvers: names as the project writes
// them, which apt takes too.
type question struct {
	kind  string
	names []string
}

// questions are drawn by seed from the release's own index: single names at
// random, packages that conflict with each other, and packages whose
// dependency is met by a later alternative or a provider that is named.
func (w *world) questions(seed uint64) []question {
	rng := rand.New(rand.NewPCG(seed, 1))
	list := []question{{"nginx", []string{"nginx"}}, {"server", []string{"postgresql", "php-fpm", "default-jre-headless"}}}
	for range 12 {
		var names []string
		for range 1 + rng.IntN(5) {
			names = append(names, w.names[rng.IntN(len(w.names))])
		}
		list = append(list, question{"drawn", names})
	}
	conflicts, alternatives, virtuals := 0, 0, 0
	for _, at := range rng.Perm(len(w.indexes[0].Packages)) {
		p := &w.indexes[0].Packages[at]
		if groups, _ := deb822.ParseDependencies(p.Conflicts); conflicts < 7 && len(groups) > 0 {
			if other := groups[0][0]; other.Operator == deb822.Any && other.Name != p.Name && len(w.universe.Versions(other.Name)) > 0 {
				list = append(list, question{"conflict", []string{p.Name, other.Name}})
				conflicts++
				continue
			}
		}
		groups, _ := deb822.ParseDependencies(p.Depends)
		for _, group := range groups {
			last := group[len(group)-1]
			isReal := len(w.universe.Versions(last.Name)) > 0
			switch {
			case alternatives < 5 && len(group) > 1 && isReal:
				list = append(list, question{"alternative", []string{p.Name, last.Name}})
				alternatives++
			case virtuals < 5 && !isReal && last.Qualifier == "" && len(w.providers(last.Name)) > 1:
				providers := w.providers(last.Name)
				list = append(list, question{"virtual", []string{p.Name, providers[rng.IntN(len(providers))]}})
				virtuals++
			default:
				continue
			}
			break
		}
	}
	return list
}

func (w *world) providers(name string) []string {
	var names []string
	for i := range w.indexes[0].Packages {
		p := &w.indexes[0].Packages[i]
		if !strings.Contains(p.Provides, name) {
			continue
		}
		groups, _ := deb822.ParseDependencies(p.Provides)
		if slices.ContainsFunc(groups, func(g []deb822.Relation) bool { return g[0].Name == name }) {
			names = append(names, p.Name)
		}
	}
	return names
}

// TestSetsEqualApts: ≥ 60 drawn sets, ≥ 10 from alternatives and virtual
// packages, and ≥ 10 that apt refuses, over both releases.
func TestSetsEqualApts(t *testing.T) {
	var mu sync.Mutex
	asked, chosen, refused := 0, 0, 0
	t.Run("releases", func(t *testing.T) {
		for _, suite := range suites {
			t.Run(suite, func(t *testing.T) {
				t.Parallel()
				w := release(t, suite)
				for _, q := range w.questions(20) {
					answered := w.compare(t, q)
					mu.Lock()
					asked++
					if q.kind == "alternative" || q.kind == "virtual" {
						chosen++
					}
					if !answered {
						refused++
					}
					mu.Unlock()
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	if asked == 0 {
		t.Skip("apt-get is not on this machine, and it is the peer")
	}
	t.Logf("%d sets, %d of them from alternatives and virtual packages, %d unsatisfiable", asked, chosen, refused)
	for _, c := range []struct {
		what      string
		got, want int
	}{{"sets", asked, 60}, {"sets from alternatives and virtual packages", chosen, 10}, {"unsatisfiable sets", refused, 10}} {
		if c.got < c.want {
			t.Errorf("only %d %s, want %d", c.got, c.what, c.want)
		}
	}
}

// compare puts one question to both, and reports whether apt answers.
func (w *world) compare(t *testing.T, q question) bool {
	t.Helper()
	ask := w.uris
	if q.kind == "nginx" || q.kind == "server" {
		ask = w.simulate
	}
	want, said := ask(t, append(w.base(), q.names...)...)
	choices, err := w.universe.Resolve(context.Background(), resolve.Request{
		Names: q.names, Essential: true, Priorities: []string{"required"},
	})
	switch {
	case err != nil && want != nil:
		t.Errorf("%s %v: apt finds %d packages, we: %v", q.kind, q.names, len(want), err)
	case err != nil:
		if fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" || !mentions(err, q.names) {
			t.Errorf("%s %v: the refusal explains nothing: %v", q.kind, q.names, err)
		}
	case want == nil:
		t.Errorf("%s %v: apt refuses: %s", q.kind, q.names, said)
	default:
		if diff := cmp.Diff(want, set(choices)); diff != "" {
			t.Errorf("%s %v (- apt, + ours):\n%s", q.kind, q.names, diff)
		}
	}
	return want != nil
}

func mentions(err error, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(err.Error(), name) })
}

// TestOnTopEqualsApts: a second set on a system that has the first, Recommends
// followed, packages left out, versions and suites named.
func TestOnTopEqualsApts(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			w := release(t, suite)
			ctx := context.Background()
			base, err := w.universe.Resolve(ctx, resolve.Request{Names: []string{"nginx", "exim4"}, Essential: true, Priorities: []string{"required"}})
			if err != nil {
				t.Fatal(err)
			}
			var installed []*resolve.Version
			var status strings.Builder
			for _, c := range base {
				installed = append(installed, c.Version)
				status.WriteString(paragraph(c.Package, "install ok installed"))
			}
			file := filepath.Join(t.TempDir(), "status")
			if err := write(file, []byte(status.String())); err != nil {
				t.Fatal(err)
			}
			nginx := w.universe.Versions("nginx")[0]
			for _, names := range [][]string{
				{"apache2"}, {"bsd-mailx"}, {"php"}, {"openssh-server", "cloud-init"}, {"mutt", "-exim4-base"},
				{"default-mta", "-postfix"}, {"default-mta", "-exim4"}, {"php", "-libapache2-mod-php"},
				{"nginx-extras=" + nginx.Version}, {"curl/" + suite}, {"postfix"}, {"dma"},
			} {
				for _, recommends := range []bool{false, true} {
					if recommends && names[0] != "php" && names[0] != "apache2" {
						continue
					}
					args := []string{"-o", "Dir::State::status=" + file, "-o", fmt.Sprintf("APT::Install-Recommends=%v", recommends), "--no-remove"}
					for _, name := range names {
						if left, ok := strings.CutPrefix(name, "-"); ok {
							name = left + "-"
						}
						args = append(args, name)
					}
					want, said := w.uris(t, args...)
					got, err := w.universe.Resolve(ctx, resolve.Request{Installed: installed, Names: names, Recommends: recommends})
					if (err == nil) != (want != nil) {
						t.Errorf("%v: apt says %s, we %v", names, said, err)
						continue
					}
					if diff := cmp.Diff(want, set(got)); err == nil && diff != "" {
						t.Errorf("%v recommends %v (- apt, + ours):\n%s", names, recommends, diff)
					}
				}
			}
		})
	}
}

// little is a universe of a few packages, each "name version; field: value…".
func little(t *testing.T, entries ...string) *resolve.Universe {
	t.Helper()
	index := &repo.Index{Source: repo.Source{Suite: "here"}, Release: &repo.Release{Codename: "here"}}
	for i, entry := range entries {
		head, fields, _ := strings.Cut(entry, ";")
		name, version, _ := strings.Cut(head, " ")
		text := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: pool_%d\nSize: 1\nSHA256: %064d\n%s\n",
			name, version, i, i, strings.ReplaceAll(strings.TrimSpace(fields), "; ", "\n"))
		p, err := deb822.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		control, err := repo.ControlPackage(p)
		if err != nil {
			t.Fatal(err)
		}
		index.Packages = append(index.Packages, control)
	}
	u, err := resolve.NewUniverse("amd64", []*repo.Index{index})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRefusalsAreExplained(t *testing.T) {
	u := little(t,
		"shop 1; Depends: web (>= 2), db",
		"web 1; Depends: ssl",
		"web 2; Depends: ssl (>= 3)",
		"ssl 2",
		"db 1; Conflicts: cache",
		"cache 1",
		"front 1; Depends: cache | memory, store",
		"store 1; Depends: db",
		"mail 1; Depends: sender",
		"postman 1; Provides: sender",
		"pigeon 1; Provides: sender",
		"lonely 1; Depends: ghost",
	)
	for _, c := range []struct {
		names []string
		want  []string
	}{
		{[]string{"shop"}, []string{"web depends on ssl (>= 3)", "ssl exists as 2 of here", "web is asked for by shop"}},
		{[]string{"db", "cache"}, []string{"db conflicts with cache", "cache is asked for in version 1"}},
		{[]string{"store", "cache"}, []string{"db conflicts with cache", "db is asked for by store"}},
		{[]string{"front", "cache"}, []string{"db conflicts with cache", "db is asked for by store, asked for by front"}},
		{[]string{"lonely"}, []string{"lonely depends on ghost", "there is no package ghost"}},
		{[]string{"mail", "-postman", "-pigeon"}, []string{"mail depends on sender", "postman is left out", "pigeon is left out"}},
		{[]string{"sender"}, []string{"sender is virtual", "pigeon and postman provide it"}},
		{[]string{"shpo"}, []string{"there is no package shpo"}},
		{[]string{"ghost"}, []string{"there is no package ghost, though others refer to it"}},
		{[]string{"web=3"}, []string{"web=3 is not offered", "web exists as 2 of here and 1 of here"}},
		{[]string{"web/there"}, []string{"web/there is not offered"}},
		{[]string{"db", "-db"}, []string{"db is both asked for and left out"}},
		{[]string{"$(reboot)"}, []string{"is no package name"}},
		{[]string{"web:other"}, []string{"is no package name"}},
	} {
		_, err := u.Resolve(context.Background(), resolve.Request{Names: c.names})
		if err == nil {
			t.Errorf("%v: accepted", c.names)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %q is missing in: %v", c.names, want, err)
			}
		}
		if fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" && !strings.Contains(err.Error(), "offered") && !strings.Contains(err.Error(), "both") {
			t.Errorf("%v: kind %d, hint %q", c.names, fault.KindOf(err), fault.HintOf(err))
		}
		// A recipe can neither pin a version nor exclude a package by name.
		for _, no := range []string{"name=", "name/", "-name"} {
			if strings.Contains(fault.HintOf(err), no) {
				t.Errorf("%v: the hint advises %s, which recipes refuse: %q", c.names, no, fault.HintOf(err))
			}
		}
	}
	_, err := u.Resolve(context.Background(), resolve.Request{Names: []string{"shpo"}})
	if got := fault.HintOf(err); !strings.Contains(got, "shop") {
		t.Errorf("hint: %q", got)
	}
}

func TestInstalledPackagesStay(t *testing.T) {
	u := little(t, "old 1", "rival 1; Conflicts: old", "user 1; Depends: old")
	old := u.Versions("old")
	_, err := u.Resolve(context.Background(), resolve.Request{Installed: old, Names: []string{"rival"}})
	if err == nil || !strings.Contains(err.Error(), "old is already there in version 1") {
		t.Errorf("a rival: got %v", err)
	}
	if _, err = u.Resolve(context.Background(), resolve.Request{Installed: old, Names: []string{"-old"}}); err == nil {
		t.Error("an installed package was left out")
	}
	got, err := u.Resolve(context.Background(), resolve.Request{Installed: old, Names: []string{"user"}})
	if err != nil || len(got) != 1 || got[0].Name != "user" || got[0].Auto {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPinsGiveWayOnlyWhereTheyMust(t *testing.T) {
	u := little(t,
		"app 1; Depends: lib (>= 1)", "app 2; Depends: lib (>= 2), data (= 2)",
		"lib 1", "lib 2; Breaks: plugin (<< 2)", "plugin 1", "plugin 2",
		"data 1", "data 2", "tied 1; Depends: lib (= 1)", "tied 2; Depends: lib (= 2)", "other 1", "other 2",
	)
	var pins []*resolve.Version
	for _, name := range []string{"lib", "plugin", "data", "tied", "other"} {
		pins = append(pins, u.Versions(name)[1])
	}
	moving := []*resolve.Version{u.Versions("app")[0]}
	var stay []string
	for _, v := range u.Loosen(pins, moving) {
		stay = append(stay, v.Name)
	}
	if diff := cmp.Diff([]string{"other"}, stay); diff != "" {
		t.Errorf("app moves (- want, + got):\n%s", diff)
	}
	stay = nil
	for _, v := range u.Loosen(pins, []*resolve.Version{u.Versions("other")[0]}) {
		stay = append(stay, v.Name)
	}
	if diff := cmp.Diff([]string{"lib", "plugin", "data", "tied", "other"}, stay); diff != "" {
		t.Errorf("other moves (- want, + got):\n%s", diff)
	}
}

// TestPinsStayBesideRivalsThatNobodyTakes: a package that excludes all others that
// provide what it does stays, as long as none of those is taken.
func TestPinsStayBesideRivalsThatNobodyTakes(t *testing.T) {
	u := little(t,
		"log 1; Provides: logger; Conflicts: logger", "log 2; Provides: logger; Conflicts: logger",
		"plugin 1; Depends: log (= 1)", "plugin 2; Depends: log (= 2)",
		"rival 1; Provides: logger; Conflicts: logger", "other 1", "other 2", "taker 1", "taker 2; Depends: rival",
	)
	pins := []*resolve.Version{u.Versions("log")[1], u.Versions("plugin")[1], u.Versions("other")[1]}
	for moving, want := range map[string][]string{"other": {"log", "plugin", "other"}, "taker": {"other"}} {
		var stay []string
		for _, v := range u.Loosen(pins, []*resolve.Version{u.Versions(moving)[0]}) {
			stay = append(stay, v.Name)
		}
		if diff := cmp.Diff(want, stay); diff != "" {
			t.Errorf("%s moves (- want, + got):\n%s", moving, diff)
		}
	}
}

func TestCancelledResolutionEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := little(t, "a 1").Resolve(ctx, resolve.Request{Names: []string{"a"}}); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}
