package tree_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"imgbuild/provisioners/tree"
)

// BenchmarkHash walks a root directory, which the environment names, and in turn
// has sha256sum read the same files on all processors:
//
//	IMGBUILD_BENCH_ROOT=/path go test -bench Hash ./provisioners/tree
//
// Its last figure is how many times as fast a walk is, owners, links and
// attributes included.
func BenchmarkHash(b *testing.B) {
	root := os.Getenv("IMGBUILD_BENCH_ROOT")
	if root == "" {
		b.Skip("IMGBUILD_BENCH_ROOT names no root directory")
	}
	entries, err := tree.Walk(context.Background(), root)
	if err != nil {
		b.Fatal(err)
	}
	var names bytes.Buffer
	var size int64
	for _, e := range entries {
		if e.Mode.IsRegular() && e.HardLink == "" {
			names.WriteString(filepath.Join(root, e.Path) + "\x00")
			size += e.Size
		}
	}
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := tree.Walk(context.Background(), root); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		began = time.Now()
		cmd := exec.Command("xargs", "-0", "-n", "256", "-P", strconv.Itoa(runtime.GOMAXPROCS(0)), "sha256sum", "--")
		cmd.Stdin = bytes.NewReader(names.Bytes())
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(began)
	}
	b.ReportMetric(float64(size)*float64(b.N)/ours.Seconds()/1e6, "MB/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-sha256sum")
}
