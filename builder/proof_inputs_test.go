package builder_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/baseline"
	"imgbuild/images/baselines"
	"imgbuild/images/catalog"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// projectInputs are the files of the project that proof-vm takes into its root,
// into what boots, and that its scripts are and see.
var projectInputs = []string{
	"proof-run/one", "proof-run/tree/deep/file", "proof-run/tree/tool", "proof-run/filled", "proof-run/boot.sh", "proof-run/boot-input",
}

// provenanceListsAllInputs compares the provenance of a server with what it was
// baked from: the lock, every package of each of its sets, the indexes, the
// recipe, and the files that it brings. Each is listed once, by its SHA-256, and
// nothing else is.
func provenanceListsAllInputs(t *testing.T, s *shop) {
	lock, err := updates.ReadLock(s.lockFile())
	check(t, err)
	want := map[string]bool{} // kind, name and digest
	add := func(kind, name, sum string) { want[kind+" "+name+" "+sum] = true }
	add("lock", s.baseline, sumOfFile(t, os.DirFS("/"), s.lockFile()[1:]))
	sets := map[updates.Set]int{}
	for _, p := range lock.Packages {
		add("package", fmt.Sprintf("%s %s pkg:deb/debian/%s", p.Set, p.Name, p.Name), p.SHA256)
		sets[p.Set]++
	}
	for _, set := range []updates.Set{updates.Root, updates.Boot, updates.Tools} {
		if sets[set] < 10 {
			t.Errorf("the lock has %d packages for %s", sets[set], set)
		}
	}
	for _, r := range lock.Releases {
		if !strings.HasSuffix(r.Path, "/InRelease") {
			t.Errorf("the lock was made from %s", r.Path)
		}
		add("release", r.Path, r.SHA256)
	}
	add("recipe", s.baseline, recipeSum(t, s))
	for _, name := range projectInputs {
		add("recipe", "baselines/"+name, sumOfFile(t, os.DirFS(filepath.Join(s.project, "baselines")), name))
	}
	// The parent is shipped with the program, and brings files of its own.
	for _, folder := range []string{"files/cloud-init", "files/logrotate", "files/systemd"} {
		check(t, fs.WalkDir(baselines.FS(), folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				add("recipe", path, sumOfFile(t, baselines.FS(), path))
			}
			return err
		}))
	}

	missing := maps.Clone(want)
	listed := map[string]bool{}
	for _, d := range listedInputs(t, s) {
		kind, name := d.Annotations["imgbuild.kind"], d.Name
		if kind == "package" {
			uri, err := url.PathUnescape(d.URI)
			check(t, err)
			uri, _, _ = strings.Cut(uri, "@")
			name = d.Annotations["imgbuild.set"] + " " + name + " " + uri
		}
		entry := kind + " " + name + " " + d.Digest["sha256"]
		if listed[entry] {
			t.Errorf("it lists %s twice", entry)
		}
		listed[entry] = true
		delete(missing, entry)
		switch {
		case want[entry]:
		case kind == "recipe" && strings.HasPrefix(name, "provision"): // a resource or a script, with all that is said of it
		default:
			t.Errorf("it lists %s, which is no input", entry)
		}
	}
	for _, entry := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("it does not list %s", entry)
	}
	for _, name := range []string{"provision: file /etc/proof/one", "provision: run read", "provision-boot: file /etc/proof/boot", "provision-boot: run boot"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(listed)), func(entry string) bool { return strings.HasPrefix(entry, "recipe "+name+" ") }) {
			t.Errorf("it does not list %q", name)
		}
	}
	t.Logf("%d inputs, of them %d packages for the root, %d for what boots, %d tools", len(listed), sets[updates.Root], sets[updates.Boot], sets[updates.Tools])
}

// listedInput is an entry of a provenance, as SLSA has it.
type listedInput struct {
	Name, URI           string
	Digest, Annotations map[string]string
}

// listedInputs reads the provenance that is attached to the shop's only version
// as any reader of in-toto statements in DSSE envelopes would.
func listedInputs(t *testing.T, s *shop) []listedInput {
	t.Helper()
	versions := s.wholeCatalog(t)
	if len(versions) != 1 {
		t.Fatalf("the catalog has %d versions", len(versions))
	}
	c, err := catalog.Open(t.Context(), catalog.Config{Location: s.catalogDir()})
	check(t, err)
	attached, err := c.Evidence(t.Context(), versions[0], "")
	check(t, err)
	i := slices.IndexFunc(attached, func(e *catalog.Evidence) bool {
		return e.Annotations["in-toto.io/predicate-type"] == signing.PredicateProvenance
	})
	if i < 0 {
		t.Fatal("no provenance is attached")
	}
	text, err := attached[i].Read(t.Context())
	check(t, err)
	var envelope struct{ Payload string }
	check(t, json.Unmarshal(text, &envelope))
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	check(t, err)
	var statement struct {
		Predicate struct {
			BuildDefinition struct{ ResolvedDependencies []listedInput }
		}
	}
	check(t, json.Unmarshal(payload, &statement))
	return statement.Predicate.BuildDefinition.ResolvedDependencies
}

// recipeSum is the digest of what the shop's recipe means.
func recipeSum(t *testing.T, s *shop) string {
	t.Helper()
	source, err := baseline.NewSource(s.project, baselines.FS())
	check(t, err)
	defer source.Close()
	recipe, err := baseline.Load(t.Context(), source, s.baseline, "")
	check(t, err)
	text, err := recipe.Canonical()
	check(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

func sumOfFile(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	data, err := fs.ReadFile(files, name)
	check(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
