package builder_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imgbuild/builder"
	"imgbuild/images/catalog"
	"imgbuild/images/gate"
	"imgbuild/images/signing"
)

// TestAnAgedScanIsNoJudgement has a version that was baked before, of which all that its
// gates say is that nobody has held it against newer advisories.
func TestAnAgedScanIsNoJudgement(t *testing.T) {
	key, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: "us", Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(t.Context(), catalog.Config{Location: t.TempDir(), Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	v := smallVersion(t, c, key)
	by := builder.Judging{Who: "ada", Key: key}
	aged := gate.Refusal{Gate: "cves-aged.disk", Why: "its advisories are of last year"}
	for _, step := range []struct {
		refusals []gate.Refusal
		rejected bool
	}{
		{[]gate.Refusal{aged}, false},
		{[]gate.Refusal{aged, {Gate: "cves.disk", Why: "CVE-2026-1"}}, true},
		{[]gate.Refusal{aged}, true}, // it takes nothing back either
		{nil, false},
	} {
		if err := builder.Record(t.Context(), c, v, by, step.refusals); err != nil {
			t.Fatal(err)
		}
		verdict, err := c.Verdict(t.Context(), v, "")
		if err != nil || (verdict != nil && verdict.Rejects()) != step.rejected {
			t.Errorf("after %v: %+v, %v", step.refusals, verdict, err)
		}
	}
}

// smallVersion is a version with a disk of a few bytes.
func smallVersion(t *testing.T, c *catalog.Catalog, key *signing.Key) *catalog.Version {
	t.Helper()
	draft, err := c.Begin(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	defer draft.Close()
	disk := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(disk, []byte("disk"), 0o644); err != nil {
		t.Fatal(err)
	}
	added, err := draft.AddDisk(t.Context(), "raw", "amd64", disk)
	if err != nil {
		t.Fatal(err)
	}
	what := catalog.New{Baked: time.Now(), Stages: map[string]string{"root": "0000"}, Disks: []catalog.Disk{added}}
	v, err := draft.Commit(t.Context(), what, func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
		signature, err := signing.SignImage(ctx, v.Baseline, v.Index.Digest.String(), what.Baked, key)
		if err != nil {
			return err
		}
		artifact, err := signing.SignatureArtifact(v.Index.Digest.String(), []signing.ImageSignature{signature})
		if err != nil {
			return err
		}
		return a.Put(ctx, artifact)
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
