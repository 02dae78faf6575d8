package catalog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

func TestVersionIsFoundByNumberDigestAndStage(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		c := open(t, cfg)
		first := mustBake(t, c, "web", "one", nil)
		second := mustBake(t, c, "web", "two", nil)
		if first.Number != "20261122.1" || second.Number != "20261122.2" {
			t.Fatalf("numbers: got %s and %s", first.Number, second.Number)
		}
		c = open(t, cfg) // nothing is only in memory
		for _, ref := range []string{"web:20261122.1", first.DigestRef()} {
			got, err := c.Resolve(ctx, ref, catalog.RefuseRevoked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Errorf("%s is not what was committed:\n%s", ref, diff)
			}
		}
		list, err := c.List(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]*catalog.Version{second, first}, list); diff != "" {
			t.Errorf("list:\n%s", diff)
		}
		found, err := c.FindByStage(ctx, "web", digest.FromString("two").Encoded())
		if err != nil || len(found) != 1 || found[0].Number != second.Number {
			t.Errorf("by stage: got %v, %v", found, err)
		}
		docs, err := c.Evidence(ctx, first, "application/vnd.example.sbom")
		if err != nil || len(docs) != 1 {
			t.Fatalf("evidence: got %v, %v", docs, err)
		}
		if raw, err := docs[0].Read(ctx); err != nil || string(raw) != `{"of":"20261122.1"}` {
			t.Errorf("evidence: got %s, %v", raw, err)
		}
		if _, err := c.Resolve(ctx, "web:20261122.9", catalog.RefuseRevoked); fault.KindOf(err) != fault.Input {
			t.Errorf("a version that is not there: got %v", err)
		}
	})
}

func TestNamesAreHeldToTheirGrammar(t *testing.T) {
	for _, ref := range []string{"", "web", "../x:20260101.1", "a/b:released", "Web:released", "web:2026.1", "web:20260101.01",
		"web:20260101.0", "web:Released", "web:-x", "web:sha256-ab", "web@sha256:12", "web@sha512:" + strings.Repeat("a", 128),
		"web:released\n", "web:released/..", "-web:released", strings.Repeat("a", 101) + ":released", "web:20260101.1@sha256:x"} {
		if _, err := catalog.ParseReference(ref); fault.KindOf(err) != fault.Input {
			t.Errorf("%q: got %v, want an input error", ref, err)
		}
	}
	for _, ref := range []string{"debian-12-nginx:20260101.12", "a.b_c-d:released", "web:acme-prod", "web@sha256:" + strings.Repeat("a", 64)} {
		got, err := catalog.ParseReference(ref)
		if err != nil || got.String() != ref {
			t.Errorf("%q: got %q, %v", ref, got, err)
		}
	}
}

func TestConcurrentBakesGetTheirOwnVersions(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	const bakes = 12
	var wait sync.WaitGroup
	numbers := make([]string, bakes)
	for i := range bakes {
		wait.Go(func() {
			c, err := catalog.Open(context.Background(), catalog.Config{Location: dir})
			if err != nil {
				t.Error(err)
				return
			}
			// Every other bake makes the same image.
			v, err := bake(context.Background(), c, "web", fmt.Sprint(i/2), scratch, nil)
			if err != nil {
				t.Error(err)
				return
			}
			numbers[i] = v.Number
		})
	}
	wait.Wait()
	seen := map[string]bool{}
	for _, n := range numbers {
		if seen[n] {
			t.Errorf("version %s was given twice", n)
		}
		seen[n] = true
	}
	list, err := open(t, catalog.Config{Location: dir}).List(context.Background(), "web")
	if err != nil || len(list) != bakes {
		t.Errorf("list: got %d versions, %v", len(list), err)
	}
}

func TestFailedCommitLeavesNothingToSee(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		c := open(t, cfg)
		mustBake(t, c, "web", "one", nil)
		d, err := c.Begin(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		container, err := pushContainer(ctx, d, "two")
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Commit(ctx, catalog.New{Container: &container, Baked: day},
			func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
				if _, err := a.Attach(ctx, "application/vnd.example.sbom", "application/json", []byte("{}"), nil); err != nil {
					return err
				}
				return os.ErrDeadlineExceeded
			})
		if err == nil {
			t.Fatal("the commit went through")
		}
		list, err := c.List(ctx, "web")
		if err != nil || len(list) != 1 {
			t.Errorf("list: got %v, %v", list, err)
		}
	})
}

func TestTamperedCatalogIsRefused(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	c := open(t, catalog.Config{Location: dir})
	v := mustBake(t, c, "web", "one", nil)
	blob := filepath.Join(dir, "web/blobs/sha256", v.Index.Digest.Encoded())
	raw, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(blob, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, []byte(strings.Replace(string(raw), "20261122.1", "20261122.7", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	c = open(t, catalog.Config{Location: dir})
	if _, err := c.Resolve(ctx, "web:20261122.1", catalog.AllowRevoked); fault.KindOf(err) != fault.World {
		t.Errorf("changed index: got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web/index.json"), []byte(`{"manifests":[{"digest":"sha256:../../etc"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(ctx, "web"); fault.KindOf(err) != fault.World {
		t.Errorf("damaged index.json: got %v", err)
	}
}
