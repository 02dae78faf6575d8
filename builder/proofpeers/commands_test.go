package proofpeers_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/shipped"
	"imgbuild/images/peertest"
	"imgbuild/images/updates"
)

// ownProject is the house as somebody sees it who works on a copy of its
// project.
func (h *house) ownProject(t *testing.T) *place {
	t.Helper()
	p := h.copy(t)
	p.project = filepath.Join(newDir(t), "project")
	if out, err := exec.Command("cp", "-a", h.project, p.project).CombinedOutput(); err != nil {
		t.Fatalf("copying the project: %v\n%s", err, out)
	}
	return p
}

func (p *place) lockFile(baseline string) string {
	return filepath.Join(p.project, "locks", baseline+".lock")
}

func (p *place) lock(t *testing.T, baseline string) *updates.Lock {
	t.Helper()
	lock, err := updates.ReadLock(p.lockFile(baseline))
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// locked is a package of a lock.
func locked(t *testing.T, lock *updates.Lock, name string) *updates.Package {
	t.Helper()
	i := slices.IndexFunc(lock.Packages, func(p updates.Package) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("the lock has no %s", name)
	}
	return &lock.Packages[i]
}

// older is a version that came before any of Debian's.
const older = "0~older"

// setBack makes a package of a lock its older version, and puts the file of
// that into an archive.
func setBack(t *testing.T, pkg *updates.Package, archive string) {
	t.Helper()
	dir := newDir(t)
	tree, packed := filepath.Join(dir, "tree"), filepath.Join(dir, "older.deb")
	command(t, "dpkg-deb", "-R", filepath.Join(shipped.PackageArchive(), "sha256", pkg.SHA256[:2], pkg.SHA256), tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAll(text, []byte("Version: "+older))
	if err := os.WriteFile(control, text, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, "dpkg-deb", "--root-owner-group", "-b", tree, packed)
	info, err := os.Stat(packed)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := hashOf(packed)
	if err != nil {
		t.Fatal(err)
	}
	pkg.Version, pkg.SourceVersion, pkg.Size, pkg.SHA256 = older, older, info.Size(), sum
	to := filepath.Join(archive, "sha256", sum[:2], sum)
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(packed, to)); err != nil {
		t.Fatal(err)
	}
}

// A lock says what has moved since, and moves as far as it is told to.
func TestALockMovesOnlyWhenTold(t *testing.T) {
	peertest.Need(t, "dpkg-deb")
	t.Parallel()
	p := theHouse(t).ownProject(t)
	p.refuses(t, 0, []string{"nothing has moved", "next: ", "bake peer-web"}, "lock", "peer-web", "--check")

	archive := newDir(t)
	lock := p.lock(t, "peer-web")
	want := map[string]updates.Package{}
	for _, name := range []string{"netbase", "tzdata"} {
		pkg := locked(t, lock, name)
		want[name] = *pkg
		setBack(t, pkg, archive)
	}
	if err := lock.Write(p.lockFile("peer-web")); err != nil {
		t.Fatal(err)
	}
	before, err := hashOf(p.lockFile("peer-web"))
	if err != nil {
		t.Fatal(err)
	}
	moved := func(name string) string {
		what := want[name].Version + " of " + want[name].Suite
		if want[name].Archive == "debian-security" {
			what = "the security update " + what
		}
		return name + " " + older + " is replaced by " + what
	}
	p.refuses(t, 4, []string{
		moved("netbase"), moved("tzdata"), "2 packages have moved since the lock was made, ",
		"lock peer-web --fresh", "lock peer-web --update PACKAGE",
	}, "lock", "peer-web", "--check", "--archive-dir", archive)
	if after, err := hashOf(p.lockFile("peer-web")); err != nil || after != before {
		t.Errorf("--check has written the lock: %v", err)
	}

	// What is not named stays, though no mirror offers it.
	said := p.must(t, "lock", "peer-web", "--update", "netbase", "--archive-dir", archive)
	if !strings.Contains(said, moved("netbase")) || strings.Contains(said, "tzdata") {
		t.Errorf("--update netbase says:\n%s", said)
	}
	lock = p.lock(t, "peer-web")
	if got := *locked(t, lock, "netbase"); got != want["netbase"] {
		t.Errorf("--update netbase took %+v, want %+v", got, want["netbase"])
	}
	if got := locked(t, lock, "tzdata").Version; got != older {
		t.Errorf("--update netbase moved tzdata to %s", got)
	}
	p.refuses(t, 2, []string{"the lock of peer-web has no package netbsae", "did you mean netbase?"}, "lock", "peer-web", "--update", "netbsae", "--archive-dir", archive)

	if said := p.must(t, "lock", "peer-web", "--fresh", "--archive-dir", archive); !strings.Contains(said, moved("tzdata")) {
		t.Errorf("--fresh says:\n%s", said)
	}
	if got := *locked(t, p.lock(t, "peer-web"), "tzdata"); got != want["tzdata"] {
		t.Errorf("--fresh took %+v, want %+v", got, want["tzdata"])
	}
}

// The first bake of a baseline locks it and says so; --tar writes its root.
func TestTheFirstBakeLocks(t *testing.T) {
	t.Parallel()
	p := theHouse(t).ownProject(t)
	packages := len(p.lock(t, "peer-web").Packages)
	if err := os.Remove(p.lockFile("peer-web")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(newDir(t), "root.tar")
	a := p.run("bake", "peer-web", "--tar", file)
	if a.code != 0 {
		t.Fatal(a)
	}
	told := regexp.MustCompile(`locked (\d+) packages of today in (\S+) \(policy\.mode: open\)`).FindStringSubmatch(a.stderr)
	lock := p.lock(t, "peer-web")
	if told == nil || told[2] != p.lockFile("peer-web") || len(lock.Packages) != packages {
		t.Errorf("%d packages were locked, %d are; told of it: %q in\n%s", packages, len(lock.Packages), told, a.stderr)
	}
	if !strings.Contains(a.stdout, "next: ") {
		t.Errorf("nothing follows:\n%s", a.stdout)
	}
	again := p.run("bake", "peer-web", "--tar", file)
	if again.code != 0 || strings.Contains(again.stderr, "locked") {
		t.Errorf("the second bake: %v", again)
	}

	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(h.Name, "./")] = string(content)
	}
	if !strings.HasPrefix(found["usr/sbin/nginx"], "\x7fELF") || found["srv/www/index.html"] != "hello\n" {
		t.Errorf("of %d paths in the tar, nginx has %d bytes and its page is %q",
			len(found), len(found["usr/sbin/nginx"]), found["srv/www/index.html"])
	}
}

// --plan and --explain look ahead, and change nothing.
func TestPlanAndExplainSayWhatDiffers(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.ownProject(t)
	type planned struct {
		Kind   string
		Cached bool
		Why    string
	}
	for _, s := range decode[[]planned](t, p, "bake", "peer-web", "--plan") {
		if !s.Cached {
			t.Errorf("a stage of what was baked is not cached: %+v", s)
		}
	}
	edited := strings.Replace(webRecipe, `"hello\n"`, `"good day\n"`, 1)
	if err := h.recipe(p.project, "peer-web", edited); err != nil {
		t.Fatal(err)
	}
	images := p.must(t, "images", "list")
	lock, err := hashOf(p.lockFile("peer-web"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first makes nothing for the second
		cached := map[string]bool{}
		for _, s := range decode[[]planned](t, p, "bake", "peer-web", "--plan") {
			cached[s.Kind] = s.Cached
		}
		if !cached["packages"] || cached["provision"] || cached["seal"] || len(cached) < 3 {
			t.Errorf("cached by kind: %v", cached)
		}
		p.refuses(t, 0, []string{"provision: differs from cached stage", "/srv/www/index.html", "next: "}, "bake", "peer-web", "--explain")
	}
	if now := p.must(t, "images", "list"); now != images {
		t.Errorf("the catalog has\n%s\nand had\n%s", now, images)
	}
	if now, err := hashOf(p.lockFile("peer-web")); err != nil || now != lock {
		t.Errorf("the lock was written: %v", err)
	}
}

// A revoked version that is whole names what to use instead.
func TestARevokedVersionLeadsOn(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.copy(t)
	p.must(t, "images", "revoke", h.shop.Version, "--reason", "broken")
	p.refuses(t, 3, []string{"is whole, but revoked: broken", "hint: ", "images list peer-shop"}, "images", "verify", h.shop.Version)
	p.must(t, "images", "revoke", h.web.Version, "--reason", "broken", "--rollback", h.newer.Version)
	p.refuses(t, 3, []string{"hint: ", "images verify peer-web@" + h.newer.Digest}, "images", "verify", h.web.Version)
	p.refuses(t, 3, []string{"the revocation would be lost"}, "images", "rm", h.web.Version)
}
