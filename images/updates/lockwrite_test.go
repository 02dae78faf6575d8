package updates_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/updates"
)

func TestALockReplacesWhatItsWriterHasRead(t *testing.T) {
	first, second, mine := sample(), sample(), sample()
	second.Epoch++
	mine.Epoch += 2
	uid := 997
	more := mine
	made := func(l *updates.Lock, names ...string) *updates.Lock {
		var accounts []updates.Account
		for _, name := range names {
			accounts = append(accounts, updates.Account{Name: name, UID: &uid})
		}
		with, _ := l.WithAccounts(updates.MadeByRecipe, accounts)
		return with
	}
	few, all := made(more, "a"), made(more, "a", "b")
	for name, c := range map[string]struct {
		there    *updates.Lock
		was      string
		complete bool
		lock     *updates.Lock
		want     *updates.Lock // nil where it is refused
	}{
		"what was read":                    {there: first, was: first.Digest(), lock: mine, want: mine},
		"none, as it was":                  {was: updates.NoLock, lock: mine, want: mine},
		"another one":                      {there: second, was: first.Digest(), lock: mine},
		"one where there was none":         {there: second, was: updates.NoLock, lock: mine},
		"one that was taken away":          {was: first.Digest(), lock: mine},
		"the same by somebody else":        {there: mine, was: first.Digest(), lock: mine, want: mine},
		"a bake, what was read":            {there: mine, was: mine.Digest(), complete: true, lock: few, want: few},
		"a bake that another is ahead of":  {there: all, was: mine.Digest(), complete: true, lock: few, want: all},
		"a bake that another is behind":    {there: few, was: mine.Digest(), complete: true, lock: all, want: all},
		"a bake, and other numbers":        {there: made(more, "c"), was: mine.Digest(), complete: true, lock: few},
		"a bake, and other packages":       {there: first, was: mine.Digest(), complete: true, lock: few},
		"a bake whose lock was taken away": {was: mine.Digest(), complete: true, lock: few},
	} {
		path := filepath.Join(t.TempDir(), "locks", "web.lock")
		if c.there != nil {
			if err := c.there.Write(path); err != nil {
				t.Fatal(err)
			}
		}
		write := c.lock.Replace
		if c.complete {
			write = c.lock.Complete
		}
		err := write(t.Context(), path, c.was)
		now, unread := updates.DigestAt(path)
		left := c.want
		if c.want == nil {
			left = c.there
			if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "was changed meanwhile") {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := updates.NoLock
		if left != nil {
			want = left.Digest()
		}
		if now != want || unread != nil {
			t.Errorf("%s: the lock is %.12q, %v, expected %.12q", name, now, unread, want)
		}
	}
}

// TestOfManyWritersOneComesFirst has all of them read the same lock.
func TestOfManyWritersOneComesFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.lock")
	first := sample()
	if err := first.Write(path); err != nil {
		t.Fatal(err)
	}
	const writers = 8
	failed := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			mine := sample()
			mine.Epoch += int64(i) + 1
			failed[i] = mine.Replace(t.Context(), path, first.Digest())
		})
	}
	all.Wait()
	done := 0
	for _, err := range failed {
		if err == nil {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d of %d have replaced it: %v", done, writers, errors.Join(failed...))
	}
}

func TestAWriterWaitsForAnother(t *testing.T) {
	dir := t.TempDir()
	held, err := hold.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := hold.Try(held, hold.Exclusive); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(dir, "web.lock")
	if err := sample().Replace(ended, path, updates.NoLock); !errors.Is(err, context.Canceled) {
		t.Errorf("while another writes: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is written all the same")
	}
}

func TestTheDigestOfWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.lock")
	if err := os.WriteFile(path, append([]byte("# by hand\n"), sample().Marshal()...), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := updates.DigestAt(path); err != nil || got != sample().Digest() {
		t.Errorf("of the same lock with another comment it is %.12q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("<<<<<<< ours\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged, err := updates.DigestAt(path)
	if err != nil || damaged == updates.NoLock {
		t.Fatalf("of what is no lock it is %q, %v", damaged, err)
	}
	if err := sample().Replace(t.Context(), path, damaged); err != nil {
		t.Errorf("what is no lock cannot be replaced: %v", err)
	}
}
