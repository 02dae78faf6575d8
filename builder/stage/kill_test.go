package stage_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"imgbuild/builder/stage"
)

const killDir = "IMGBUILD_TEST_CACHE"

// chain is what the killed processes make: three stages, each on the last.
func chain(n int) []stage.Definition {
	var defs []stage.Definition
	var parent stage.ID
	for _, name := range []string{"root", "mid", "leaf"} {
		defs = append(defs, define(name, parent, "n", fmt.Sprint(n)))
		parent = defs[len(defs)-1].ID()
	}
	return defs
}

const filesInStage = 40

// bakeForever makes, uses and collects stages until killed.
func bakeForever(dir string) error {
	ctx := context.Background()
	for {
		c, err := stage.Open(dir, 0)
		if err != nil {
			return err
		}
		release, err := c.Lease(ctx, fmt.Sprintf("baseline-%d", rand.IntN(3)), func(string) {})
		if err != nil {
			return err
		}
		var held []*stage.Stage
		for _, def := range chain(rand.IntN(4)) {
			s, err := bakeOne(ctx, c, def)
			if err != nil {
				return err
			}
			held = append(held, s)
		}
		for _, s := range held {
			if err := whole(s.Diff()); err != nil {
				return fmt.Errorf("a stage in use: %w", err)
			}
			if err := s.Release(); err != nil {
				return err
			}
		}
		if rand.IntN(2) == 0 {
			if _, err := c.GC(ctx, rand.Int64N(1<<20), nil); err != nil {
				return err
			}
		}
		if err := release(); err != nil {
			return err
		}
	}
}

func bakeOne(ctx context.Context, c *stage.Cache, def stage.Definition) (*stage.Stage, error) {
	if s, ok := c.Lookup(def.ID()); ok {
		return s, nil
	}
	w, err := c.Begin(ctx, def)
	if err != nil {
		return nil, err
	}
	for i := range filesInStage {
		dir := filepath.Join(w.Diff(), fmt.Sprint(i%7))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), bytes.Repeat([]byte{'x'}, 1000), 0o644); err != nil {
			return nil, err
		}
	}
	return w.Commit(nil)
}

// whole says whether a stage's tree has all its files with all their bytes.
func whole(diff string) error {
	for i := range filesInStage {
		info, err := os.Stat(filepath.Join(diff, fmt.Sprint(i%7), fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if info.Size() != 1000 {
			return fmt.Errorf("%s has %d bytes", info.Name(), info.Size())
		}
	}
	return nil
}

func TestKilledBakesLeaveWholeStagesOnly(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := bakeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	dir := t.TempDir()
	for round := range 40 {
		var output bytes.Buffer
		var bakers []*exec.Cmd
		for range 3 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledBakesLeaveWholeStagesOnly$")
			cmd.Env = append(os.Environ(), killDir+"="+dir)
			cmd.Stderr = &output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			bakers = append(bakers, cmd)
		}
		time.Sleep(30*time.Millisecond + rand.N(120*time.Millisecond))
		for _, cmd := range bakers {
			_ = cmd.Process.Kill() // one that ended by itself has said why
		}
		for _, cmd := range bakers {
			_ = cmd.Wait() // killed, as meant
		}
		if output.Len() > 0 {
			t.Fatalf("round %d: a bake failed: %s", round, output.String())
		}
		c := open(t, dir)
		usage, err := c.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		there := map[stage.ID]bool{"": true}
		for _, u := range usage {
			there[u.ID] = true
		}
		for _, u := range usage {
			s := lookup(t, c, u.ID)
			if err := whole(s.Diff()); err != nil {
				t.Fatalf("round %d: stage %s: %v", round, u.Name, err)
			}
			if err := s.Release(); err != nil {
				t.Fatal(err)
			}
			if u.Damaged || !there[u.Parent] {
				t.Fatalf("round %d: stage %s is damaged or has lost its parent", round, u.Name)
			}
		}
		release, err := c.Lease(t.Context(), "baseline-0", nil)
		if err != nil {
			t.Fatalf("round %d: a dead process holds the lease: %v", round, err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, dir)
	if err := c.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
