package ext4_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree fills dir with one of everything that a file system may hold. What needs
// root is left out for an ordinary user. Attributes altogether fit into a block
// of so many bytes.
func tree(t *testing.T, dir string, block int) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("many"), 0o755), os.MkdirAll(at("a/b/c/d"), 0o750), os.Mkdir(at("sticky"), 0o755),
		os.Chmod(at("sticky"), 0o777|os.ModeSticky|os.ModeSetgid))
	for i := range 5000 {
		must(t, os.WriteFile(at(fmt.Sprintf("many/%05d", i)), nil, 0o644))
	}
	for name, content := range map[string][]byte{
		"empty": nil, "byte": []byte("x"), "fifty-nine": bytes.Repeat([]byte("i"), 59), "hundred": bytes.Repeat([]byte("j"), 100),
		"block": bytes.Repeat([]byte("b"), block), "block-and-one": bytes.Repeat([]byte("c"), block+1),
		"whole": bytes.Repeat([]byte("imgbuild"), 200000), strings.Repeat("n", 255): []byte("longest name"),
		"a/b/c/d/deep": []byte("deep"), "Größe": []byte("no ASCII"),
	} {
		must(t, os.WriteFile(at(name), content, 0o640))
	}
	must(t, os.Link(at("whole"), at("a/again")), os.Link(at("whole"), at("a/b/once-more")),
		os.WriteFile(at("setuid"), []byte("#!"), 0o755), os.Chmod(at("setuid"), 0o755|os.ModeSetuid|os.ModeSetgid),
		unix.Mkfifo(at("fifo"), 0o620))
	for _, n := range []int{1, 58, 59, 60, 61, 200, min(4000, block-1)} {
		must(t, os.Symlink(strings.Repeat("t", n), at(fmt.Sprintf("link-%d", n))))
	}
	sparse(t, at("sparse"), 300<<20, []int64{0, 5 << 20, 299<<20 + 123})
	sparse(t, at("hole"), 9<<20, nil)
	var many []int64 // extents: a tree of one level and, under 1 KiB blocks, of two
	for k := range int64(1500) {
		many = append(many, k*8192)
	}
	sparse(t, at("extents"), 13<<20, many)
	for name, when := range map[string]time.Time{
		"byte": time.Unix(1600000000, 123456789), "empty": time.Unix(5000000000, 0), "block": time.Unix(-86400, 0), "a": time.Unix(0, 0),
	} {
		must(t, os.Chtimes(at(name), when, when))
	}
	attributes(t, at, block)
	privileged(t, at)
}

// sparse makes a file of holes, with a block of data at each place.
func sparse(t *testing.T, path string, size int64, data []int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	for _, at := range data {
		_, err := f.WriteAt([]byte(fmt.Sprintf("data at %d", at)), at)
		must(t, err)
	}
	must(t, f.Truncate(size), f.Close())
}

func attributes(t *testing.T, at func(string) string, block int) {
	t.Helper()
	must(t,
		unix.Setxattr(at("byte"), "user.small", []byte("in the inode"), 0),
		unix.Setxattr(at("byte"), "user.empty", nil, 0),
		unix.Setxattr(at("block"), "user.large", bytes.Repeat([]byte("v\x00"), (block-200)/2), 0),
		unix.Setxattr(at("a"), "user.on-a-directory", []byte("d"), 0),
		unix.Setxattr(at("hundred"), "user.both", bytes.Repeat([]byte("w"), 300), 0),
		unix.Setxattr(at("hundred"), "user.places", bytes.Repeat([]byte("p"), 300), 0),
		// u:1000:rw beside rw-r-----, and a default for a directory (acl(5)).
		unix.Setxattr(at("block-and-one"), "system.posix_acl_access", acl([3]uint32{2, 6, 1000}), 0),
		unix.Setxattr(at("a/b"), "system.posix_acl_default", acl([3]uint32{8, 5, 70000}), 0),
	)
}

// acl is an access control list with one named entry, as setxattr(2) takes it
// (linux/posix_acl_xattr.h).
func acl(named [3]uint32) []byte {
	const none = 0xffffffff
	entries := [][3]uint32{{1, 6, none}, named, {4, 4, none}, {0x10, 6, none}, {0x20, 0, none}}
	if named[0] == 8 {
		entries[1], entries[2] = entries[2], entries[1]
	}
	le := binary.LittleEndian
	out := le.AppendUint32(nil, 2)
	for _, e := range entries {
		out = le.AppendUint32(le.AppendUint16(le.AppendUint16(out, uint16(e[0])), uint16(e[1])), e[2])
	}
	return out
}

// capability is cap_net_raw+ep, of the second revision or the third
// (linux/capability.h).
func capability(root ...uint32) []byte {
	le := binary.LittleEndian
	out := make([]byte, 20)
	le.PutUint32(out, 0x02000001+uint32(len(root))<<24)
	le.PutUint32(out[4:], 1<<unix.CAP_NET_RAW)
	for _, r := range root {
		out = le.AppendUint32(out, r)
	}
	return out
}

func privileged(t *testing.T, at func(string) string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	must(t,
		os.Chown(at("hundred"), 70000, 4000000000), os.Lchown(at("link-60"), 33, 70000), os.Chown(at("a/b"), 1, 2),
		unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(at("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 70000))),
		unix.Mknod(at("last"), unix.S_IFBLK|0o660, int(unix.Mkdev(4095, 1048575))),
		unix.Mknod(at("socket"), unix.S_IFSOCK|0o600, 0),
		unix.Lsetxattr(at("link-59"), "trusted.of-a-link", []byte("l"), 0),
		unix.Setxattr(at("whole"), "trusted.t", []byte("t"), 0),
		os.WriteFile(at("capable"), []byte("x"), 0o755), os.WriteFile(at("capable-in-a-namespace"), []byte("x"), 0o755),
		unix.Setxattr(at("capable"), "security.capability", capability(), 0),
		os.WriteFile(at("capable-as-root"), []byte("x"), 0o755), unix.Setxattr(at("capable-as-root"), "security.capability", capability(0), 0),
		unix.Setxattr(at("capable-in-a-namespace"), "security.capability", capability(100000), 0),
	)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mke2fs makes a file system with exactly these features, full of dir unless
// that is "", with the directories that are worth it indexed.
func mke2fs(t *testing.T, path string, size int64, block int, features, dir string, more ...string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	must(t, f.Truncate(size), f.Close())
	args := append([]string{"-q", "-F", "-O", "none," + features, "-b", fmt.Sprint(block), "-I", "256", "-N", "8192", "-m", "0",
		"-L", "label", "-U", "3a6f1d3c-7a0f-4f5b-9a3e-0c5a6d2b8e91", "-E", "hash_seed=3a6f1d3c-7a0f-4f5b-9a3e-0c5a6d2b8e92,root_owner=0:0,lazy_itable_init=0"}, more...)
	if dir != "" {
		args = append(args, "-d", dir)
	}
	cmd := exec.Command("mke2fs", append(args, path)...)
	cmd.Env = append(os.Environ(), "MKE2FS_CONFIG=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mke2fs %v: %v\n%s", args, err, out)
	}
	if strings.Contains(features, "dir_index") {
		index(t, path)
	}
}

// index has e2fsck index directories, which mke2fs does not. That it has changed
// something is no failure.
func index(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("e2fsck", "-fyD", path).CombinedOutput()
	if err != nil && exec.Command("e2fsck", "-fn", path).Run() != nil {
		t.Fatalf("e2fsck -D: %v\n%s", err, out)
	}
}
