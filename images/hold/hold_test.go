package hold_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"imgbuild/images/hold"
)

func TestWhatOneHoldsAnotherDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := hold.File(t.Context(), path, hold.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := hold.Try(second, hold.Shared); !errors.Is(err, hold.ErrBusy) {
		t.Errorf("held by another, it gives %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := hold.Wait(ended, second, hold.Shared); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in a context that ended gives %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := hold.Wait(t.Context(), second, hold.Shared); err != nil {
		t.Error(err)
	}
	third, err := hold.File(t.Context(), path, hold.Shared)
	if err != nil {
		t.Fatalf("what is shared cannot be shared: %v", err)
	}
	defer third.Close()

	if !hold.Names(path, third) {
		t.Error("it does not know its own name")
	}
	if err := os.Rename(path, path+"-old"); err != nil {
		t.Fatal(err)
	}
	if hold.Names(path, third) {
		t.Error("a renamed file still has its name")
	}
}

func TestALinkIsNoDirectoryToHold(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if f, err := hold.OpenDir(link); err == nil {
		f.Close()
		t.Error("a link was opened")
	}
}
