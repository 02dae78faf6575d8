package integrity_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vbatts/go-mtree"
	"golang.org/x/sys/unix"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/tree"
)

// realTree makes a directory with every type of file this machine lets us
// make, names that need escaping, hard links, special modes and attributes.
func realTree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(root, name) }
	check(os.MkdirAll(at("a b/deep"), 0o755))
	check(os.Mkdir(at("a b.d"), 0o700))
	check(os.WriteFile(at("a b/x*[]#?\\y=z"), []byte("hi\n"), 0o640))
	check(os.Link(at("a b/x*[]#?\\y=z"), at("zlink")))
	check(os.Link(at("a b/x*[]#?\\y=z"), at("a b/deep/third")))
	check(os.WriteFile(at("new\nline\xff"), []byte("x"), 0o600))
	check(os.WriteFile(at("-empty"), nil, 0o644))
	check(os.WriteFile(at("setuid"), []byte("#!"), 0o755))
	check(os.Chmod(at("setuid"), 0o755|os.ModeSetuid))
	check(os.Chmod(at("a b.d"), 0o777|os.ModeSticky))
	check(os.Symlink("tar get/é", at("link")))
	check(unix.Mkfifo(at("fifo"), 0o600))
	if os.Getuid() == 0 {
		check(unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		check(os.Lchown(at("zlink"), 33, 44))
	}
	if err := unix.Lsetxattr(at("setuid"), "user.note", []byte("a=b \x00\xff"), 0); err != nil {
		t.Logf("no extended attributes here: %v", err)
	}
	check(filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		whole := unix.NsecToTimespec(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{whole, whole}, unix.AT_SYMLINK_NOFOLLOW)
	}))
	return root
}

func manifestOf(t *testing.T, root string) (integrity.Manifest, []byte) {
	t.Helper()
	entries, err := tree.Walk(context.Background(), root)
	if err != nil {
		t.Fatal(err)
	}
	m, err := integrity.NewManifest(entries, integrity.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := m.WriteMtree(&out); err != nil {
		t.Fatal(err)
	}
	return m, out.Bytes()
}

func TestMtreeKeepsEverything(t *testing.T) {
	m, text := manifestOf(t, realTree(t))
	back, err := integrity.ReadMtree(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diffs := integrity.Compare(m, back); len(diffs) > 0 {
		t.Errorf("read back: %v", diffs)
	}
	if !reflect.DeepEqual(m, back) {
		t.Error("an entry came back differently")
	}
	var again bytes.Buffer
	if err := back.WriteMtree(&again); err != nil || !bytes.Equal(again.Bytes(), text) {
		t.Errorf("written again it differs (%v)", err)
	}
}

func TestEveryEntryCarriesItsClass(t *testing.T) {
	root := t.TempDir()
	for name, class := range map[string]string{"bin/sh": "immutable", "etc/machine-id": "seeded", "var/log/syslog": "variable"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(class), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, text := manifestOf(t, root)
	back, err := integrity.ReadMtree(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]integrity.Class{
		".": integrity.Immutable, "bin/sh": integrity.Immutable, "etc/machine-id": integrity.Seeded,
		"var/log": integrity.Immutable, "var/log/syslog": integrity.Variable,
	} {
		if e, ok := back.Find(name); !ok || e.Class != want {
			t.Errorf("%s is read back as %q, want %q", name, e.Class, want)
		}
	}
	for name, broken := range map[string]string{
		"missing": strings.Replace(string(text), "#class seeded\n", "", 1),
		"unknown": strings.Replace(string(text), "#class seeded\n", "#class loose\n", 1),
		"twice":   strings.Replace(string(text), "#class seeded\n", "#class seeded\n#class seeded\n", 1),
		"last":    string(text) + "#class seeded\n",
	} {
		if _, err := integrity.ReadMtree(strings.NewReader(broken)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// go-mtree takes every keyword of the manifest, asked for none in particular.
	spec, err := mtree.ParseSpec(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(spec.UsedKeywords(), []mtree.Keyword{"type", "mode", "uid", "gid", "time", "nlink", "size", "sha256digest"}) {
		t.Errorf("go-mtree reads the keywords %v", spec.UsedKeywords())
	}
	if _, err := mtree.Check(root, spec, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestNetBSDMtreeVerifies(t *testing.T) {
	program, err := exec.LookPath("mtree")
	if err != nil {
		t.Skip("mtree (package mtree-netbsd) is not installed")
	}
	root := realTree(t)
	_, text := manifestOf(t, root)
	run := func() (string, error) {
		cmd := exec.Command(program, "-p", root)
		cmd.Stdin = bytes.NewReader(text)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || out != "" {
		t.Fatalf("an untouched tree: %v\n%s\n%s", err, out, text)
	}
	if err := os.WriteFile(filepath.Join(root, "a b/deep/third"), []byte("ho\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil || !strings.Contains(out, "sha256") {
		t.Errorf("a changed file: %v\n%s", err, out)
	}
}

func TestGoMtreeVerifies(t *testing.T) {
	root := realTree(t)
	_, text := manifestOf(t, root)
	spec, err := mtree.ParseSpec(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	// go-mtree stops at the keyword of device nodes, which others verify.
	keywords := []mtree.Keyword{"type", "mode", "uid", "gid", "time", "nlink", "size", "sha256digest", "link"}
	check := func() []mtree.InodeDelta {
		t.Helper()
		deltas, err := mtree.Check(root, spec, keywords, nil)
		if err != nil {
			t.Fatal(err)
		}
		return deltas
	}
	if deltas := check(); len(deltas) > 0 {
		t.Errorf("an untouched tree: %v", deltas)
	}
	if err := os.WriteFile(filepath.Join(root, "added"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "setuid"), 0o755); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, delta := range check() {
		found[delta.Path()] = true
	}
	if !found["added"] || !found["setuid"] {
		t.Errorf("an added and a changed file: %v", found)
	}
}

func TestBsdtarReads(t *testing.T) {
	program, err := exec.LookPath("bsdtar")
	if err != nil {
		t.Skip("bsdtar (package libarchive-tools) is not installed")
	}
	m, text := manifestOf(t, realTree(t))
	file := filepath.Join(t.TempDir(), "manifest")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--format=mtree", "--options=!all,type,mode,uid,gid,size,time,link,device", "-cf", "-", "@"+file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("bsdtar: %v\n%s", err, out)
	}
	if got, want := strings.Count(string(out), "type="), len(m); got != want {
		t.Errorf("bsdtar read %d entries of %d:\n%s", got, want, out)
	}
	for _, want := range []string{"new\\012line\\377", "mode=4755", "link=tar\\040get"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("bsdtar lost %q:\n%s", want, out)
		}
	}
}
