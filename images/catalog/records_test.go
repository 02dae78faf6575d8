package catalog_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
)

func promotion(channel string) catalog.Promotion {
	return catalog.Promotion{Channel: channel, Who: "ann@example.com", Why: "trial passed", When: day}
}

func TestChannelMovesBySignedRecords(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		key, trust := signingtest.Keyring(t, "release")
		cfg.Trust = trust
		c := open(t, cfg)
		one, two := mustBake(t, c, "web", "one", nil), mustBake(t, c, "web", "two", nil)
		for i, v := range []*catalog.Version{one, two, two, one} {
			m, err := c.Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked)
			if err != nil {
				t.Fatal(err)
			}
			// The third changes nothing.
			if want := []int{1, 2, 2, 3}[i]; m.Serial != want || m.Digest != v.Index.Digest {
				t.Errorf("move %d: got serial %d of %s", i, m.Serial, m.Version)
			}
			got, err := open(t, cfg).Resolve(ctx, "web:released", catalog.RefuseRevoked)
			if err != nil || got.Number != v.Number {
				t.Errorf("move %d: the channel resolves to %v, %v", i, got, err)
			}
		}
		moves, err := c.Moves(ctx, "web", "released")
		if err != nil || len(moves) != 3 || moves[2].Previous != two.Index.Digest || moves[2].By.Name != "release" {
			t.Errorf("moves: got %+v, %v", moves, err)
		}
		channels, err := c.Channels(ctx, "web")
		if err != nil || len(channels) != 1 || channels[0].Err != nil || channels[0].Head.Serial != 3 {
			t.Errorf("channels: got %+v, %v", channels, err)
		}
		if _, err := c.Resolve(ctx, "web:candidate", catalog.RefuseRevoked); fault.KindOf(err) != fault.Input {
			t.Errorf("a channel that is not there: got %v", err)
		}
		stranger, strangers := signingtest.Keyring(t, "stranger")
		if _, err := c.Promote(ctx, two, promotion("released"), catalog.Keys{stranger}, catalog.RefuseRevoked); fault.KindOf(err) != fault.Input {
			t.Errorf("a key that is not trusted: got %v", err)
		}
		cfg.Trust = strangers
		if _, err := open(t, cfg).Resolve(ctx, "web:released", catalog.RefuseRevoked); fault.KindOf(err) != fault.World {
			t.Errorf("a record by somebody else: got %v", err)
		}
	})
}

// editIndex changes index.json as somebody with write access could.
func editIndex(t *testing.T, dir string, edit func(*ocispec.Index)) {
	t.Helper()
	file := filepath.Join(dir, "index.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	edit(&index)
	if raw, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestChannelThatDisagreesWithItsRecordIsRefused(t *testing.T) {
	ctx := context.Background()
	key, trust := signingtest.Keyring(t, "release")
	for name, edit := range map[string]func(string, *ocispec.Index, *catalog.Version){
		"moved tag": func(_ string, i *ocispec.Index, to *catalog.Version) {
			for j, d := range i.Manifests {
				if d.Annotations[ocispec.AnnotationRefName] == "released" {
					i.Manifests[j].Digest, i.Manifests[j].Size = to.Index.Digest, to.Index.Size
				}
			}
		},
		"removed newest record": func(dir string, i *ocispec.Index, _ *catalog.Version) {
			i.Manifests = slices.DeleteFunc(i.Manifests, func(d ocispec.Descriptor) bool { return isRecord(t, dir, d, "2") })
		},
		"removed oldest record": func(dir string, i *ocispec.Index, _ *catalog.Version) {
			i.Manifests = slices.DeleteFunc(i.Manifests, func(d ocispec.Descriptor) bool { return isRecord(t, dir, d, "1") })
		},
		"removed tag": func(_ string, i *ocispec.Index, _ *catalog.Version) {
			i.Manifests = slices.DeleteFunc(i.Manifests, func(d ocispec.Descriptor) bool {
				return d.Annotations[ocispec.AnnotationRefName] == "released"
			})
		},
		"tag without record": func(_ string, i *ocispec.Index, to *catalog.Version) {
			d := to.Index
			d.Annotations = map[string]string{ocispec.AnnotationRefName: "forged"}
			i.Manifests = append(i.Manifests, d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := catalog.Config{Location: dir, Trust: trust}
			c := open(t, cfg)
			one, two := mustBake(t, c, "web", "one", nil), mustBake(t, c, "web", "two", nil)
			for _, v := range []*catalog.Version{one, two} {
				if _, err := c.Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
					t.Fatal(err)
				}
			}
			web := filepath.Join(dir, "web")
			editIndex(t, web, func(i *ocispec.Index) { edit(web, i, one) })
			channel := "released"
			if name == "tag without record" {
				channel = "forged"
			}
			_, err := open(t, cfg).Resolve(ctx, "web:"+channel, catalog.RefuseRevoked)
			if fault.KindOf(err) != fault.World {
				t.Fatalf("got %v, want a refusal", err)
			}
			if !strings.Contains(err.Error(), channel) {
				t.Errorf("the refusal does not say which: %v", err)
			}
			// What the newest record names may be promoted again: that mends the tag.
			other := one
			if name == "removed newest record" {
				other = two
			}
			if _, err := open(t, cfg).Promote(ctx, other, promotion(channel), catalog.Keys{key}, catalog.RefuseRevoked); err == nil {
				t.Error("the channel was moved on as if nothing had happened")
			}
			if name != "moved tag" {
				return
			}
			if _, err := open(t, cfg).Promote(ctx, two, promotion(channel), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
				t.Fatal(err)
			}
			if v, err := open(t, cfg).Resolve(ctx, "web:released", catalog.RefuseRevoked); err != nil || v.Number != two.Number {
				t.Errorf("mended: got %v, %v", v, err)
			}
		})
	}
}

// isRecord reports whether a manifest is the record of a channel's move.
func isRecord(t *testing.T, dir string, d ocispec.Descriptor, serial string) bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "blobs/sha256", d.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(raw), `"io.imgbuild.serial":"`+serial+`"`)
}

func TestRevokedVersionIsRefusedWithItsChildren(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		key, trust := signingtest.Keyring(t, "release")
		cfg.Trust = trust
		c := open(t, cfg)
		old := mustBake(t, c, "base", "zero", nil)
		base := mustBake(t, c, "base", "one", nil)
		web := mustBake(t, c, "web", "one", base)
		shop := mustBake(t, c, "shop", "one", web)
		mustBake(t, c, "web", "other", old)
		line, err := c.History(ctx, shop)
		if err != nil || len(line) != 3 || line[2].Ref() != base.Ref() {
			t.Fatalf("history: got %v, %v", line, err)
		}
		if _, err := c.Promote(ctx, web, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
			t.Fatal(err)
		}
		gone, err := c.Revoke(ctx, base, catalog.Withdrawal{
			Reason: "CVE-2026-1", Who: "ann@example.com", When: day, Rollback: old, Cascade: true,
		}, catalog.Keys{key})
		if err != nil || len(gone) != 3 {
			t.Fatalf("revoked: got %v, %v", gone, err)
		}
		c = open(t, cfg)
		for _, ref := range []string{base.Ref(), web.Ref(), shop.DigestRef(), "web:released"} {
			if _, err := c.Resolve(ctx, ref, catalog.RefuseRevoked); fault.KindOf(err) != fault.Gate || !strings.Contains(err.Error(), "CVE-2026-1") {
				t.Errorf("%s: got %v, want a refusal with its reason", ref, err)
			}
			if _, err := c.Resolve(ctx, ref, catalog.AllowRevoked); err != nil {
				t.Errorf("%s, insisting: got %v", ref, err)
			}
		}
		_, err = c.Resolve(ctx, base.Ref(), catalog.RefuseRevoked)
		if !strings.Contains(fault.HintOf(err), old.DigestRef()) {
			t.Errorf("hint: got %q", fault.HintOf(err))
		}
		for _, ref := range []string{old.Ref(), "web:20261122.2"} {
			if _, err := c.Resolve(ctx, ref, catalog.RefuseRevoked); err != nil {
				t.Errorf("%s: got %v", ref, err)
			}
		}
		if _, err := c.Promote(ctx, shop, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); fault.KindOf(err) != fault.Gate {
			t.Errorf("promoting: got %v", err)
		}
		if _, err := c.Revoke(ctx, old, catalog.Withdrawal{Reason: "x", Who: "x", When: day, Rollback: base}, catalog.Keys{key}); fault.KindOf(err) != fault.Gate {
			t.Errorf("rolling back to a revoked version: got %v", err)
		}
		r, err := c.Revocation(ctx, shop)
		if err != nil || r.Cause != base.DigestRef() || r.By.Name != "release" {
			t.Errorf("record: got %+v, %v", r, err)
		}
	})
}

func TestForgedRevocationStopsInsteadOfPassing(t *testing.T) {
	ctx := context.Background()
	_, trust := signingtest.Keyring(t, "release")
	stranger, strangers := signingtest.Keyring(t, "stranger")
	dir := t.TempDir()
	c := open(t, catalog.Config{Location: dir, Trust: trust})
	v := mustBake(t, c, "web", "one", nil)
	foreign := open(t, catalog.Config{Location: dir, Trust: strangers})
	if _, err := foreign.Revoke(ctx, v, catalog.Withdrawal{Reason: "x", Who: "x", When: day}, catalog.Keys{stranger}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(ctx, v.Ref(), catalog.RefuseRevoked); fault.KindOf(err) != fault.World {
		t.Errorf("got %v", err)
	}
}

func TestPutTaggedCarriesCosignsSignature(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		key, trust := signingtest.Keyring(t, "release")
		c := open(t, cfg)
		v := mustBake(t, c, "web", "one", nil)
		sig, err := signing.SignImage(ctx, "registry.example/web", v.Index.Digest.String(), day, key)
		if err != nil {
			t.Fatal(err)
		}
		artifact, err := signing.SignatureArtifact(v.Index.Digest.String(), []signing.ImageSignature{sig})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.PutTagged(ctx, v, artifact); err != nil {
			t.Fatal(err)
		}
		raw, fetch, err := open(t, cfg).Tagged(ctx, v, artifact.Tag)
		if err != nil {
			t.Fatal(err)
		}
		found, err := signing.ParseSignatureManifest(raw, fetch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signing.VerifyImage(ctx, v.Index.Digest.String(), found, trust); err != nil {
			t.Error(err)
		}
		artifact.Tag = "20261122.1"
		if err := c.PutTagged(ctx, v, artifact); fault.KindOf(err) != fault.Input {
			t.Errorf("an artifact under a version's name: got %v", err)
		}
	})
}
