package volume_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/disk/gpt"
	"imgbuild/provisioners/system"
)

// TestNamesResolveAsInARoot asks for every name below a tree full of links, and
// for some that are not there, here and from system.Root, which has the kernel
// resolve them (RESOLVE_IN_ROOT).
func TestNamesResolveAsInARoot(t *testing.T) {
	files := map[string]string{
		"a/b/c/file": "deep", "file": "file", "to-file": "->file", "to-dir": "->a/b", "absolute": "->/a/b/c", "up": "->../../../../a",
		"a/up": "->..", "a/b/out": "->../../../etc/passwd", "loop": "->loop", "left": "->right", "right": "->left/x", "dangling": "->/not/here",
		"slash": "->a/b/", "file-slash": "->file/", "file-dot": "->file/.", "root": "->/", "dot": "->.", "through-file": "->file/x",
		"doubled": "->a//b///c", "here": "->./a/./b", "proc": "->/proc/self/root", strings.Repeat("n", 255): "long",
	}
	for n := range 42 { // the 41st leads through more links than the kernel follows
		target := "file"
		if n > 0 {
			target = fmt.Sprintf("chain-%02d", n-1)
		}
		files[fmt.Sprintf("chain-%02d", n)] = "->" + target
	}
	root := dir(t, files)
	want, err := system.OpenRoot(root)
	must(t, err)
	defer want.Close()
	got := open(t, raw(t, part{name: "root", kind: gpt.TypeRootAMD64, tree: root}))
	names := []string{"/", "/missing", "/file/x", "/loop/x", "/dangling/x", "/" + strings.Repeat("n", 256), "/a/../file", "relative", "/a/", "/with\x00nul", "/proc/etc"}
	for _, top := range []string{"", "/a", "/to-dir", "/absolute", "/up", "/a/up", "/up/up/up/up", "/slash", "/root", "/root/root/dot", "/doubled", "/here", "/a/b/out", "/to-file", "/proc"} {
		for name := range files {
			names = append(names, top+"/"+name, top+"/"+filepath.Base(name))
		}
	}
	for _, name := range names {
		for what, ask := range map[string]func(system.Reader) (string, error){
			"Lstat": func(r system.Reader) (string, error) { i, err := r.Lstat(name); return fmt.Sprint(i.Mode, i.Size), err },
			"Stat":  func(r system.Reader) (string, error) { i, err := r.Stat(name); return fmt.Sprint(i.Mode, i.Size), err },
			"Open":  func(r system.Reader) (string, error) { b, err := system.ReadFile(r, name, 100); return string(b), err },
			"ReadDir": func(r system.Reader) (string, error) {
				names, err := r.ReadDir(name)
				return strings.ReplaceAll(fmt.Sprint(names), "lost+found ", ""), err
			},
			"Readlink": func(r system.Reader) (string, error) { return r.Readlink(name) },
			"Xattrs":   func(r system.Reader) (string, error) { x, err := r.Xattrs(name); return fmt.Sprint(x), err },
		} {
			a, errA := ask(want)
			b, errB := ask(got)
			if (errA == nil) != (errB == nil) || errors.Is(errA, fs.ErrNotExist) != errors.Is(errB, fs.ErrNotExist) {
				t.Errorf("%s %.80s: the kernel says %v, we %v", what, name, errA, errB)
			} else if errA == nil && !sizes(what, a, b) {
				t.Errorf("%s %.80s: the kernel says %.200s, we %.200s", what, name, a, b)
			}
		}
	}
}

// sizes compares answers; directories have other sizes in another file system.
func sizes(what, a, b string) bool {
	return a == b || strings.HasSuffix(what, "tat") && a[0] == 'd' && b[0] == 'd'
}

func TestErrorsAreTheKernels(t *testing.T) {
	v := open(t, raw(t, part{name: "root", kind: gpt.TypeRootAMD64, tree: dir(t, map[string]string{"file": "", "loop": "->loop"})}))
	for name, want := range map[string]error{"/file/x": unix.ENOTDIR, "/loop": unix.ELOOP, "/x": unix.ENOENT, "x": fs.ErrInvalid} {
		_, err := v.Stat(name)
		var path *fs.PathError
		if !errors.Is(err, want) || !errors.As(err, &path) || path.Path != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.Open("/"); err == nil {
		t.Error("a directory is opened")
	}
	if _, err := v.ReadDir("/file"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file as a directory: %v", err)
	}
}

// TestNoWayLeadsInACircle has directories that a file system without checksums
// may be made to hold: one below itself, one with two names, one that is the
// root.
func TestNoWayLeadsInACircle(t *testing.T) {
	whole := tiny(t, "map")
	at, inode := entry(t, whole, "b")
	_, above := entry(t, whole, "a")
	file, other := entry(t, whole, "extents")
	for name, change := range map[string]func(b []byte){
		"below itself": func(b []byte) { b[at] = above },
		"the root":     func(b []byte) { b[at] = 2 },
		"two names":    func(b []byte) { b[file] = inode },
		"no directory": func(b []byte) { b[at] = 0xff },
		"the journal":  func(b []byte) { b[at] = 8 },
	} {
		data := append([]byte(nil), whole...)
		change(data)
		v, err := openRaw(t, data)
		if err == nil {
			_, err = describe(v)
		}
		if err == nil {
			t.Errorf("%s: all is read", name)
		}
	}
	data := append([]byte(nil), whole...)
	data[file] = other
	if v, err := openRaw(t, data); err != nil {
		t.Error(err)
	} else if _, err := describe(v); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func openRaw(t *testing.T, fs []byte) (system.Reader, error) {
	t.Helper()
	return open(t, raw(t, part{name: "root", kind: gpt.TypeRootAMD64, bytes: fs})), nil
}

// entry finds the place of a directory entry, at which its inode is.
func entry(t *testing.T, image []byte, name string) (at int, inode byte) {
	t.Helper()
	for k := 8; k+len(name) < len(image); k += 4 {
		if string(image[k:k+len(name)]) == name && int(image[k-2]) == len(name) && image[k-8] > 10 && image[k-1] <= 2 {
			return k - 8, image[k-8]
		}
	}
	t.Fatalf("there is no %s", name)
	return 0, 0
}
