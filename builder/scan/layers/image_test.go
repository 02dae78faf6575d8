package layers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/scan/layers"
	"imgbuild/images/fault"
)

// small opens an image of a few files.
func small(t testing.TB) *layers.Image {
	t.Helper()
	l := newLayout(t)
	l.index(l.image("amd64", ocispec.MediaTypeImageLayerZstd, [][]byte{
		pack(t, dir("d", 0o755), file("d/f", "content", 0o644).xattr("user.note", "x"), symlink("link", "d/f"), symlink("tod", "/d"), symlink("nowhere", "x"),
			node('6', "pipe", 0, 0), file("empty", "", 0o644)),
	}))
	img, err := open(t, "oci:"+l.dir, layers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestReader(t *testing.T) {
	img := small(t)
	for _, name := range []string{"/d/f", "/link", "/tod/f"} {
		if got := read(t, img, name); got != "content" {
			t.Errorf("%s holds %q", name, got)
		}
	}
	if got := read(t, img, "/empty"); got != "" {
		t.Errorf("the empty file holds %q", got)
	}
	lstat := func(name string) error { _, err := img.Lstat(name); return err }
	stat := func(name string) error { _, err := img.Stat(name); return err }
	openFile := func(name string) error { _, err := img.Open(name); return err }
	list := func(name string) error { _, err := img.ReadDir(name); return err }
	link := func(name string) error { _, err := img.Readlink(name); return err }
	attributes := func(name string) error { _, err := img.Xattrs(name); return err }
	for what, c := range map[string]struct {
		err  error
		want error // nil: any
	}{
		"lstat of nothing":      {lstat("/no"), fs.ErrNotExist},
		"stat of a dead link":   {stat("/nowhere"), fs.ErrNotExist},
		"open of a dead link":   {openFile("/nowhere"), fs.ErrNotExist},
		"open of a directory":   {openFile("/d"), nil},
		"open of a pipe":        {openFile("/pipe"), nil},
		"list of nothing":       {list("/no"), fs.ErrNotExist},
		"list of a file":        {list("/link"), nil},
		"target of a file":      {link("/d/f"), fs.ErrInvalid},
		"target of nothing":     {link("/no"), fs.ErrNotExist},
		"attributes of nothing": {attributes("/no"), fs.ErrNotExist},
		"relative":              {lstat("d/f"), fs.ErrInvalid},
		"not clean":             {stat("/d/../d"), fs.ErrInvalid},
	} {
		if at := new(fs.PathError); !errors.As(c.err, &at) || c.want != nil && !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	// What a caller does with an answer is not the image's.
	names, err := img.ReadDir("/tod")
	note, noteErr := img.Xattrs("/d/f")
	if err != nil || noteErr != nil {
		t.Fatal(err, noteErr)
	}
	names[0], note["user.note"] = "changed", "changed"
	again, _ := img.ReadDir("/d")
	noteAgain, _ := img.Xattrs("/d/f")
	if again[0] != "f" || noteAgain["user.note"] != "x" {
		t.Errorf("got %v, %v", again, noteAgain)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, img, "/d/f"); !strings.Contains(got, os.ErrClosed.Error()) {
		t.Errorf("after the end it holds %q", got)
	}
}

func TestManyReadAtOnce(t *testing.T) {
	l := newLayout(t)
	var items []item
	want := map[string]string{}
	for i := range 100 {
		name := "f" + strings.Repeat("x", i)
		want["/"+name] = strings.Repeat(name, 1000+i)
		items = append(items, file(name, want["/"+name], 0o644))
	}
	l.index(l.image("amd64", ocispec.MediaTypeImageLayerGzip, [][]byte{pack(t, items[:30]...), pack(t, items[30:60]...), pack(t, items[60:]...)}))
	img := opened(t, "oci:"+l.dir)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for name, content := range want {
				f, err := img.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(f)
				if err != nil || string(got) != content {
					t.Errorf("%s holds other content; %v", name, err)
				}
			}
		})
	}
	group.Wait()
}

// TestSparseFiles reads what GNU tar makes of a file with holes in its two
// forms.
func TestSparseFiles(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("tar is not installed")
	}
	from := t.TempDir()
	f, err := os.Create(filepath.Join(from, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3<<20)
	copy(want[1<<20:], "one")
	copy(want[2<<20+5:], "two")
	_, oneErr := f.WriteAt([]byte("one"), 1<<20)
	_, twoErr := f.WriteAt([]byte("two"), 2<<20+5)
	if err := errors.Join(oneErr, twoErr, f.Truncate(int64(len(want))), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"gnu", "posix"} {
		out, err := exec.Command("tar", "--create", "--sparse", "--hole-detection=raw", "--format="+form, "--directory="+from, "holes").Output()
		if err != nil || len(out) > 1<<20 {
			t.Fatalf("tar: %d bytes, %v", len(out), err)
		}
		l := newLayout(t)
		l.index(l.image("amd64", ocispec.MediaTypeImageLayerGzip, [][]byte{out}))
		img := opened(t, "oci:"+l.dir)
		r, err := img.Open("/holes")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", form, len(got), err)
		}
		// The holes count.
		_, err = open(t, "oci:"+l.dir, layers.Options{Limits: layers.Limits{Bytes: 2 << 20}})
		if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "files have more than") {
			t.Errorf("%s: %v", form, err)
		}
	}
}

func TestOpeningCanBeCancelled(t *testing.T) {
	l := newLayout(t)
	d := l.image("amd64", ocispec.MediaTypeImageLayerZstd, house(t))
	l.index(d)
	source, err := layers.ParseSource("oci:" + l.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	spool := t.TempDir()
	if _, err := layers.Open(ctx, source, layers.Options{Spool: spool}); !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Failed {
		t.Errorf("got %v", err)
	}
	// In the middle of a layer.
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	source, err = layers.ParseSource("docker://registry.example/team/web:x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = layers.Open(ctx, source, layers.Options{Spool: spool, Transport: served{l, d, func(from io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(from, 500), waiting{ctx, cancel})
	}}})
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Failed {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := layers.Open(context.Background(), source, layers.Options{Spool: filepath.Join(spool, "missing")}); fault.KindOf(err) != fault.Failed {
		t.Errorf("without a place for the spool: %v", err)
	}
}

// waiting ends the context that it waits for.
type waiting struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func (w waiting) Read([]byte) (int, error) {
	w.cancel()
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}
