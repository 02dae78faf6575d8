package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/signing/signingtest"
)

// TestAnOlderCopyIsToldFromTheCatalog puts a catalog back to what it was before
// a channel moved on and a version was revoked: every signature in it is good.
func TestAnOlderCopyIsToldFromTheCatalog(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	cfg := catalog.Config{Location: t.TempDir(), Trust: trust, Memory: filepath.Join(t.TempDir(), "memory")}
	old, mended := mustBake(t, open(t, cfg), "web", "old", nil), mustBake(t, open(t, cfg), "web", "mended", nil)
	promote := func(v *catalog.Version) {
		t.Helper()
		if _, err := open(t, cfg).Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
			t.Fatal(err)
		}
	}
	promote(old)
	index := filepath.Join(cfg.Location, "web", "index.json")
	before, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	promote(mended)
	c := open(t, cfg)
	if _, err := c.Revoke(ctx, old, catalog.Withdrawal{Reason: "CVE-2026-1", Who: "ann", When: day}, catalog.Keys{key}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(ctx, "web:released", catalog.RefuseRevoked); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Revocation(ctx, old); err != nil || r == nil {
		t.Fatalf("got %v, %v", r, err)
	}

	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, before, 0o644); err != nil {
		t.Fatal(err)
	}
	put := open(t, cfg)
	if _, err := put.Resolve(ctx, "web:released", catalog.RefuseRevoked); fault.KindOf(err) != fault.World || !strings.Contains(fault.HintOf(err), cfg.Memory) {
		t.Errorf("the channel: got %v, hint %q", err, fault.HintOf(err))
	}
	if _, err := put.Resolve(ctx, old.Ref(), catalog.RefuseRevoked); fault.KindOf(err) != fault.World {
		t.Errorf("the revoked version: got %v", err)
	}
	// Whoever has never seen more cannot tell.
	cfg.Memory = ""
	if _, err := open(t, cfg).Resolve(ctx, "web:released", catalog.RefuseRevoked); err != nil {
		t.Error(err)
	}
}
