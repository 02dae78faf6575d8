package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/fault"
	"imgbuild/images/signing/signingtest"
)

func TestRemovedVersionFreesItsSpace(t *testing.T) {
	ctx := context.Background()
	key, trust := signingtest.Keyring(t, "release")
	dir := t.TempDir()
	c := open(t, catalog.Config{Location: dir, Trust: trust})
	one, two := mustBake(t, c, "web", "one", nil), mustBake(t, c, "web", "two", nil)
	if _, err := c.Promote(ctx, one, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(ctx, one); fault.KindOf(err) != fault.Gate {
		t.Errorf("removing what a channel points to: got %v", err)
	}
	if got, err := c.GC(ctx); err != nil || got.Blobs != 0 {
		t.Errorf("collecting when all is in use: got %+v, %v", got, err)
	}
	if err := c.Remove(ctx, two); err != nil {
		t.Fatal(err)
	}
	got, err := c.GC(ctx)
	// Index, container manifest, configuration, layer, disk manifest, disk,
	// SBOM manifest, SBOM; the empty configuration of artifacts stays.
	if err != nil || got.Blobs != 8 {
		t.Errorf("collected: got %+v, %v", got, err)
	}
	c = open(t, catalog.Config{Location: dir, Trust: trust})
	if _, err := c.Verify(ctx, one); err != nil {
		t.Error(err)
	}
	if v, err := c.Resolve(ctx, "web:released", catalog.RefuseRevoked); err != nil || v.Number != one.Number {
		t.Errorf("the channel: got %v, %v", v, err)
	}
	if _, err := c.Resolve(ctx, two.DigestRef(), catalog.RefuseRevoked); fault.KindOf(err) != fault.Input {
		t.Errorf("the removed version: got %v", err)
	}
	if next := mustBake(t, c, "web", "three", nil); next.Number != "20261122.3" {
		t.Errorf("a removed version's number was given again: %s", next.Number)
	}
}

func TestRemoveOnRegistry(t *testing.T) {
	ctx := context.Background()
	c := open(t, catalog.Config{Location: "docker://" + registrytest.Start(t, ""), Locks: t.TempDir()})
	one, two := mustBake(t, c, "web", "one", nil), mustBake(t, c, "web", "two", nil)
	if err := c.Remove(ctx, one); err != nil {
		t.Fatal(err)
	}
	list, err := c.List(ctx, "web")
	if err != nil || len(list) != 1 || list[0].Number != two.Number {
		t.Errorf("list: got %v, %v", list, err)
	}
	if err := c.Remove(ctx, two); err != nil {
		t.Fatal(err)
	}
	if next := mustBake(t, c, "web", "three", nil); next.Number != "20261122.3" {
		t.Errorf("a removed version's number was given again: %s", next.Number)
	}
}

func TestCollectorSparesWhatIsBeingBaked(t *testing.T) {
	ctx := context.Background()
	dir, scratch := t.TempDir(), t.TempDir()
	c := open(t, catalog.Config{Location: dir})
	mustBake(t, c, "web", "first", nil)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		collector := open(t, catalog.Config{Location: dir})
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := collector.GC(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 20 {
		v, err := bake(ctx, c, "web", fmt.Sprint(i), scratch, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := c.Remove(ctx, v); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := c.Verify(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wait.Wait()
}

func TestVerifyNamesWhatIsDamaged(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	c := open(t, catalog.Config{Location: dir})
	v := mustBake(t, c, "web", "one", nil)
	sum, err := c.Verify(ctx, v)
	if err != nil || sum.Blobs != 9 {
		t.Fatalf("got %+v, %v", sum, err)
	}
	err = filepath.WalkDir(filepath.Join(dir, "web/blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(raw), "QFI") {
			return err
		}
		raw[6] ^= 1
		return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, raw, 0o644))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Verify(ctx, v); fault.KindOf(err) != fault.World && !strings.Contains(fmt.Sprint(err), "is damaged") {
		t.Errorf("a changed disk: got %v", err)
	}
}

// bakingVariable makes the test program bake for ever, until it is killed.
const bakingVariable = "CATALOG_TEST_BAKES_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(bakingVariable); dir != "" {
		bakeForever(dir)
	}
	os.Exit(m.Run())
}

func bakeForever(dir string) {
	ctx := context.Background()
	c, err := catalog.Open(ctx, catalog.Config{Location: filepath.Join(dir, "catalog")})
	for i := 0; err == nil; i++ {
		var v *catalog.Version
		if v, err = bake(ctx, c, "web", fmt.Sprint(os.Getpid(), i), dir, nil); err == nil && i%4 == 3 {
			err = c.Remove(ctx, v)
		}
		if err == nil && i%4 == 1 {
			_, err = c.GC(ctx)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestKilledBakesLeaveTheCatalogWhole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "catalog"), 0o755); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[string]string{} // version → digest, never to change
	for round := range 40 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), bakingVariable+"="+dir)
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+random.IntN(60)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || said.Len() > 0 {
			t.Fatalf("round %d: the baking process ended by itself: %s", round, &said)
		}
		c := open(t, catalog.Config{Location: filepath.Join(dir, "catalog")})
		versions, err := c.List(ctx, "web")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, v := range versions {
			d := v.Index.Digest.String()
			if before := seen[v.Number]; before != "" && before != d {
				t.Fatalf("round %d: version %s changed", round, v.Number)
			} else if before == "" {
				if _, err := c.Verify(ctx, v); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				if docs, err := c.Evidence(ctx, v, ""); err != nil || len(docs) != 1 {
					t.Fatalf("round %d: %s has no evidence: %v", round, v.Ref(), err)
				}
			}
			seen[v.Number] = d
		}
	}
	c := open(t, catalog.Config{Location: filepath.Join(dir, "catalog")})
	if _, err := c.GC(ctx); err != nil {
		t.Fatal(err)
	}
	versions, err := c.List(ctx, "web")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no version was committed in 40 rounds: %v", err)
	}
	for _, v := range versions {
		if _, err := c.Verify(ctx, v); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d versions survived 40 kills", len(versions))
}
