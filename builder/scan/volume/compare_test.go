package volume_test

import (
	"context"
	"os"
	"testing"

	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/scan/volume"
)

// TestFormsOfADiskAreCompared changes one byte at a time of a disk whose other
// form stays as it is: in data, and where both are empty.
func TestFormsOfADiskAreCompared(t *testing.T) {
	path := server(t)
	other := convert(t, path, qcow2.Zstd)
	whole := open(t, path)
	if at, err := volume.Difference(t.Context(), whole, open(t, other)); err != nil || at != -1 {
		t.Fatalf("the same disk differs at %d: %v", at, err)
	}
	info, err := os.Stat(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	home := whole.Partitions()[2]
	for _, at := range []int64{100, home.Start + home.Size - 5000, info.Size() / 2, info.Size() - 1} {
		was := make([]byte, 1)
		_, err := f.ReadAt(was, at)
		must(t, err)
		_, err = f.WriteAt([]byte{was[0] + 1}, at)
		must(t, err)
		if got, err := volume.Difference(t.Context(), whole, open(t, other)); err != nil || got != at {
			t.Errorf("changed at %d, found at %d: %v", at, got, err)
		}
		if got, err := volume.Difference(t.Context(), open(t, other), whole); err != nil || got != at {
			t.Errorf("changed at %d, found at %d the other way: %v", at, got, err)
		}
		_, err = f.WriteAt(was, at)
		must(t, err)
	}
	must(t, f.Truncate(info.Size()+4096))
	if got, err := volume.Difference(t.Context(), open(t, path), open(t, other)); err != nil || got != info.Size() {
		t.Errorf("larger by a page: found at %d: %v", got, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := volume.Difference(ended, whole, whole); err == nil {
		t.Error("it outlived its context")
	}
}
