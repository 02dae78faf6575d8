package container_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/content/oci"

	"imgbuild/builder/container"
	"imgbuild/images/integrity"
	"imgbuild/images/updates"
	"imgbuild/provisioners/tree"
)

const epoch = 1700000000

// house is a root directory made of packages, with the lock and the owners
// that belong to it.
type house struct {
	root   string
	lock   *updates.Lock
	owners map[string]string
}

// build makes a root of n packages; package changed, if any, has other
// content. Everything that a tar can hold is in it.
func build(t testing.TB, n, changed int) *house {
	t.Helper()
	h := &house{root: filepath.Join(t.TempDir(), "root"), lock: &updates.Lock{Architecture: "amd64"}, owners: map[string]string{}}
	h.dir(t, "", ".", 0o755)
	for _, d := range []string{"etc", "tmp", "usr", "usr/bin", "usr/share", "usr/share/doc", "var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info"} {
		h.dir(t, "base-files", d, 0o755)
	}
	h.chmod(t, "tmp", 0o777|unix.S_ISVTX)
	for i := range n {
		name := fmt.Sprintf("pkg%02d", i)
		seed := uint64(i)
		if i == changed {
			seed += 1000
		}
		size := int64(20_000 + i*1500)
		h.lock.Packages = append(h.lock.Packages, updates.Package{Name: name, Source: fmt.Sprintf("src%02d", i/2), Set: updates.Root, Size: size * int64(1+i%5*20)})
		h.dir(t, name, "usr/share/doc/"+name, 0o755)
		h.file(t, name, "usr/share/doc/"+name+"/data", noise(seed, size), 0o644)
		h.file(t, name, "usr/bin/"+name, noise(seed+500, 3000), 0o755)
		h.file(t, "", "var/lib/dpkg/info/"+name+":amd64.list", []byte(name), 0o644)
	}
	h.lock.Packages = append(h.lock.Packages, updates.Package{Name: "base-files", Set: updates.Root, Size: 1000},
		updates.Package{Name: "linux", Set: updates.Boot, Size: 1 << 30})
	h.file(t, "", "var/lib/dpkg/status", noise(uint64(changed+9000), 5000), 0o644)
	h.file(t, "pkg00", "usr/bin/su", []byte("setuid"), 0o755|unix.S_ISUID)
	h.link(t, "pkg01", "usr/bin/su", "usr/bin/su-also") // across packages
	long := "usr/share/doc/" + strings.Repeat("long-", 30) + "é"
	h.dir(t, "pkg01", long, 0o700)
	h.file(t, "pkg01", long+"/"+strings.Repeat("name", 40), []byte("x"), 0o600)
	if err := os.Symlink("su", h.path("usr/bin/doas")); err != nil {
		t.Fatal(err)
	}
	h.owners["usr/bin/doas"] = "pkg00"
	if err := unix.Setxattr(h.path("usr/bin/pkg02"), "user.note", []byte("a\x00b"), 0); err != nil {
		t.Logf("no extended attributes here: %v", err)
	}
	if os.Geteuid() == 0 {
		h.asRoot(t)
	}
	h.seal(t)
	return h
}

// asRoot adds what only uid 0 can make.
func (h *house) asRoot(t testing.TB) {
	t.Helper()
	if err := os.Lchown(h.path("usr/bin/pkg03"), 101, 102); err != nil {
		t.Fatal(err)
	}
	// cap_net_bind_service=ep, struct vfs_cap_data of linux/capability.h
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(h.path("usr/bin/pkg04"), "security.capability", capability, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(h.path("var/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *house) path(p string) string { return filepath.Join(h.root, p) }

func (h *house) dir(t testing.TB, owner, p string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(h.path(p), mode); err != nil {
		t.Fatal(err)
	}
	h.owners[p] = owner
}

func (h *house) file(t testing.TB, owner, p string, content []byte, mode uint32) {
	t.Helper()
	if err := os.WriteFile(h.path(p), content, 0o600); err != nil {
		t.Fatal(err)
	}
	h.chmod(t, p, mode)
	h.owners[p] = owner
}

func (h *house) chmod(t testing.TB, p string, mode uint32) {
	t.Helper()
	if err := unix.Chmod(h.path(p), mode); err != nil {
		t.Fatal(err)
	}
}

func (h *house) link(t testing.TB, owner, from, to string) {
	t.Helper()
	if err := os.Link(h.path(from), h.path(to)); err != nil {
		t.Fatal(err)
	}
	h.owners[to] = owner
}

// seal gives files the time stamps of their packages and directories the epoch.
func (h *house) seal(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(h.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := unix.Timespec{Sec: epoch - 1000}
		if d.IsDir() {
			at.Sec = epoch
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) entries(t testing.TB) []integrity.Entry { return walk(t, h.root) }

func (h *house) spec(t testing.TB) *container.Spec {
	t.Helper()
	return &container.Spec{
		Root: h.root, Entries: h.entries(t), Lock: h.lock, Epoch: epoch, Architecture: "amd64",
		Owner:    func(p string) string { return h.owners[p] },
		CacheDir: filepath.Join(t.TempDir(), "cache"),
		Config: container.Config{
			Entrypoint: []string{"/usr/sbin/nginx"}, Cmd: []string{"-g", "daemon off;"}, User: "0:0", Ports: []string{"80/tcp"},
			Env: []string{"PATH=/usr/sbin:/usr/bin"}, WorkDir: "/", StopSignal: "SIGQUIT",
			Labels: map[string]string{"org.opencontainers.image.title": "web"},
		},
		Annotations: map[string]string{"org.opencontainers.image.title": "web"},
	}
}

func walk(t testing.TB, root string) []integrity.Entry {
	t.Helper()
	entries, err := tree.Walk(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// sameTree holds an unpacked tree to the one that the image was made from.
func sameTree(t *testing.T, want, got []integrity.Entry) {
	t.Helper()
	below := cmpopts.IgnoreSliceElements(func(e integrity.Entry) bool { return e.Path == "." })
	if diff := cmp.Diff(want, got, below); diff != "" {
		t.Errorf("the tree is not the one that went in:\n%.4000s", diff)
	}
}

func mustBuild(t *testing.T, spec *container.Spec) *container.Result {
	t.Helper()
	store, err := oci.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := container.Build(context.Background(), spec, store)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// noise is content that does not compress.
func noise(seed uint64, size int64) []byte {
	random := rand.New(rand.NewPCG(seed, 7))
	var b bytes.Buffer
	for int64(b.Len()) < size {
		fmt.Fprintf(&b, "%x", random.Uint64())
	}
	return b.Bytes()[:size]
}
