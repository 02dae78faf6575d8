package container_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"oras.land/oras-go/v2/content/oci"

	"imgbuild/builder/container"
	"imgbuild/images/updates"
	"imgbuild/provisioners/tree"
)

// The benchmarks take a Debian root directory from the environment, for
// example one unpacked from mmdebstrap's tar:
//
//	IMGBUILD_BENCH_ROOT=/path go test -bench . ./builder/container
func benchSpec(b *testing.B) *container.Spec {
	root := os.Getenv("IMGBUILD_BENCH_ROOT")
	if root == "" {
		b.Skip("IMGBUILD_BENCH_ROOT names no root directory")
	}
	entries, err := tree.Walk(context.Background(), root)
	if err != nil {
		b.Fatal(err)
	}
	lock, owner := installed(b, root)
	return &container.Spec{Root: root, Entries: entries, Lock: lock, Owner: owner, Epoch: 1700000000, Architecture: "amd64"}
}

func BenchmarkBuildNothingCached(b *testing.B) {
	spec := benchSpec(b)
	for b.Loop() {
		spec.CacheDir = b.TempDir()
		benchBuild(b, spec)
	}
}

func BenchmarkBuildAllCached(b *testing.B) {
	spec := benchSpec(b)
	spec.CacheDir = b.TempDir()
	benchBuild(b, spec)
	for b.Loop() {
		benchBuild(b, spec)
	}
}

func benchBuild(b *testing.B, spec *container.Spec) {
	store, err := oci.New(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	r, err := container.Build(context.Background(), spec, store)
	if err != nil {
		b.Fatal(err)
	}
	var size int64
	for _, l := range r.Layers {
		size += l.Blob.Size
	}
	b.ReportMetric(float64(size)/1e6, "MB")
	b.ReportMetric(float64(len(r.Layers)), "layers")
}

func BenchmarkWriteTar(b *testing.B) {
	spec := benchSpec(b)
	f, err := os.Create(filepath.Join(b.TempDir(), "root.tar"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		if err := container.WriteTar(context.Background(), f, spec.Root, spec.Entries); err != nil {
			b.Fatal(err)
		}
	}
}

// installed reads a lock and the owners of paths from dpkg's database.
func installed(tb testing.TB, root string) (*updates.Lock, func(string) string) {
	tb.Helper()
	lock := &updates.Lock{Architecture: "amd64"}
	f, err := os.Open(filepath.Join(root, "var/lib/dpkg/status"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	p := updates.Package{Set: updates.Root}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "Package":
			p.Name = value
		case "Source":
			p.Source, _, _ = strings.Cut(value, " ")
		case "Installed-Size":
			kib, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				tb.Fatal(err)
			}
			p.Size = kib << 10 / 4
		case "":
			lock.Packages = append(lock.Packages, p)
			p = updates.Package{Set: updates.Root}
		}
	}
	owners := map[string]string{}
	lists, err := filepath.Glob(filepath.Join(root, "var/lib/dpkg/info/*.list"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil {
			tb.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(list), ".list")
		for _, path := range strings.Split(string(raw), "\n") {
			path = strings.TrimPrefix(path, "/")
			owners[path] = name
			for _, dir := range []string{"bin/", "sbin/", "lib/", "lib64/"} {
				if strings.HasPrefix(path, dir) {
					owners["usr/"+path] = name
				}
			}
		}
	}
	return lock, func(path string) string { return owners[path] }
}
