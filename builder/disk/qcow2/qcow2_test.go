package qcow2_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/disk/qcow2"
)

// rawImage has holes, zeros that are no hole, text, noise that does not
// compress, and a length that is no whole number of clusters.
func rawImage(t *testing.T, sparse bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 700<<20 + 1536
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{1})
	pieces := rand.New(rand.NewPCG(1, 2))
	for at := int64(0); at < size; at += 7<<20 + 4096*int64(pieces.IntN(300)) {
		data := make([]byte, min(int64(4096*(1+pieces.IntN(400))), size-at))
		switch pieces.IntN(4) {
		case 0:
			noise.Read(data)
		case 1:
			copy(data, bytes.Repeat([]byte("golden image "), len(data)/13))
		case 2: // zeros on disk, no hole
		case 3:
			noise.Read(data[:len(data)/3])
		}
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
	}
	if !sparse { // the same bytes with a few holes filled
		for _, at := range []int64{3 << 20, 400 << 20, 699 << 20} {
			data := make([]byte, 1<<20)
			if _, err := f.ReadAt(data, at); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(data, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return path
}

func digest(t *testing.T, path string) [32]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed")
	}
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Errorf("qemu-img %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestQemuReadsWhatWasWritten(t *testing.T) {
	raw := rawImage(t, true)
	for name, c := range map[string]qcow2.Compression{"zstd": qcow2.Zstd, "deflate": qcow2.Deflate} {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "disk.qcow2")
			var done int64
			if err := qcow2.Write(context.Background(), dst, raw, qcow2.Options{Compression: c, Advance: func(n int64) { done += n }}); err != nil {
				t.Fatal(err)
			}
			if st, err := os.Stat(raw); err != nil || done != st.Size() {
				t.Errorf("progress ended at %d bytes, %v", done, err)
			}
			qemuImg(t, "check", "-f", "qcow2", dst)
			qemuImg(t, "compare", "-f", "qcow2", "-F", "raw", dst, raw)
		})
	}
}

func TestBytesFollowFromContentsAlone(t *testing.T) {
	dir := t.TempDir()
	sparse, filled := rawImage(t, true), rawImage(t, false)
	var want [32]byte
	for i, tc := range []struct {
		raw     string
		workers int
	}{{sparse, 1}, {sparse, 2}, {sparse, 7}, {filled, 3}} {
		dst := filepath.Join(dir, "disk.qcow2")
		if err := qcow2.Write(context.Background(), dst, tc.raw, qcow2.Options{Workers: tc.workers}); err != nil {
			t.Fatal(err)
		}
		got := digest(t, dst)
		if i == 0 {
			want = got
		}
		if got != want {
			t.Errorf("%d workers, %s: other bytes", tc.workers, tc.raw)
		}
	}
}

// TestWhatIsCompressedAhead follows a disk of which clusters come, change and go
// all the time, and holds the result to the one without.
func TestWhatIsCompressedAhead(t *testing.T) {
	dir := t.TempDir()
	raw := filepath.Join(dir, "raw")
	ahead, err := qcow2.Follow(t.Context(), raw, qcow2.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(raw)
	if err == nil {
		err = f.Truncate(64<<20 + 512)
	}
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{2})
	pieces := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		data := make([]byte, 1+pieces.IntN(1<<20))
		switch round % 4 {
		case 0:
			noise.Read(data)
		case 1, 2:
			copy(data, bytes.Repeat([]byte{byte(round), 'a', 'b', 'c', 0}, len(data)/5))
		}
		if _, err := f.WriteAt(data, pieces.Int64N(64<<20-int64(len(data)))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := errors.Join(ahead.Stop(), f.Close()); err != nil {
		t.Fatal(err)
	}
	var digests [2][32]byte
	for i, a := range []*qcow2.Ahead{nil, ahead} {
		dst := filepath.Join(dir, "disk.qcow2")
		if err := qcow2.Write(t.Context(), dst, raw, qcow2.Options{Ahead: a}); err != nil {
			t.Fatal(err)
		}
		digests[i] = digest(t, dst)
		qemuImg(t, "compare", "-f", "qcow2", "-F", "raw", dst, raw)
	}
	if digests[0] != digests[1] {
		t.Error("what was compressed ahead shows")
	}
	if err := ahead.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "ahead-*")); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}

func TestAnEmptyDisk(t *testing.T) {
	dir := t.TempDir()
	raw, dst := filepath.Join(dir, "raw"), filepath.Join(dir, "qcow2")
	if err := os.WriteFile(raw, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := qcow2.Write(context.Background(), dst, raw, qcow2.Options{}); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "check", "-f", "qcow2", dst)
	qemuImg(t, "compare", "-f", "qcow2", "-F", "raw", dst, raw)
}

func TestCancelStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := qcow2.Write(ctx, filepath.Join(t.TempDir(), "x"), rawImage(t, true), qcow2.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPartOfASectorIsRefused(t *testing.T) {
	raw := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(raw, make([]byte, 700), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := qcow2.Write(context.Background(), raw+".qcow2", raw, qcow2.Options{}); err == nil {
		t.Error("accepted")
	}
}
