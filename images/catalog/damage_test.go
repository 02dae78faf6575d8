package catalog_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
)

// losses are the ways in which a blob of a directory is lost.
var losses = map[string]func(path string) error{
	"gone": os.Remove,
	"cut":  func(path string) error { return errors.Join(os.Chmod(path, 0o644), os.Truncate(path, 0)) },
	"changed": func(path string) error {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw[len(raw)/2] ^= 1
		return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, raw, 0o644))
	},
}

func lose(t *testing.T, dir string, d digest.Digest, how func(string) error) {
	t.Helper()
	if err := how(filepath.Join(dir, "web/blobs/sha256", d.Encoded())); err != nil {
		t.Fatal(err)
	}
}

func readBlob(t *testing.T, dir string, d digest.Digest) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "web/blobs/sha256", d.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// manifestOf is the manifest of the one piece of evidence of some type.
func manifestOf(t *testing.T, c *catalog.Catalog, v *catalog.Version, artifactType string) digest.Digest {
	t.Helper()
	found, err := c.Evidence(t.Context(), v, artifactType)
	if err != nil || len(found) != 1 {
		t.Fatalf("evidence of %s: got %v, %v", v.Ref(), found, err)
	}
	return found[0].Manifest.Digest
}

const (
	sbomType       = "application/vnd.example.sbom"
	revocationType = "application/vnd.imgbuild.revocation.v1"
)

func TestDamageConcernsItsVersionOnly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	for part, find := range map[string]func(*testing.T, *catalog.Catalog, *catalog.Version) digest.Digest{
		"index":     func(_ *testing.T, _ *catalog.Catalog, v *catalog.Version) digest.Digest { return v.Index.Digest },
		"container": func(_ *testing.T, _ *catalog.Catalog, v *catalog.Version) digest.Digest { return v.Container.Digest },
		"evidence": func(t *testing.T, c *catalog.Catalog, v *catalog.Version) digest.Digest {
			return manifestOf(t, c, v, sbomType)
		},
	} {
		for how, lost := range losses {
			t.Run(part+" "+how, func(t *testing.T) {
				cfg := catalog.Config{Location: t.TempDir(), Trust: trust}
				bad := mustBake(t, open(t, cfg), "web", "bad", nil)
				good := mustBake(t, open(t, cfg), "web", "good", nil)
				child := mustBake(t, open(t, cfg), "web", "child", good)
				missing := find(t, open(t, cfg), bad)
				lose(t, cfg.Location, missing, lost)

				c := open(t, cfg)
				list, broken, err := c.ListAll(ctx, "web")
				if err != nil || len(list)+len(broken) != 3 || (part == "index") != (len(broken) == 1) {
					t.Errorf("list: got %v and %v, %v", list, broken, err)
				}
				for _, ref := range []string{good.Ref(), good.DigestRef()} {
					if v, err := c.Resolve(ctx, ref, catalog.RefuseRevoked); err != nil || v.Number != good.Number {
						t.Errorf("%s: got %v, %v", ref, v, err)
					}
				}
				if found, err := c.FindByStage(ctx, "web", digest.FromString("good").Encoded()); err != nil || len(found) != 1 {
					t.Errorf("by stage: got %v, %v", found, err)
				}
				if found, err := c.Children(ctx, good); err != nil || len(found) != 1 || found[0].Number != child.Number {
					t.Errorf("children: got %v, %v", found, err)
				}
				if _, err := c.Verify(ctx, good); err != nil {
					t.Errorf("verifying another: %v", err)
				}
				if _, err := c.Promote(ctx, good, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
					t.Errorf("promoting another: %v", err)
				}

				// What is lost is named, and how to go on.
				v, err := c.Resolve(ctx, bad.Ref(), catalog.AllowRevoked)
				if part != "index" && err == nil {
					_, err = c.Verify(ctx, v)
				}
				if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), bad.Ref()) || !strings.Contains(err.Error(), missing.String()) {
					t.Errorf("the damaged version: got %v", err)
				}
				if part == "evidence" && !strings.Contains(err.Error(), sbomType) {
					t.Errorf("the lost evidence: got %v", err)
				}
				if part == "index" && !strings.Contains(fault.HintOf(err), "images rm "+bad.Ref()) {
					t.Errorf("hint: got %q", fault.HintOf(err))
				}

				if _, err := c.GC(ctx); err != nil {
					t.Errorf("collecting: %v", err)
				}
				if _, broken, err = c.ListAll(ctx, "web"); err != nil || (part == "index") != (len(broken) == 1) {
					t.Errorf("after collecting: got %v, %v", broken, err)
				}
				if len(broken) == 1 {
					v = broken[0].Version()
				}
				if err := c.Remove(ctx, v); err != nil {
					t.Errorf("removing: %v", err)
				}
				if got, err := c.GC(ctx); err != nil || part != "index" && got.Blobs == 0 {
					t.Errorf("collecting what was removed: got %+v, %v", got, err)
				}
				c = open(t, cfg)
				if list, broken, err := c.ListAll(ctx, "web"); err != nil || len(list) != 2 || len(broken) != 0 {
					t.Errorf("list without it: got %v and %v, %v", list, broken, err)
				}
				for _, v := range []*catalog.Version{good, child} {
					if _, err := c.Verify(ctx, v); err != nil {
						t.Errorf("%s suffered: %v", v.Ref(), err)
					}
				}
			})
		}
	}
}

func TestLostRevocationStopsItsVersion(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	for how, lost := range losses {
		t.Run(how, func(t *testing.T) {
			cfg := catalog.Config{Location: t.TempDir(), Trust: trust}
			c := open(t, cfg)
			bad, good := mustBake(t, c, "web", "bad", nil), mustBake(t, c, "web", "good", nil)
			if _, err := c.Revoke(ctx, bad, catalog.Withdrawal{Reason: "CVE-2026-1", Who: "ann", When: day}, catalog.Keys{key}); err != nil {
				t.Fatal(err)
			}
			lose(t, cfg.Location, manifestOf(t, c, bad, revocationType), lost)
			c = open(t, cfg)
			for range 2 {
				if _, err := c.Resolve(ctx, bad.Ref(), catalog.RefuseRevoked); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), bad.Ref()) || fault.HintOf(err) == "" {
					t.Errorf("the revoked version: got %v, hint %q", err, fault.HintOf(err))
				}
				if _, err := c.Resolve(ctx, good.Ref(), catalog.RefuseRevoked); err != nil {
					t.Errorf("another: got %v", err)
				}
				if _, err := c.GC(ctx); err != nil { // which changes nothing of that
					t.Fatal(err)
				}
			}
			// A lost SBOM is no reason to think it revoked.
			lose(t, cfg.Location, manifestOf(t, c, good, sbomType), lost)
			if _, err := open(t, cfg).Resolve(ctx, good.Ref(), catalog.RefuseRevoked); err != nil {
				t.Errorf("without its SBOM: got %v", err)
			}
		})
	}
}

func TestLostMoveStopsItsChannel(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	for _, serial := range []string{"1", "2"} {
		cfg := catalog.Config{Location: t.TempDir(), Trust: trust}
		c := open(t, cfg)
		one, two := mustBake(t, c, "web", "one", nil), mustBake(t, c, "web", "two", nil)
		for _, v := range []*catalog.Version{one, two} {
			if _, err := c.Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Promote(ctx, one, promotion("candidate"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
			t.Fatal(err)
		}
		web := filepath.Join(cfg.Location, "web")
		var record digest.Digest
		editIndex(t, web, func(i *ocispec.Index) {
			for _, d := range i.Manifests {
				if isRecord(t, web, d, serial) && strings.Contains(string(readBlob(t, cfg.Location, d.Digest)), `"io.imgbuild.channel":"released"`) {
					record = d.Digest
				}
			}
		})
		lose(t, cfg.Location, record, os.Remove)
		c = open(t, cfg)
		if _, err := c.Resolve(ctx, "web:released", catalog.RefuseRevoked); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "web:released") || fault.HintOf(err) == "" {
			t.Errorf("record %s: got %v, hint %q", serial, err, fault.HintOf(err))
		}
		if v, err := c.Resolve(ctx, "web:candidate", catalog.RefuseRevoked); err != nil || v.Number != one.Number {
			t.Errorf("another channel: got %v, %v", v, err)
		}
	}
}

// TestEntriesOfOldGoOn takes from index.json what older versions of this
// program did not write: what an entry refers to.
func TestEntriesOfOldGoOn(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	cfg := catalog.Config{Location: t.TempDir(), Trust: trust}
	c := open(t, cfg)
	bad, good := mustBake(t, c, "web", "bad", nil), mustBake(t, c, "web", "good", nil)
	if _, err := c.Revoke(ctx, bad, catalog.Withdrawal{Reason: "CVE-2026-1", Who: "ann", When: day}, catalog.Keys{key}); err != nil {
		t.Fatal(err)
	}
	record := manifestOf(t, c, bad, revocationType)
	found, err := c.Evidence(ctx, bad, revocationType)
	if err != nil {
		t.Fatal(err)
	}
	backup := map[digest.Digest][]byte{}
	for _, d := range []digest.Digest{record, found[0].Blob.Digest} {
		backup[d] = readBlob(t, cfg.Location, d)
	}
	age := func() {
		editIndex(t, filepath.Join(cfg.Location, "web"), func(i *ocispec.Index) {
			for j, d := range i.Manifests {
				i.Manifests[j].ArtifactType = ""
				delete(d.Annotations, "io.imgbuild.subject")
			}
		})
	}
	age()
	c = open(t, cfg)
	if _, err := c.Resolve(ctx, bad.Ref(), catalog.RefuseRevoked); fault.KindOf(err) != fault.Gate {
		t.Errorf("revoked of old: got %v", err)
	}
	if _, err := c.Verify(ctx, good); err != nil {
		t.Error(err)
	}
	// The next change writes it down, so that a loss is the version's own.
	mustBake(t, c, "web", "next", nil)
	lose(t, cfg.Location, record, os.Remove)
	if _, err := open(t, cfg).Resolve(ctx, good.Ref(), catalog.RefuseRevoked); err != nil {
		t.Errorf("noted: got %v", err)
	}
	// Lost before that, it may have revoked any version.
	age()
	for _, v := range []*catalog.Version{bad, good} {
		if _, err := open(t, cfg).Resolve(ctx, v.Ref(), catalog.RefuseRevoked); fault.KindOf(err) != fault.World {
			t.Errorf("%s, perhaps revoked: got %v", v.Ref(), err)
		}
	}
	if _, err := open(t, cfg).GC(ctx); err != nil {
		t.Error(err)
	}
	for d, raw := range backup {
		lose(t, cfg.Location, d, func(path string) error {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return err
			}
			return os.WriteFile(path, raw, 0o444)
		})
	}
	if _, err := open(t, cfg).Resolve(ctx, bad.Ref(), catalog.RefuseRevoked); fault.KindOf(err) != fault.Gate {
		t.Errorf("put back: got %v", err)
	}
}

func TestDamagedVersionIsMendedByACopy(t *testing.T) {
	ctx := t.Context()
	here, there := catalog.Config{Location: t.TempDir()}, catalog.Config{Location: t.TempDir()}
	v := mustBake(t, open(t, here), "web", "one", nil)
	if err := open(t, here).Copy(ctx, v, open(t, there)); err != nil {
		t.Fatal(err)
	}
	sbom := manifestOf(t, open(t, here), v, sbomType)
	for _, d := range []digest.Digest{v.Index.Digest, sbom} {
		lose(t, here.Location, d, os.Remove)
	}
	if _, err := open(t, here).GC(ctx); err != nil {
		t.Fatal(err)
	}
	if err := open(t, there).Copy(ctx, v, open(t, here)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, here).Verify(ctx, v); err != nil {
		t.Error(err)
	}
}

func TestCollectorWaitsForADiskThatFails(t *testing.T) {
	ctx := t.Context()
	cfg := catalog.Config{Location: t.TempDir()}
	bad, gone := mustBake(t, open(t, cfg), "web", "bad", nil), mustBake(t, open(t, cfg), "web", "gone", nil)
	// A directory gives an error of reading, as a failing disk does.
	lose(t, cfg.Location, bad.Index.Digest, func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) })
	c := open(t, cfg)
	if err := c.Remove(ctx, gone); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GC(ctx); err == nil || got.Blobs != 0 || fault.HintOf(err) == "" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, broken, err := c.ListAll(ctx, "web")
	if err != nil || len(broken) != 1 {
		t.Fatalf("got %v, %v", broken, err)
	}
	if err := c.Remove(ctx, broken[0].Version()); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GC(ctx); err != nil || got.Blobs == 0 {
		t.Errorf("without it: got %+v, %v", got, err)
	}
}

func TestCascadeNamesWhatItMayHaveMissed(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	cfg := catalog.Config{Location: t.TempDir(), Trust: trust}
	c := open(t, cfg)
	base := mustBake(t, c, "base", "one", nil)
	bad, good := mustBake(t, c, "web", "bad", base), mustBake(t, c, "web", "good", base)
	lose(t, cfg.Location, bad.Index.Digest, os.Remove)
	c = open(t, cfg)
	revoke := func() error {
		_, err := c.Revoke(ctx, base, catalog.Withdrawal{Reason: "x", Who: "ann", When: day, Cascade: true}, catalog.Keys{key})
		return err
	}
	if err := revoke(); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), bad.Ref()) || !strings.Contains(fault.HintOf(err), "images rm "+bad.Ref()) {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
	if r, err := c.Revocation(ctx, good); err != nil || r == nil {
		t.Errorf("the other child: got %v, %v", r, err)
	}
	if err := c.Remove(ctx, (&catalog.Damaged{Baseline: "web", Number: bad.Number, Index: bad.Index}).Version()); err != nil {
		t.Fatal(err)
	}
	if err := revoke(); err != nil {
		t.Error(err)
	}
	if line, err := c.History(ctx, good); err != nil || len(line) != 2 {
		t.Errorf("history: got %v, %v", line, err)
	}
}

func TestRegistryThatLostAnIndexListsTheOthers(t *testing.T) {
	ctx := t.Context()
	addr := registrytest.Start(t, "")
	c := machine(t, addr, signing.Trust{}, nil)
	bad, good := mustBake(t, c, "web", "bad", nil), mustBake(t, c, "web", "good", nil)
	c = machine(t, addr, signing.Trust{}, roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, bad.Number) || strings.HasSuffix(r.URL.Path, bad.Index.Digest.String()) {
			return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
		}
		return http.DefaultTransport.RoundTrip(r)
	}))
	list, broken, err := c.ListAll(ctx, "web")
	if err != nil || len(list) != 1 || list[0].Number != good.Number || len(broken) != 1 || broken[0].Number != bad.Number {
		t.Errorf("got %v and %v, %v", list, broken, err)
	}
	if _, err := c.Verify(ctx, good); err != nil {
		t.Error(err)
	}
}
