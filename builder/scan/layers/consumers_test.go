package layers_test

import (
	"archive/tar"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/tree"
)

// capability is cap_net_bind_service=ep, struct vfs_cap_data of
// linux/capability.h.
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// house are layers with everything that one can hold and do to another.
func house(t testing.TB) [][]byte {
	long := strings.Repeat("long-", 30) + "é"
	return [][]byte{
		pack(t,
			dir(".", 0o755), dir("./usr", 0o755), dir("usr/bin", 0o755), symlink("bin", "usr/bin"), file("usr/bin/tool", "tool", 0o4755),
			file("usr/bin/ping", "ping", 0o755).xattr("security.capability", capability), dir("etc", 0o755), file("etc/a", "a", 0o640).owned(0, 42),
			file("etc/gone", "gone", 0o644), dir("etc/dir", 0o755), file("etc/dir/x", "x", 0o644), dir("etc/dir/sub", 0o755),
			file("etc/dir/sub/y", "y", 0o644), dir("opq", 0o755), file("opq/one", "1", 0o644), dir("opq/two", 0o755), file("opq/two/x", "x", 0o644),
			dir("dev", 0o755), node(tar.TypeChar, "dev/null", 1, 3), node(tar.TypeBlock, "dev/loop", 7, 300), node(tar.TypeFifo, "dev/pipe", 0, 0),
			dir("hard", 0o755), file("hard/a", "shared", 0o600), hardlink("hard/b", "hard/a", 0o600), symlink("hard/s", "nowhere"), hardlink("hard/s2", "./hard/s", 0o777),
			dir("tmp", 0o1777), dir("big", 0o2775).owned(1<<21, 1<<31), file("big/owner", "", 0o400).owned(4000000000, 100000),
			dir(long, 0o700), file(long+"/"+strings.Repeat("name", 40), "long", 0o600), file(long+"/"+strings.Repeat("gnu", 60), "gnu", 0o644).gnu(),
			symlink("longlink", strings.Repeat("../", 60)+"etc/a"),
			file("old", "old", 0o644).at(0, 0), file("older", "older", 0o644).at(-86400, 0), file("finer", "finer", 0o644).at(epoch+5, 999_999_999),
			dir("noted", 0o755).xattr("user.note", "one"), dir("var", 0o755), dir("var/run", 0o755), symlink("swapped", "etc"), dir("into", 0o755),
			file("empty", "", 0o644).xattr("user.empty", ""),
			dir("lower", 0o755), file("lower/keep", "k", 0o644), dir("lower/deep", 0o755), file("lower/deep/er", "d", 0o644),
		),
		pack(t,
			// Removed, replaced by another type both ways, and an opaque directory
			// whose new content stands before its marker.
			dir("etc", 0o700).owned(5, 6), file("etc/.wh.gone", "", 0), file("etc/dir", "now a file", 0o644), dir("etc/a", 0o711),
			file("etc/a/inside", "inside", 0o644), file("opq/three", "3", 0o644), file("opq/.wh..wh..opq", "", 0),
			// A link to a file of an earlier layer, and a new file under one of its names.
			hardlink("hard/c", "hard/a", 0o600), file("hard/b", "its own", 0o644),
			// A parent that is a link in an earlier layer, an absolute name, a whiteout of nothing.
			file("bin/through", "through a link", 0o755), file("/var/absolute", "absolute", 0o644), file(".wh.nothing", "", 0),
			dir("noted", 0o755), file("lower/.wh.deep", "", 0), node(tar.TypeFifo, "longlink", 0, 0),
		),
		pack(t,
			// A directory takes the place of a link to one, whose content must stay.
			dir("swapped", 0o750), file("swapped/.wh..wh..opq", "", 0), file("swapped/new", "new", 0o644),
			// A whiteout of a directory that the layer makes again hides the earlier one.
			file(".wh.opq", "", 0), dir("opq", 0o500), file("opq/again", "again", 0o644),
			file("bin/.wh.through", "", 0), symlink("into", "/var"), file("into/there", "through a new link", 0o644), symlink("dev/null", "zero"),
		),
		pack(t,
			file(".wh.lower", "", 0), symlink("hard/a", "c"), file("swapped/new", "newer", 0o755).xattr("user.note", "a\x00b\n=c"),
			hardlink("etc/across", "hard/c", 0o600), dir("opq/sub", 0o755), dir("opq/sub/sub", 0o755), file("opq/sub/sub/file", strings.Repeat("big", 200_000), 0o644),
		),
	}
}

// need skips a test where a program is missing or the user may not run it.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("unpacking images with foreign owners needs uid 0")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, &said)
	}
	return strings.TrimSpace(string(out))
}

func walk(t *testing.T, root string) []integrity.Entry {
	t.Helper()
	all, err := tree.Walk(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheTreeIsWhatUmociUnpacks(t *testing.T) {
	need(t, "umoci")
	l := newLayout(t)
	l.index(tagged(l.image("amd64", ocispec.MediaTypeImageLayerGzip, house(t)), "x"))
	got := entriesOf(t, opened(t, "oci:"+l.dir+":x"))
	bundle := filepath.Join(t.TempDir(), "bundle")
	run(t, "umoci", "unpack", "--image", l.dir+":x", bundle)
	if diff := cmp.Diff(walk(t, filepath.Join(bundle, "rootfs")), got); diff != "" {
		t.Errorf("-umoci +here:\n%s", diff)
	}
}

func TestTheTreeIsWhatPodmanMounts(t *testing.T) {
	need(t, "podman")
	l := newLayout(t)
	l.index(tagged(l.image("amd64", ocispec.MediaTypeImageLayerZstd, house(t)), "x"))
	got := entriesOf(t, opened(t, "oci:"+l.dir+":x"))
	// podman takes neither a long storage nor upper case in oci:PATH.
	short, err := os.MkdirTemp("", "img")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(short); err != nil {
			t.Error(err)
		}
	})
	if err := os.Rename(l.dir, filepath.Join(short, "layout")); err != nil {
		t.Fatal(err)
	}
	pod := func(args ...string) string {
		return run(t, "podman", append([]string{"--root", filepath.Join(short, "root"), "--runroot", filepath.Join(short, "run"),
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"}, args...)...)
	}
	said := pod("pull", "--quiet", "oci:"+filepath.Join(short, "layout")+":x")
	id := said[strings.LastIndexByte(said, '\n')+1:]
	want := walk(t, pod("image", "mount", id))
	pod("image", "umount", id)
	// Where podman 4 is not as the specification has it: times of directories
	// are those at which it unpacked into them, none lies before 1970, attributes
	// of a directory that comes again stay, and its copy of an earlier layer
	// has no hard links to symbolic ones.
	times := cmpopts.AcyclicTransformer("times", func(e integrity.Entry) integrity.Entry {
		if e.Mode.IsDir() || e.ModTime < 0 {
			e.ModTime = 0
		}
		if e.Path == "noted" {
			e.Xattrs = nil
		}
		if e.Path == "hard/s2" {
			e.HardLink = ""
		}
		return e
	})
	if diff := cmp.Diff(want, got, times); diff != "" {
		t.Errorf("-podman +here:\n%s", diff)
	}
}
