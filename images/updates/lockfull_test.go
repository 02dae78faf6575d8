package updates_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestAFullDiskLeavesTheLock writes a lock over another one where there is no room
// for it.
func TestAFullDiskLeavesTheLock(t *testing.T) {
	dir := fileSystem(t, "16k")
	path := filepath.Join(dir, "web.lock")
	small, large := sample(), sample()
	if err := small.Write(path); err != nil {
		t.Fatal(err)
	}
	last := small.Packages[len(small.Packages)-1]
	for i := range 200 {
		more := last
		more.Name = fmt.Sprintf("%s-%03d", last.Name, i)
		large.Packages = append(large.Packages, more)
	}
	if err := large.Write(path); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a lock of %d bytes in 16 KiB: %v", len(large.Marshal()), err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(small.Marshal()) {
		t.Errorf("the lock before is %q, %v", got, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left are %v, %v", files, err)
	}
}
