package container_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"oras.land/oras-go/v2/content/oci"

	"imgbuild/builder/container"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
)

func TestBytesDependOnTheTreeAlone(t *testing.T) {
	h := build(t, 12, -1)
	spec := h.spec(t)
	first := mustBuild(t, spec)
	if first.Compressed != len(first.Layers) {
		t.Errorf("with an empty cache %d of %d layers were compressed", first.Compressed, len(first.Layers))
	}
	again := mustBuild(t, spec)
	if again.Compressed != 0 {
		t.Errorf("with a full cache %d layers were compressed", again.Compressed)
	}
	t.Setenv("TZ", "Asia/Tokyo")
	other := h.spec(t)
	old := runtime.GOMAXPROCS(1)
	clean := mustBuild(t, other)
	runtime.GOMAXPROCS(old)
	for name, r := range map[string]*container.Result{"from the cache": again, "on one processor": clean} {
		if r.Manifest.Digest != first.Manifest.Digest {
			t.Errorf("%s: got %s, want %s", name, r.Manifest.Digest, first.Manifest.Digest)
		}
	}
}

func TestOnePackageMovesFewBytes(t *testing.T) {
	const packages = 60
	before := build(t, packages, -1).spec(t)
	changed := build(t, packages, 31).spec(t)
	// A newer release file makes a newer epoch, whatever else it brings.
	changed.Epoch += 86400
	for i, e := range changed.Entries {
		if e.Mode.IsDir() {
			changed.Entries[i].ModTime = changed.Epoch
		}
	}
	old, all := map[string]bool{}, int64(0)
	for _, l := range mustBuild(t, before).Layers {
		old[l.Blob.Digest.String()] = true
		all += l.Blob.Size
	}
	var moved int64
	var names []string
	layers := mustBuild(t, changed).Layers
	for _, l := range layers {
		if !old[l.Blob.Digest.String()] {
			moved += l.Blob.Size
			names = append(names, l.Name)
		}
	}
	if len(names) != 2 || names[1] != "rest" || moved*10 > all {
		t.Errorf("%d of %d bytes move, in %v", moved, all, names)
	}
	if len(layers) < 20 || len(layers) > 40 {
		t.Errorf("the image has %d layers", len(layers))
	}
}

func TestDamagedCacheIsMended(t *testing.T) {
	h := build(t, 6, -1)
	spec := h.spec(t)
	want := mustBuild(t, spec)
	blobs, err := filepath.Glob(filepath.Join(spec.CacheDir, "*.blob"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("the cache holds %v, %v", blobs, err)
	}
	for _, b := range blobs {
		raw, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)/2] ^= 1
		if err := os.Chmod(b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b, raw, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	got := mustBuild(t, spec)
	if got.Manifest.Digest != want.Manifest.Digest || got.Compressed != len(blobs) {
		t.Errorf("got %s with %d layers compressed, want %s with %d", got.Manifest.Digest, got.Compressed, want.Manifest.Digest, len(blobs))
	}
}

func TestFileThatChangedMeanwhileIsRefused(t *testing.T) {
	h := build(t, 6, -1)
	spec := h.spec(t)
	for name, content := range map[string]string{"shorter": "s", "other": "setuiD"} {
		h.file(t, "pkg00", "usr/bin/su", []byte(content), 0o755)
		store, err := oci.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		_, err = container.Build(context.Background(), spec, store)
		if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "usr/bin/su changed") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHostileEntriesAreRefused(t *testing.T) {
	dir := integrity.Entry{Path: "a", Mode: fs.ModeDir | 0o755}
	for name, entries := range map[string][]integrity.Entry{
		"out of the root":     {{Path: "../x"}},
		"absolute":            {{Path: "/x"}},
		"not clean":           {dir, {Path: "a/./b"}},
		"twice":               {dir, dir},
		"out of order":        {{Path: "b"}, dir},
		"under a file":        {{Path: "a"}, {Path: "a/b"}},
		"under a link":        {{Path: "a", Mode: fs.ModeSymlink, Target: "/etc"}, {Path: "a/b"}},
		"under nothing":       {{Path: "a/b"}},
		"whiteout":            {dir, {Path: "a/.wh.b"}},
		"opaque":              {dir, {Path: "a/.wh..wh..opq"}},
		"link to nothing":     {{Path: "b", HardLink: "a"}},
		"link to a directory": {dir, {Path: "b", Mode: fs.ModeDir, HardLink: "a"}},
		"link forward":        {{Path: "a", HardLink: "b"}, {Path: "b"}},
		"socket":              {{Path: "s", Mode: fs.ModeSocket}},
	} {
		var out bytes.Buffer
		if err := container.WriteTar(context.Background(), &out, t.TempDir(), entries); fault.KindOf(err) != fault.World {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTarUnpacksToTheSameTree(t *testing.T) {
	h := build(t, 6, -1)
	var out bytes.Buffer
	if err := container.WriteTar(context.Background(), &out, h.root, h.entries(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("tar", "--extract", "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--directory", dir)
	if os.Geteuid() != 0 {
		cmd.Args = append(cmd.Args, "--no-same-owner")
	}
	cmd.Stdin = bytes.NewReader(out.Bytes())
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("tar: %v: %s", err, said)
	}
	sameTree(t, h.entries(t), walk(t, dir))
}

func TestCancelledBuildEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	store, err := oci.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := container.Build(ctx, build(t, 6, -1).spec(t), store); err == nil {
		t.Error("the build went through")
	}
}
