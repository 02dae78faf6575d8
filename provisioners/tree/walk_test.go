package tree_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWalkDescribesEveryType(t *testing.T) {
	root := t.TempDir()
	at := func(p string) string { return filepath.Join(root, p) }
	must(t, os.Mkdir(at("etc"), 0o755))
	must(t, os.WriteFile(at("etc/motd"), []byte("hello"), 0o644))
	must(t, os.Chmod(at("etc/motd"), 0o750|fs.ModeSetuid))
	must(t, os.Link(at("etc/motd"), at("etc/again")))
	must(t, os.Symlink("/nowhere", at("etc/link")))
	must(t, unix.Mkfifo(at("pipe"), 0o600))
	must(t, os.Mkdir(at("etc-more"), 0o755))
	must(t, os.Chmod(at("etc-more"), 0o777|fs.ModeSticky))
	must(t, unix.Setxattr(at("etc/motd"), "user.note", []byte("v\x00w"), 0))
	must(t, unix.Setxattr(at("etc"), "user.overlay.opaque", []byte("y"), 0))
	must(t, os.Chtimes(at("etc/motd"), unixTime(100), unixTime(100)))

	entries, err := tree.Walk(context.Background(), root)
	must(t, err)
	var paths []string
	byPath := map[string]integrity.Entry{}
	for _, e := range entries {
		paths = append(paths, e.Path)
		byPath[e.Path] = e
	}
	if want := []string{".", "etc", "etc-more", "etc/again", "etc/link", "etc/motd", "pipe"}; !slices.Equal(paths, want) {
		t.Fatalf("paths: got %v, want %v", paths, want)
	}
	sum := sha256.Sum256([]byte("hello"))
	first, second := byPath["etc/again"], byPath["etc/motd"]
	if first.SHA256 != hex.EncodeToString(sum[:]) || first.Size != 5 || first.ModTime != 100 || first.HardLink != "" {
		t.Errorf("first link: %+v", first)
	}
	if second.HardLink != "etc/again" || second.SHA256 != first.SHA256 {
		t.Errorf("second link: %+v", second)
	}
	if first.Mode != 0o750|fs.ModeSetuid || first.Xattrs["user.note"] != "v\x00w" {
		t.Errorf("mode or attributes: %+v", first)
	}
	if e := byPath["etc"]; e.Xattrs != nil {
		t.Errorf("the overlay's own attributes are shown: %v", e.Xattrs)
	}
	if e := byPath["etc/link"]; e.Target != "/nowhere" || e.SHA256 != "" {
		t.Errorf("symbolic link: %+v", e)
	}
	if e := byPath["pipe"]; e.Mode.Type() != fs.ModeNamedPipe {
		t.Errorf("pipe: %+v", e)
	}
	if e := byPath["etc-more"]; e.Mode != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Errorf("sticky directory: %+v", e)
	}

	r, err := system.OpenRoot(root)
	must(t, err)
	defer r.Close()
	read, err := tree.Read(context.Background(), r)
	must(t, err)
	if diff := cmp.Diff(entries, read); diff != "" {
		t.Errorf("read as a system (-walked +read):\n%s", diff)
	}
}

func TestWalkNamesWhatItCannotRead(t *testing.T) {
	_, err := tree.Walk(context.Background(), filepath.Join(t.TempDir(), "missing"))
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Fatalf("got %v", err)
	}
}

func unixTime(s int64) time.Time { return time.Unix(s, 0) }
