package container_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"imgbuild/builder/container"
	"imgbuild/images/integrity"
	"imgbuild/images/updates"
)

// golden are the digests of the image manifest of one small tree. A change
// here means that all users' images change without their recipes changing:
// raise LayerFormat for other layers or containerFormat of the package builder
// for another manifest of the same ones, say why, and then change the digests.
var golden = map[container.Compression]string{
	container.Zstd: "sha256:5fe5e087cd618a8d13ac703d2614db2a90ec35b92406463d295d15a6e4c62068",
	container.Gzip: "sha256:adf96323fa242f9cf6c1001054e458e97152824770142ef105fe69ad30dd2f2b",
}

func TestGoldenBytes(t *testing.T) {
	root := t.TempDir()
	content := []byte("# generated\nworker_processes auto;\nworker_rlimit_nofile 4096;\n")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/nginx.conf"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	entries := walk(t, root)
	for i := range entries {
		entries[i].UID, entries[i].GID, entries[i].ModTime = 0, 0, epoch
		if entries[i].Path == "etc/nginx.conf" {
			entries[i].Xattrs = map[string]string{"user.note": "x"}
		}
	}
	link := integrity.Entry{Path: "etc/site", Mode: os.ModeSymlink | 0o777, Target: "nginx.conf", ModTime: epoch}
	spec := &container.Spec{
		Root: root, Entries: append(entries, link), Epoch: epoch, Architecture: "arm64",
		Lock:  &updates.Lock{Packages: []updates.Package{{Name: "nginx", Set: updates.Root, Size: 1}}},
		Owner: func(p string) string { return map[string]string{"etc/nginx.conf": "nginx"}[p] },
	}
	for how, want := range golden {
		spec.Compression, spec.CacheDir = how, t.TempDir()
		if got := mustBuild(t, spec).Manifest.Digest.String(); got != want {
			t.Errorf("%s: got %s, want %s; if that is meant, raise LayerFormat or the builder's containerFormat", how, got, want)
		}
	}
}

func TestPruneKeepsWhatWasUsedLast(t *testing.T) {
	spec := build(t, 6, -1).spec(t)
	all := mustBuild(t, spec)
	now := time.Now()
	left := filepath.Join(spec.CacheDir, "new-123")
	if err := os.WriteFile(left, []byte("left behind"), 0o644); err != nil {
		t.Fatal(err)
	}
	if freed, err := container.Prune(spec.CacheDir, 1<<30, now); err != nil || freed != 0 {
		t.Errorf("below the limit: freed %d, %v", freed, err)
	}
	if freed, err := container.Prune(spec.CacheDir, 0, now.Add(48*time.Hour)); err != nil || freed == 0 {
		t.Errorf("with a limit of 0: freed %d, %v", freed, err)
	}
	if files, err := os.ReadDir(spec.CacheDir); err != nil || len(files) != 0 {
		t.Errorf("left in the cache: %v, %v", files, err)
	}
	if again := mustBuild(t, spec); again.Manifest.Digest != all.Manifest.Digest {
		t.Errorf("after pruning: got %s, want %s", again.Manifest.Digest, all.Manifest.Digest)
	}
}
