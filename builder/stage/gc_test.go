package stage_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/stage"
)

func TestGCKeepsWhatIsNeeded(t *testing.T) {
	c := open(t, t.TempDir())
	const size = 1 << 20
	// A chain, a branch beside it, and two that stand alone.
	root := build(t, c, define("root", ""), size)
	mid := build(t, c, define("mid", root), size)
	leaf := build(t, c, define("leaf", mid), size)
	branch := build(t, c, define("branch", root), size)
	kept := build(t, c, define("kept", ""), size)
	used := build(t, c, define("used", ""), size)
	byAge := []stage.ID{root, kept, used, branch, mid, leaf}
	for i, id := range byAge {
		at := time.Now().Add(time.Duration(i-len(byAge)) * time.Hour)
		if err := os.Chtimes(filepath.Join(c.Dir, string(id)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	usage, err := c.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var order []stage.ID
	for _, u := range usage {
		order = append(order, u.ID)
		if u.Bytes < size || u.Bytes > size+64<<10 {
			t.Errorf("%s takes %d bytes", u.Name, u.Bytes)
		}
	}
	if !slices.Equal(order, byAge) {
		t.Errorf("order of last use: %v", order)
	}
	inUse := lookup(t, c, used)
	keep := func(id stage.ID) bool { return id == kept }
	gc := func(limit int64) []stage.ID {
		t.Helper()
		removed, err := c.GC(t.Context(), limit, keep)
		if err != nil {
			t.Fatal(err)
		}
		var ids []stage.ID
		for _, u := range removed {
			ids = append(ids, u.ID)
		}
		return ids
	}
	if got := gc(1 << 40); len(got) != 0 {
		t.Errorf("removed %v below the limit", got)
	}
	if got := gc(5*size + size/2); !slices.Equal(got, []stage.ID{branch}) {
		t.Errorf("one too many: removed %v", got)
	}
	if got := gc(0); !slices.Equal(got, []stage.ID{leaf, mid, root}) {
		t.Errorf("all that can go: removed %v", got)
	}
	if !c.Has(kept) || !c.Has(used) {
		t.Error("what is kept or in use is gone")
	}
	if err := inUse.Release(); err != nil {
		t.Fatal(err)
	}
	if got := gc(0); !slices.Equal(got, []stage.ID{used}) {
		t.Errorf("after release: removed %v", got)
	}
	if left := leftovers(t, c.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSweepNeverEntersAMount leaves a mount below dead work: its files must
// survive and the sweep must say so.
func TestSweepNeverEntersAMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	c := open(t, t.TempDir())
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	point := filepath.Join(c.Dir, "trash", "dead", "diff", "mnt")
	if err := os.MkdirAll(point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(host, point, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mounting: %v", err)
	}
	defer unix.Unmount(point, unix.MNT_DETACH)
	if err := c.Sweep(t.Context()); err == nil || !strings.Contains(err.Error(), "mnt") {
		t.Errorf("the mount is not named: %v", err)
	}
	if _, err := os.Stat(filepath.Join(host, "precious")); err != nil {
		t.Errorf("the sweep went through the mount: %v", err)
	}
	if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := c.Sweep(t.Context()); err != nil || len(leftovers(t, c.Dir)) != 0 {
		t.Errorf("after unmounting: %v, %v", err, leftovers(t, c.Dir))
	}
}

func TestStagesOfAnEarlierBootAreServedOnlyWhenSettled(t *testing.T) {
	c := open(t, t.TempDir())
	settled := build(t, c, define("settled", ""), 10)
	if err := errors.Join(c.Settle(t.Context()), c.Settle(t.Context())); err != nil {
		t.Fatal(err)
	}
	lost := build(t, c, define("lost", ""), 10)
	mark := filepath.Join(c.Dir, string(lost), "unsettled")
	if err := os.WriteFile(mark, []byte("an earlier boot\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lookup(t, c, settled).Release(); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Lookup(lost); ok {
		t.Error("a stage that may have lost its bytes is served")
	}
	removed, err := c.GC(t.Context(), 1<<40, nil)
	if err != nil || len(removed) != 1 || removed[0].ID != lost || !removed[0].Damaged {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestScratchIsSweptOnlyWhenItsOwnerIsDead(t *testing.T) {
	c := open(t, t.TempDir())
	die := func() (dir string) {
		t.Helper()
		dir = filepath.Join(c.Dir, "work", "view-dead")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	// A bake that only views stages sweeps up as well.
	dead := die()
	dir, release, err := c.Scratch(t.Context(), "view")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("a dead scratch directory was left by the next one's user")
	}
	dead = die()
	if err := c.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error("a live scratch directory was swept")
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("a dead scratch directory was left")
	}
	if err := release(); err != nil || len(leftovers(t, c.Dir)) != 0 {
		t.Errorf("left behind: %v, %v", leftovers(t, c.Dir), err)
	}
}
