package builder_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/debian/repo/repotest"
	"imgbuild/images/updates"
)

// sourcesRecipe takes one package from a repository beside Debian's and one
// from a file of the project.
const sourcesRecipe = `name: proof-sources
description: packages that are not Debian's
extends: proof-small
packages: [proof-further]
sources:
  further:
    url: file://%s
    suite: stable
    key: files/further.gpg
    fingerprint: "%s"
  ours:
    deb: files/ours.deb
    sha256: %x
`

// TestSourcesEnterLockAndArchive locks a recipe with sources of its own beside
// what Debian's mirror offers, bakes it, and bakes it again when those sources
// are gone.
func TestSourcesEnterLockAndArchive(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not on this machine, and it makes the packages: ", err)
	}
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-sources")
	key, other := repotest.NewKey(t), repotest.NewKey(t)
	further, furtherControl := buildPackage(t, "proof-further", "Depends: proof-ours")
	ours, _ := buildPackage(t, "proof-ours", "Depends: cron")
	repository := filepath.Join(s.dir, "repository")
	repotest.Write(t, repository, "stable", key, repotest.Package{Control: furtherControl, File: further})
	files := filepath.Join(filepath.Dir(s.recipeFile()), "files")
	write := func(path string, data []byte) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(files, "further.gpg"), append(repotest.PublicKey(t, other), repotest.PublicKey(t, key)...))
	write(filepath.Join(files, "ours.deb"), ours)
	lock := func(fingerprint string) error {
		write(s.recipeFile(), fmt.Appendf(nil, sourcesRecipe, repository, fingerprint, sha256.Sum256(ours)))
		online := *s
		online.namespaces = 0
		_, err := online.run(t.Context(), "lock", s.baseline)
		return err
	}

	for fingerprint, want := range map[string]failed{
		repotest.Fingerprint(other): {code: 4, stderr: "no valid signature"},
		strings.Repeat("0", 40):     {code: 2, stderr: "holds no key"},
	} {
		var f *failed
		if err := lock(fingerprint); !errors.As(err, &f) || f.code != want.code || !strings.Contains(f.stderr, want.stderr) {
			t.Errorf("fingerprint %s: got %v, want exit code %d and %q", fingerprint, err, want.code, want.stderr)
		}
	}
	if err := lock(repotest.Fingerprint(key)); err != nil {
		t.Fatal(err)
	}
	locked, err := updates.ReadLock(s.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) updates.Package {
		i := slices.IndexFunc(locked.Packages, func(p updates.Package) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("the lock has no %s", name)
		}
		return locked.Packages[i]
	}
	if p := at("proof-further"); p.Archive != "further" || p.Suite != "stable" || p.SHA256 != fmt.Sprintf("%x", sha256.Sum256(further)) {
		t.Errorf("of the repository: %+v", p)
	}
	if p := at("proof-ours"); p.Archive != "" || p.Path != "baselines/files/ours.deb" || p.SHA256 != fmt.Sprintf("%x", sha256.Sum256(ours)) {
		t.Errorf("of the project: %+v", p)
	}
	if !slices.ContainsFunc(locked.Releases, func(r updates.Release) bool { return r.Archive == "further" && r.Suite == "stable" }) {
		t.Errorf("the lock does not name the repository's release: %+v", locked.Releases)
	}
	archive, err := updates.Open(s.archive)
	if err != nil {
		t.Fatal(err)
	}
	if !archive.Has(at("proof-ours").SHA256) {
		t.Error("the project's package file is not in the archive")
	}

	away := repository + "-away"
	if err := os.Rename(repository, away); err != nil {
		t.Fatal(err)
	}
	said := s.mustFail(t, 4)
	for _, want := range []string{"no source has proof-further 1", "imgbuild lock proof-sources --update proof-further"} {
		if !strings.Contains(said, want) {
			t.Errorf("a bake without the repository does not say %q: %s", want, said)
		}
	}
	if err := os.Rename(away, repository); err != nil {
		t.Fatal(err)
	}

	// The distribution's advisories do not speak of them: the gate about CVEs refuses what
	// nobody can judge, until the recipe answers for both sources.
	write(filepath.Join(s.dir, "media", "record.json"), fmt.Appendf(nil, `{"schema_version": "1.6.0", "id": "CVE-2099-1000", "modified": %q,
		"affected": [{"package": {"ecosystem": "Debian:12", "name": "not-there"}, "versions": ["1"]}]}`, time.Now().UTC().Format(time.RFC3339)))
	if _, err := s.run(t.Context(), "feeds", "add", filepath.Join(s.dir, "media")); err != nil {
		t.Fatal(err)
	}
	recipe, err := os.ReadFile(s.recipeFile())
	if err != nil {
		t.Fatal(err)
	}
	write(s.recipeFile(), append(recipe, "gates: {cves: high}\n"...))
	said = s.mustFail(t, 3)
	for _, want := range []string{
		"proof-further 1: it comes from the source further, of which no advisory speaks; a recipe accepts that by advisories: none at the source",
		"proof-ours 1: it comes from a package file of the project",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the gate does not say %q: %s", want, said)
		}
	}
	answered := strings.NewReplacer("    suite: stable\n", "    suite: stable\n    advisories: none\n", "    deb: files/ours.deb\n", "    deb: files/ours.deb\n    advisories: none\n")
	write(s.recipeFile(), append([]byte(answered.Replace(string(recipe))), "gates: {cves: high}\n"...))
	first := s.bake(t)

	if err := os.RemoveAll(repository); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{s.cache(), s.catalogDir()} {
		if err := os.RemoveAll(made); err != nil {
			t.Fatal(err)
		}
	}
	if again := s.bake(t); again.Known || again.Container != first.Container {
		t.Errorf("without the repository: got %+v, want the container %s", again, first.Container)
	}
}

// buildPackage makes a package with one file and returns it with its control
// paragraph.
func buildPackage(t *testing.T, name, fields string) (file []byte, control string) {
	t.Helper()
	dir := t.TempDir()
	tree, deb := filepath.Join(dir, "tree"), filepath.Join(dir, "package.deb")
	control = fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@mirror.example>\n%s\nDescription: a package of the tests\n", name, fields)
	for path, text := range map[string]string{"DEBIAN/control": control, "usr/lib/" + name + "/proof": name} {
		path = filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, deb)
	file, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	return file, control
}
