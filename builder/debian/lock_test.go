package debian_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/debian/repo"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// index makes a suite's index of entries such as "name version; field: value".
func index(t *testing.T, archive, suite, date string, entries ...string) *repo.Index {
	t.Helper()
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		t.Fatal(err)
	}
	index := &repo.Index{
		Source:  repo.Source{Archive: archive, Suite: suite},
		Release: &repo.Release{Codename: suite, Date: day, SHA256: fmt.Sprintf("%064d", day.Unix())},
	}
	for _, entry := range entries {
		p := entryPackage(t, entry)
		p.Path, p.Size, p.SHA256 = "pool/"+p.Name+"_"+p.Version+".deb", 1, fmt.Sprintf("%064x", p.Name+p.Version)[:64]
		index.Packages = append(index.Packages, p)
	}
	return index
}

func control(entry string) string {
	head, fields, _ := strings.Cut(entry, ";")
	name, version, _ := strings.Cut(head, " ")
	return fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\n%s\n", name, version, strings.ReplaceAll(strings.TrimSpace(fields), "; ", "\n"))
}

func entryPackage(t *testing.T, entry string) repo.Package {
	t.Helper()
	paragraph, err := deb822.Parse(control(entry))
	if err != nil {
		t.Fatal(err)
	}
	p, err := repo.ControlPackage(paragraph)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// debian12 is a small release: its main suite and its security suite.
func debian12(t *testing.T, security ...string) []*repo.Index {
	return []*repo.Index{
		index(t, "debian", "bookworm", "2026-01-01",
			"base 1; Essential: yes; Pre-Depends: libc",
			"libc 1; Source: glibc (1.0)", "sh 1; Priority: required; Depends: libc",
			"web 1; Depends: web-core (= 1), ssl", "web-core 1; Depends: web-data", "web-data 1; Depends: web-core",
			"ssl 1; Depends: libc", "kernel 1; Depends: initrd", "initrd 1; Depends: sh", "mkfs 1; Depends: libc",
		),
		index(t, "debian-security", "bookworm-security", "2026-02-01", security...),
	}
}

func request() debian.Request {
	return debian.Request{
		Baseline: "shop", Suite: "bookworm", Architecture: "amd64",
		Generations: []debian.Generation{{Name: "debian-12", Priorities: []string{"required"}}, {Name: "shop", Packages: []string{"web"}}},
		Boot:        []string{"kernel"}, Tools: []string{"mkfs"},
		Sources: []repo.Source{{Archive: "debian", Suite: "bookworm"}, {Archive: "debian-security", Suite: "bookworm-security"}},
	}
}

func mustMake(t *testing.T, indexes []*repo.Index, r debian.Request) *updates.Lock {
	t.Helper()
	lock, err := debian.MakeFrom(context.Background(), indexes, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Check(); err != nil {
		t.Fatal(err)
	}
	return lock
}

// lines shows a lock's packages shortly.
func lines(l *updates.Lock) []string {
	var out []string
	for _, p := range l.Packages {
		line := fmt.Sprintf("%s %s %s %s", p.Set, p.Name, p.Version, p.Layer)
		if p.Auto {
			line += " auto"
		}
		out = append(out, strings.ReplaceAll(line, "  ", " "))
	}
	return out
}

func TestLockSharesPackagesOut(t *testing.T) {
	lock := mustMake(t, debian12(t), request())
	want := []string{
		"root base 1 debian-12",
		"root libc 1 debian-12 auto",
		"root sh 1 debian-12-leaf",
		"root ssl 1 shop auto",
		"root web 1 shop-leaf",
		"root web-core 1 shop auto", // a circle with web-data, which web depends on
		"root web-data 1 shop auto",
		"boot initrd 1 boot auto",
		"boot kernel 1 boot-leaf",
		"tools libc 1 auto",
		"tools mkfs 1 ",
	}
	if diff := cmp.Diff(want, lines(lock)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"debian-12", "debian-12-leaf", "shop", "shop-leaf", "boot", "boot-leaf"}, lock.Layers); diff != "" {
		t.Error(diff)
	}
	if got := time.Unix(lock.Epoch, 0).UTC().Format(time.DateOnly); got != "2026-02-01" {
		t.Errorf("epoch: %s is not the newest release's date", got)
	}
	if p := lock.Packages[1]; p.Source != "glibc" || p.SourceVersion != "1.0" || p.Archive != "debian" || p.Suite != "bookworm" {
		t.Errorf("source of libc: %+v", p)
	}
	if r := lock.Releases[1]; r.Path != "dists/bookworm-security/InRelease" || r.Date != "2026-02-01T00:00:00Z" {
		t.Errorf("release: %+v", r)
	}
	// A parent's layers are the same under every child.
	other := request()
	other.Generations[1] = debian.Generation{Name: "other", Packages: []string{"ssl"}}
	for _, p := range mustMake(t, debian12(t), other).InLayer("debian-12") {
		if !slices.Contains(lock.InLayer("debian-12"), p) {
			t.Errorf("%s is only in the other child's parent", p.Name)
		}
	}
}

func TestLockedPackagesStay(t *testing.T) {
	first := mustMake(t, debian12(t), request())
	first.Accounts = []updates.Account{{Name: "www", UID: new(int), Layer: "shop"}, {Name: "gone", UID: new(int), Layer: "removed"}}
	newer := debian12(t, "libc 2", "ssl 2; Depends: libc (>= 2)", "web 2; Depends: web-core (= 2), ssl", "web-core 2; Depends: web-data", "mkfs 2; Depends: libc")

	keep := request()
	keep.Previous = first
	kept := mustMake(t, newer, keep)
	if changes := updates.Diff(first, kept); len(changes) > 0 {
		t.Errorf("without being told to: %v", changes)
	}
	if len(kept.Accounts) != 1 || kept.Accounts[0].Name != "www" {
		t.Errorf("accounts: %v", kept.Accounts)
	}

	keep.Update = []string{"ssl"}
	got := moves(debian.Check(first, mustMake(t, newer, keep)))
	want := []string{"root libc 2 security", "root ssl 2 security", "tools libc 2 security"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("update of ssl:\n%s", diff)
	}
	keep.Update = []string{"web"}
	got = moves(debian.Check(first, mustMake(t, newer, keep)))
	if diff := cmp.Diff([]string{"root web 2 security", "root web-core 2 security"}, got); diff != "" {
		t.Errorf("update of web:\n%s", diff)
	}
	keep.Update = []string{"wbe", "web", "kernle"}
	if _, err := debian.MakeFrom(context.Background(), newer, keep); fault.KindOf(err) != fault.Input ||
		!strings.Contains(err.Error(), "wbe, nor kernle") || fault.HintOf(err) != "did you mean web and kernel?" {
		t.Errorf("update of unknown packages: got %v, hint %q", err, fault.HintOf(err))
	}
	keep.Update = []string{"zzzzzz"}
	if _, err := debian.MakeFrom(context.Background(), newer, keep); !strings.Contains(fault.HintOf(err), "name a package of the lock") {
		t.Errorf("update of what is near to none: got %v, hint %q", err, fault.HintOf(err))
	}
	keep.Update, keep.Fresh = nil, true
	fresh := mustMake(t, newer, keep)
	if got := len(debian.Check(first, fresh).Security()); got != 6 {
		t.Errorf("fresh: %d security updates", got)
	}
	if len(fresh.Accounts) != 1 {
		t.Errorf("accounts: %v", fresh.Accounts)
	}
}

func moves(d debian.Drift) []string {
	var out []string
	for _, m := range d.Moves {
		line := fmt.Sprintf("%s %s", m.Set, m.Name)
		if m.New != nil {
			line += " " + m.New.Version
		}
		if m.Security {
			line += " security"
		}
		out = append(out, line)
	}
	return out
}

func TestWhatIsOfferedNoMoreStaysByItsControlFile(t *testing.T) {
	first := mustMake(t, debian12(t), request())
	later := debian12(t, "ssl 2; Depends: libc")
	later[0].Packages = slices.DeleteFunc(later[0].Packages, func(p repo.Package) bool { return p.Name == "ssl" })

	keep := request()
	keep.Previous = first
	drift := debian.Check(first, mustMake(t, later, keep))
	if diff := cmp.Diff([]string{"root ssl 2 security"}, moves(drift)); diff != "" {
		t.Errorf("without its control file:\n%s", diff)
	}
	if why := drift.Moves[0].Why; why != "ssl 1 is replaced by the security update 2 of bookworm-security" {
		t.Errorf("why: %s", why)
	}
	asked := 0
	keep.Control = func(_ context.Context, p updates.Package) (string, error) {
		asked++
		return control("ssl 1; Depends: libc"), nil
	}
	if changes := updates.Diff(first, mustMake(t, later, keep)); len(changes) > 0 || asked != 1 {
		t.Errorf("with its control file, asked %d times: %v", asked, changes)
	}
	keep.Control = func(context.Context, updates.Package) (string, error) { return control("tls 1"), nil }
	if _, err := debian.MakeFrom(context.Background(), later, keep); fault.KindOf(err) != fault.World {
		t.Errorf("another package's control file: got %v", err)
	}
	keep.Control = func(context.Context, updates.Package) (string, error) { return "", errors.New("not in the archive") }
	if got := moves(debian.Check(first, mustMake(t, later, keep))); len(got) != 1 {
		t.Errorf("when it cannot be had: %v", got)
	}
}

func TestReleaseOlderThanTheLockedOneIsRefused(t *testing.T) {
	first := mustMake(t, debian12(t), request())
	held := debian12(t)
	held[1] = index(t, "debian-security", "bookworm-security", "2026-01-31")
	for _, fresh := range []bool{false, true} {
		r := request()
		r.Previous, r.Fresh = first, fresh
		_, err := debian.MakeFrom(context.Background(), held, r)
		if !errors.Is(err, debian.ErrDowngrade) || fault.KindOf(err) != fault.World || fault.HintOf(err) == "" {
			t.Fatalf("fresh %v: got %v", fresh, err)
		}
		for _, want := range []string{"bookworm-security", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q: %v", want, err)
			}
		}
		mustMake(t, debian12(t), r) // the very same is none
	}
	// Neither another suite nor a first lock has anything to compare with.
	mustMake(t, held, request())
	other := request()
	other.Previous = &updates.Lock{Releases: []updates.Release{{Archive: "debian", Suite: "trixie", Date: "2026-03-01T00:00:00Z"}}}
	mustMake(t, held, other)
	// Nor has another archive that the recipe calls by the same name.
	vendor := func(url, date string) ([]*repo.Index, debian.Request) {
		indexes := append(debian12(t), index(t, "vendor", "stable", date))
		indexes[2].Source.URL = url
		r := request()
		r.Sources = append(r.Sources, indexes[2].Source)
		return indexes, r
	}
	indexes, r := vendor("https://vendor.example/mainline/", "2026-01-10")
	locked := mustMake(t, indexes, r)
	if got := locked.Releases[2].URL; got != "https://vendor.example/mainline" {
		t.Errorf("the lock has the repository as %q", got)
	}
	indexes, r = vendor("https://vendor.example/stable", "2026-01-05")
	r.Previous = locked
	mustMake(t, indexes, r)
	indexes, r = vendor("https://vendor.example/mainline", "2026-01-05")
	r.Previous = locked
	if _, err := debian.MakeFrom(t.Context(), indexes, r); !errors.Is(err, debian.ErrDowngrade) {
		t.Errorf("an older release of the same repository: got %v", err)
	}
}

// TestToolsAreDebiansOwn offers newer packages in a recipe's own source: the root
// takes them, as apt would, and what runs on the host's files does not.
func TestToolsAreDebiansOwn(t *testing.T) {
	indexes := append(debian12(t), index(t, "vendor", "stable", "2026-01-05", "mkfs 99; Depends: libc", "libc 99"))
	r := request()
	r.Sources = append(r.Sources, repo.Source{Archive: "vendor", Suite: "stable"})
	for _, again := range []bool{false, true} {
		lock, err := debian.MakeFrom(t.Context(), indexes, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range lock.Packages {
			if p.Set == updates.Tools && p.Archive != "debian" || p.Set == updates.Root && p.Name == "libc" && p.Version != "99" {
				t.Errorf("again %v: %s %s of %s comes from %s", again, p.Name, p.Version, p.Set, p.Archive)
			}
		}
		r.Previous = lock
	}
}

func TestLocalFilesEnterTheLock(t *testing.T) {
	r := request()
	r.Generations[1].Packages = []string{"web", "own"}
	r.Locals = []debian.Local{{Path: "packages/own.deb", SHA256: strings.Repeat("a", 64), Size: 7, Control: control("own 3; Depends: ssl")}}
	lock := mustMake(t, debian12(t), r)
	at := slices.IndexFunc(lock.Packages, func(p updates.Package) bool { return p.Name == "own" })
	if at < 0 {
		t.Fatal("it is not in the lock")
	}
	if p := lock.Packages[at]; p.Path != "packages/own.deb" || p.Archive != "" || p.Suite != "" || p.Size != 7 || p.SHA256 != strings.Repeat("a", 64) {
		t.Errorf("%+v", p)
	}
	r.Locals[0].Control = strings.Replace(r.Locals[0].Control, "amd64", "arm64", 1)
	if _, err := debian.MakeFrom(context.Background(), debian12(t), r); fault.KindOf(err) != fault.Input {
		t.Errorf("of another architecture: got %v", err)
	}
	r.Locals[0].Control = "nonsense"
	if _, err := debian.MakeFrom(context.Background(), debian12(t), r); fault.KindOf(err) != fault.Input {
		t.Errorf("nonsense: got %v", err)
	}
}

func TestRequestsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*debian.Request){
		"no source":           func(r *debian.Request) { r.Sources = nil },
		"no generation":       func(r *debian.Request) { r.Generations = nil },
		"architecture":        func(r *debian.Request) { r.Architecture = "../x" },
		"layers collide":      func(r *debian.Request) { r.Generations[1].Name = "debian-12-leaf" },
		"layer of boot":       func(r *debian.Request) { r.Generations[1].Name = "boot" },
		"unsatisfiable":       func(r *debian.Request) { r.Boot = []string{"nothing"} },
		"unsatisfiable tools": func(r *debian.Request) { r.Tools = []string{"web=9"} },
	} {
		r := request()
		change(&r)
		_, err := debian.MakeFrom(context.Background(), debian12(t), r)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Input {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEveryUnknownPackageIsNamed(t *testing.T) {
	r := request()
	r.Generations[0].Packages = []string{"wbe"}
	r.Generations[1].Packages = []string{"web", "zzzzzz"}
	r.Boot = []string{"kernle"}
	_, err := debian.MakeFrom(t.Context(), debian12(t), r)
	if fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
	for _, want := range []string{"wbe (did you mean web", "nor zzzzzz", "kernle (did you mean kernel?)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestDriftSaysWhatMoved(t *testing.T) {
	first := mustMake(t, debian12(t, "ssl 2; Depends: libc"), request())
	drift := debian.Check(first, mustMake(t, debian12(t), request()))
	if len(drift.Moves) != 1 || !drift.Moves[0].Older || drift.Moves[0].Security || !strings.Contains(drift.Moves[0].Why, "goes back from 2 to 1") {
		t.Errorf("a withdrawn version: %+v", drift.Moves)
	}
	without := mustMake(t, debian12(t), request())
	without.WithoutSecurity = true
	if why := debian.Check(first, without).Moves[0].Why; why != "ssl goes back from 2 to 1: the security suite is left out" {
		t.Errorf("without the security suite: %s", why)
	}
	again := mustMake(t, debian12(t, "ssl 2; Depends: libc"), request())
	moved := &again.Packages[0]
	for why, change := range map[string]func(){
		"offered elsewhere":      func() { moved.Path = "pool/elsewhere/" + moved.Name + ".deb" },
		" goes from ":            func() { moved.Layer += "-leaf" },
		"something else is said": func() { moved.Source += "x" },
	} {
		was := *moved
		change()
		if moves := debian.Check(first, again).Moves; len(moves) != 1 || !strings.Contains(moves[0].Why, why) {
			t.Errorf("%s: %+v", why, moves)
		}
		*moved = was
	}
	slim := mustMake(t, debian12(t, "ssl 2; Depends: libc", "web 2; Depends: tls", "tls 1"), request())
	var whys []string
	for _, m := range debian.Check(first, slim).Moves {
		whys = append(whys, m.Why)
	}
	want := []string{
		"ssl 2 is no longer needed or no longer offered",
		"tls 1 is now needed",
		"web 1 is replaced by the security update 2 of bookworm-security",
		"web-core 1 is no longer needed or no longer offered",
		"web-data 1 is no longer needed or no longer offered",
	}
	if diff := cmp.Diff(want, whys); diff != "" {
		t.Error(diff)
	}
}
