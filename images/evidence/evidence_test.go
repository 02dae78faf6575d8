package evidence_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/integrity"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
)

// now is when the versions of these tests were made.
var now = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// shop is a catalog on disk with a key that it trusts.
type shop struct {
	t       *testing.T
	dir     string
	key     *signing.Key
	trust   signing.Trust
	catalog *catalog.Catalog
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir()}
	s.key, s.trust = signingtest.Keyring(t, "release")
	var err error
	if s.catalog, err = catalog.Open(t.Context(), catalog.Config{Location: s.dir, Trust: s.trust}); err != nil {
		t.Fatal(err)
	}
	return s
}

// bom is a CycloneDX document of packages "name=version".
func bom(packages []string) []byte {
	var components []map[string]string
	for _, p := range packages {
		name, version, _ := strings.Cut(p, "=")
		components = append(components, map[string]string{
			"type": "library", "name": name, "version": version, "purl": "pkg:deb/debian/" + name + "@" + version + "?arch=amd64",
		})
	}
	out, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})
	if err != nil {
		panic(err)
	}
	return out
}

// without are the kinds of statement that a version is made without.
type without map[string]bool

// bake puts a version with a disk of the given text, signed by key, into the
// catalog.
func (s *shop) bake(text string, packages []string, key *signing.Key, leave without) *catalog.Version {
	s.t.Helper()
	ctx := s.t.Context()
	draft, err := s.catalog.Begin(ctx, "web")
	if err != nil {
		s.t.Fatal(err)
	}
	defer draft.Close()
	path := filepath.Join(s.t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	disk, err := draft.AddDisk(ctx, "raw", "amd64", path)
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := draft.Commit(ctx, catalog.New{Disks: []catalog.Disk{disk}, Baked: now}, func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
		return s.attest(ctx, a, v, text, packages, key, leave)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *shop) attest(ctx context.Context, a *catalog.Attacher, v *catalog.Version, text string, packages []string, key *signing.Key, leave without) error {
	sum := sha256.Sum256([]byte(text))
	var manifest bytes.Buffer
	m, err := integrity.NewManifest([]integrity.Entry{
		{Path: ".", Mode: os.ModeDir | 0o755},
		{Path: "page", Mode: 0o644, Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sum)},
	}, integrity.DefaultRules())
	if err != nil {
		return err
	}
	if err := m.WriteMtree(&manifest); err != nil {
		return err
	}
	if !leave["document"] {
		if _, err := a.Attach(ctx, "application/vnd.imgbuild.integrity.v1", "text/x-mtree", manifest.Bytes(), nil); err != nil {
			return err
		}
	}
	bound, err := json.Marshal(signing.IntegrityPredicate{
		MediaType: "text/x-mtree", Digest: digest.FromBytes(manifest.Bytes()).String(), Size: int64(manifest.Len()), Output: evidence.OutputDisk,
	})
	if err != nil {
		return err
	}
	for predicateType, predicate := range map[string][]byte{
		signing.PredicateCycloneDX:  bom(packages),
		signing.PredicateSPDX:       []byte(`{"spdxVersion":"SPDX-2.3"}`),
		signing.PredicateProvenance: []byte(`{"buildDefinition":{}}`),
		signing.PredicateRecipe:     []byte(`{"gates":{"forbid-packages":["telnet"],"max-size":{"raw":4096}}}`),
		signing.PredicateIntegrity:  bound,
	} {
		if leave[predicateType] {
			continue
		}
		subjects := []signing.Subject{{Name: "web", Digest: v.Index.Digest.String()}}
		if !leave["outputs"] {
			subjects = append(subjects, signing.Subject{Name: "web/raw", Digest: v.Disks[0].Manifest.Digest.String()})
		}
		envelope, err := signing.SignStatement(ctx, signing.Statement{Subjects: subjects, PredicateType: predicateType, Predicate: predicate, SignedAt: now}, key)
		if err != nil {
			return err
		}
		artifact, err := signing.AttestationReferrer(v.Index, envelope)
		if err != nil {
			return err
		}
		if err := a.Put(ctx, artifact); err != nil {
			return err
		}
	}
	if leave["signature"] {
		return nil
	}
	signature, err := signing.SignImage(ctx, "web", v.Index.Digest.String(), now, key)
	if err != nil {
		return err
	}
	artifact, err := signing.SignatureArtifact(v.Index.Digest.String(), []signing.ImageSignature{signature})
	if err != nil {
		return err
	}
	return a.Put(ctx, artifact)
}

// admit is why a version may not enter a channel.
func (s *shop) admit(v *catalog.Version) error {
	refusals, err := evidence.Admit(s.t.Context(), s.catalog, v, s.trust, "")
	return errors.Join(err, gate.Error(v.Ref(), "", refusals))
}

// problems verifies and returns "name: detail" of what does not hold.
func (s *shop) problems(v *catalog.Version) []string {
	s.t.Helper()
	report, err := evidence.Verify(s.t.Context(), s.catalog, v, s.trust)
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, p := range report.Problems() {
		found = append(found, p.Name+": "+p.Detail)
	}
	return found
}

func TestAWholeVersionHolds(t *testing.T) {
	s := newShop(t)
	v := s.bake("hello", []string{"nginx=1"}, s.key, nil)
	report, err := evidence.Verify(t.Context(), s.catalog, v, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	if problems := report.Problems(); len(problems) > 0 {
		t.Errorf("problems of a whole version: %v", problems)
	}
	var names []string
	for _, c := range report.Checks {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	want := []string{"CycloneDX", "SPDX", "digests", "integrity manifest of the disk", "provenance", "recipe", "signature of the index"}
	if !slices.Equal(names, want) {
		t.Errorf("checked %v, want %v", names, want)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	s := newShop(t)
	stranger, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   *signing.Key
		leave without
		want  []string
	}{
		"no signature":              {s.key, without{"signature": true}, []string{"signature of the index: "}},
		"no provenance":             {s.key, without{signing.PredicateProvenance: true}, []string{"provenance: there is none"}},
		"statements of half of it":  {s.key, without{"outputs": true}, []string{"does not speak of the raw disk"}},
		"a manifest gone":           {s.key, without{"document": true}, []string{"integrity manifest of the disk: ", "signed for, but not attached"}},
		"signed by somebody else":   {stranger, nil, []string{"signature of the index: ", "CycloneDX: ", "SPDX: ", "provenance: ", "integrity manifest: "}},
		"one statement and no more": {s.key, without{signing.PredicateCycloneDX: true, signing.PredicateSPDX: true}, []string{"CycloneDX: there is none", "SPDX: there is none"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := s.problems(s.bake(name, nil, c.key, c.leave))
			all := strings.Join(found, "\n")
			for _, want := range c.want {
				if !strings.Contains(all, want) {
					t.Errorf("problems:\n%s\nwant %q among them", all, want)
				}
			}
			if len(found) == 0 {
				t.Error("nothing was found")
			}
		})
	}
}

func TestADamagedBlobIsNamed(t *testing.T) {
	s := newShop(t)
	v := s.bake("the page of today", nil, s.key, nil)
	blobs := filepath.Join(s.dir, "web", "blobs", "sha256")
	text, err := os.ReadFile(filepath.Join(blobs, v.Disks[0].Manifest.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	blob := manifest.Layers[0].Digest
	path := filepath.Join(blobs, blob.Encoded())
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, content, 0o644)); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(s.problems(v), "\n")
	if !strings.Contains(all, blob.String()) {
		t.Errorf("the damaged blob %s is not named:\n%s", blob, all)
	}
}

// TestALostStatementLosesNoOther: the file of one statement's manifest is gone.
func TestALostStatementLosesNoOther(t *testing.T) {
	s := newShop(t)
	v := s.bake("the page of today", nil, s.key, nil)
	attached, err := s.catalog.Evidence(t.Context(), v, signing.EnvelopeMediaType)
	if err != nil {
		t.Fatal(err)
	}
	lost := attached[0].Manifest.Digest
	if err := os.Remove(filepath.Join(s.dir, "web", "blobs", "sha256", lost.Encoded())); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(s.problems(v), "\n")
	if !strings.Contains(all, lost.String()) || strings.Count(all, "there is none") > 1 {
		t.Errorf("want %s alone to be missed:\n%s", lost, all)
	}
}

func TestDiffTellsPackagesAndFiles(t *testing.T) {
	s := newShop(t)
	before := s.bake("old", []string{"nginx=1.22", "openssl=3.0.1", "telnet=1"}, s.key, nil)
	after := s.bake("newer", []string{"nginx=1.22", "openssl=3.0.2", "curl=8"}, s.key, nil)
	d, err := evidence.Diff(t.Context(), s.catalog, before, after, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	want := []evidence.PackageChange{{Name: "curl", To: "8"}, {Name: "openssl", From: "3.0.1", To: "3.0.2"}, {Name: "telnet", From: "1"}}
	if !slices.Equal(d.Packages, want) {
		t.Errorf("packages: got %v, want %v", d.Packages, want)
	}
	if len(d.Files) != 1 || d.Files[0].Path != "page" || d.Files[0].Kind != integrity.Changed {
		t.Errorf("files: got %v", d.Files)
	}
}

func TestOnlySignedVersionsMoveOn(t *testing.T) {
	s := newShop(t)
	if err := evidence.Signed(t.Context(), s.catalog, s.bake("signed", nil, s.key, nil), s.trust); err != nil {
		t.Errorf("a signed version: %v", err)
	}
	err := evidence.Signed(t.Context(), s.catalog, s.bake("unsigned", nil, s.key, without{"signature": true}), s.trust)
	if fault.KindOf(err) != fault.World {
		t.Errorf("an unsigned version: %v", err)
	}
}

// What keeps a version out of every channel: the gates of its signed recipe,
// and that nobody vouches for those.
func TestGatesAdmit(t *testing.T) {
	s := newShop(t)
	noise := make([]byte, 8192)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for name, c := range map[string]struct {
		v    *catalog.Version
		want fault.Kind
	}{
		"within its gates":    {s.bake("small", []string{"nginx=1"}, s.key, nil), 0},
		"a forbidden package": {s.bake("phone", []string{"telnet=1"}, s.key, nil), fault.Gate},
		"too large":           {s.bake(string(noise), []string{"nginx=1"}, s.key, nil), fault.Gate},
		"no recipe":           {s.bake("taken away", []string{"nginx=1"}, s.key, without{signing.PredicateRecipe: true}), fault.World},
		"no signature":        {s.bake("unsigned", []string{"nginx=1"}, s.key, without{"signature": true}), fault.World},
	} {
		if err := s.admit(c.v); fault.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want the kind %d", name, err, c.want)
		}
	}
}

// TestAStatementTakenAway has two outputs, each with documents of its own, and
// takes away those of the second, as whoever keeps a catalog can.
func TestAStatementTakenAway(t *testing.T) {
	s := newShop(t)
	bake := func(spoken ...string) *catalog.Version {
		t.Helper()
		draft, err := s.catalog.Begin(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		defer draft.Close()
		var disks []catalog.Disk
		for _, format := range []string{"raw", "qcow2"} {
			path := filepath.Join(t.TempDir(), format)
			if err := os.WriteFile(path, []byte(format), 0o644); err != nil {
				t.Fatal(err)
			}
			disk, err := draft.AddDisk(t.Context(), format, "amd64", path)
			if err != nil {
				t.Fatal(err)
			}
			disks = append(disks, disk)
		}
		v, err := draft.Commit(t.Context(), catalog.New{Disks: disks, Baked: now}, func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
			all := []signing.Subject{{Name: "web", Digest: v.Index.Digest.String()}}
			for _, d := range v.Disks {
				all = append(all, signing.Subject{Name: d.Format, Digest: d.Manifest.Digest.String()})
			}
			say := func(predicateType string, predicate []byte, subjects ...signing.Subject) error {
				envelope, err := signing.SignStatement(ctx, signing.Statement{Subjects: subjects, PredicateType: predicateType, Predicate: predicate, SignedAt: now}, s.key)
				if err != nil {
					return err
				}
				artifact, err := signing.AttestationReferrer(v.Index, envelope)
				return errors.Join(err, a.Put(ctx, artifact))
			}
			for i, d := range v.Disks {
				if slices.Contains(spoken, d.Format) {
					if err := say(signing.PredicateCycloneDX, bom([]string{d.Format + "-tools=1"}), all[0], all[i+1]); err != nil {
						return err
					}
				}
			}
			signature, err := signing.SignImage(ctx, v.Baseline, v.Index.Digest.String(), now, s.key)
			if err != nil {
				return err
			}
			artifact, err := signing.SignatureArtifact(v.Index.Digest.String(), []signing.ImageSignature{signature})
			return errors.Join(err, a.Put(ctx, artifact), say(signing.PredicateRecipe, []byte(`{"gates":{"forbid-packages":["qcow2-tools"]}}`), all...))
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	whole := bake("raw", "qcow2")
	if err := s.admit(whole); fault.KindOf(err) != fault.Gate {
		t.Errorf("with both documents: %v", err)
	}
	less := bake("raw")
	if err := s.admit(less); fault.KindOf(err) != fault.World {
		t.Errorf("with one document: %v", err)
	}
	if all := strings.Join(s.problems(less), "\n"); !strings.Contains(all, "CycloneDX: there is none of the qcow2 disk") {
		t.Errorf("problems:\n%s", all)
	}
}

// TestPackagesAreThoseOfOneForm has a version whose only document is of its disk.
func TestPackagesAreThoseOfOneForm(t *testing.T) {
	s := newShop(t)
	v := s.bake("page", []string{"nginx=1.22", "curl=7"}, s.key, nil)
	for form, want := range map[control.Output]string{control.Machine: "map[curl:amd64:7 nginx:amd64:1.22]", control.Container: "map[]"} {
		got, err := evidence.Packages(t.Context(), s.catalog, v, s.trust, form)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v", form, got, err)
		}
	}
}
