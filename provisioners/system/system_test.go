//go:build linux

package system_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"imgbuild/provisioners/system"
)

// each runs a test on all implementations; owners are the caller's own, so
// that it needs no root.
func each(t *testing.T, test func(t *testing.T, s system.System, own system.Attr)) {
	t.Run("memory", func(t *testing.T) {
		test(t, system.NewMemory(), system.Attr{Mode: 0o755, UID: os.Getuid(), GID: os.Getgid()})
	})
	t.Run("over", func(t *testing.T) {
		test(t, system.Over(system.NewMemory()), system.Attr{Mode: 0o755, UID: os.Getuid(), GID: os.Getgid()})
	})
	t.Run("root", func(t *testing.T) {
		r, err := system.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		test(t, r, system.Attr{Mode: 0o755, UID: os.Getuid(), GID: os.Getgid()})
	})
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func read(s system.Reader, name string) string {
	data, err := system.ReadFile(s, name, 1<<10)
	if err != nil {
		return "error"
	}
	return string(data)
}

func TestLinksResolveAsInTheRunningSystem(t *testing.T) {
	each(t, func(t *testing.T, s system.System, own system.Attr) {
		file := own
		file.Mode = 0o640
		must(t,
			s.Mkdir("/usr", own), s.Mkdir("/usr/bin", own), s.Symlink("usr/bin", "/bin"), s.Symlink("/usr", "/absolute"),
			s.Symlink("../../../../../usr", "/usr/up"), s.Symlink("loop", "/loop"), s.Symlink("/etc/passwd", "/dangling"),
			s.WriteFile("/bin/tool", strings.NewReader("tool"), file), s.Symlink("tool", "/usr/bin/alias"),
		)
		for _, name := range []string{"/usr/bin/tool", "/bin/tool", "/absolute/bin/tool", "/usr/up/bin/tool", "/usr/up/up/bin/alias"} {
			if got := read(s, name); got != "tool" {
				t.Errorf("%s holds %q", name, got)
			}
		}
		for _, name := range []string{"/loop", "/loop/x"} {
			if _, err := s.Stat(name); err == nil {
				t.Errorf("%s exists", name)
			}
		}
		if _, err := s.Stat("/dangling"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("dangling link: %v", err)
		}
		if info, err := s.Lstat("/dangling"); err != nil || info.Mode.Type() != fs.ModeSymlink {
			t.Errorf("dangling link: %v, %v", info, err)
		}
		// A link as last part is replaced, not written through.
		must(t, s.WriteFile("/usr/bin/alias", strings.NewReader("own"), file))
		if read(s, "/usr/bin/tool") != "tool" || read(s, "/bin/alias") != "own" {
			t.Error("a write went through a link")
		}
		names, err := s.ReadDir("/absolute/bin")
		if diff := cmp.Diff([]string{"alias", "tool"}, names); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestAttributes(t *testing.T) {
	each(t, func(t *testing.T, s system.System, own system.Attr) {
		special := own
		special.Mode = 0o754 | fs.ModeSetuid | fs.ModeSetgid
		must(t, s.WriteFile("/f", strings.NewReader("x"), special))
		info, err := s.Lstat("/f")
		must(t, err)
		want := system.Info{Mode: special.Mode, UID: own.UID, GID: own.GID, Size: 1, Links: 1}
		place := cmpopts.IgnoreFields(system.Info{}, "FileSystem", "Inode", "ModTime")
		if diff := cmp.Diff(want, info, place); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		must(t, s.Chown("/f", own.UID, own.GID))
		if info, _ := s.Lstat("/f"); info.Mode != special.Mode {
			t.Errorf("changing the owner left mode %v", info.Mode)
		}
		must(t, s.Mkdir("/d", own), s.Chmod("/d", 0o777|fs.ModeSticky))
		if info, _ := s.Lstat("/d"); info.Mode != fs.ModeDir|fs.ModeSticky|0o777 {
			t.Errorf("directory has mode %v", info.Mode)
		}
		must(t, s.Symlink("f", "/l"))
		if s.Chmod("/l", 0o600) == nil || s.Chown("/l", own.UID, own.GID) == nil {
			t.Error("a link was changed")
		}
	})
}

// TestRootTellsWhatAFileIsBesides has what a system in memory knows nothing of.
func TestRootTellsWhatAFileIsBesides(t *testing.T) {
	dir := t.TempDir()
	r, err := system.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	must(t, os.WriteFile(dir+"/f", nil, 0o600), os.Link(dir+"/f", dir+"/again"), os.Symlink("f", dir+"/link"),
		os.Chtimes(dir+"/f", time.Time{}, time.Unix(1700000000, 5)))
	if err := unix.Setxattr(dir+"/f", "user.origin", []byte("a\x00b"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("the file system has no extended attributes")
	} else if err != nil {
		t.Fatal(err)
	}
	a, errA := r.Lstat("/f")
	b, errB := r.Lstat("/again")
	must(t, errA, errB)
	if a != b || a.Links != 2 || a.Inode == 0 || a.FileSystem == 0 || a.ModTime != 1700000000 {
		t.Errorf("%+v, %+v", a, b)
	}
	for name, want := range map[string]map[string]string{"/f": {"user.origin": "a\x00b"}, "/link": nil, "/": nil} {
		if got, err := r.Xattrs(name); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	if _, err := r.Xattrs("/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	dev, err := system.OpenRoot("/dev")
	must(t, err)
	t.Cleanup(func() { dev.Close() })
	if info, err := dev.Lstat("/null"); err != nil || info.Major != 1 || info.Minor != 3 || info.Mode&fs.ModeCharDevice == 0 {
		t.Errorf("/dev/null: %+v, %v", info, err)
	}
}

// TestOverKeepsItsChanges changes all that a system below has, and looks at both.
func TestOverKeepsItsChanges(t *testing.T) {
	below := system.NewMemory()
	file := system.Attr{Mode: 0o644}
	must(t, system.MkdirAll(below, "/etc/d/sub"), system.MkdirAll(below, "/gone/sub"), below.Symlink("etc", "/link"),
		below.WriteFile("/etc/a", strings.NewReader("a"), file), below.WriteFile("/etc/b", strings.NewReader("b"), file),
		below.WriteFile("/etc/d/sub/c", strings.NewReader("c"), file), below.WriteFile("/gone/sub/f", strings.NewReader("f"), file))
	over := system.Over(below)
	must(t, over.WriteFile("/link/a", strings.NewReader("A"), file), over.Chmod("/etc/b", 0o600), over.Chown("/etc/d", 7, 8),
		over.Remove("/gone"), over.Mkdir("/gone", system.Attr{Mode: 0o700}), over.Remove("/etc/d/sub/c"), over.WriteFile("/etc/d/new", strings.NewReader("n"), file))
	// And once more over that.
	top := system.Over(over)
	must(t, top.Remove("/etc/d/new"), top.WriteFile("/etc/d/sub/c", strings.NewReader("again"), file))
	for _, c := range []struct {
		s    system.Reader
		want map[string]string
	}{
		{below, map[string]string{"/": "etc gone link", "/etc": "a b d", "/etc/d": "sub", "/etc/d/sub": "c", "/gone": "sub", "/etc/a": "a", "/etc/b": "b -rw-r--r-- 0"}},
		{over, map[string]string{"/": "etc gone link", "/link": "a b d", "/etc/d": "new sub", "/etc/d/sub": "", "/gone": "", "/etc/a": "A", "/etc/b": "b -rw------- 0", "/etc/d/new": "n"}},
		{top, map[string]string{"/etc": "a b d", "/link/d": "sub", "/etc/d/sub": "c", "/etc/d/sub/c": "again", "/gone": "", "/etc/b": "b -rw------- 0"}},
	} {
		for name, want := range c.want {
			info, err := c.s.Stat(name)
			must(t, err)
			got := read(c.s, name)
			if names, err := c.s.ReadDir(name); err == nil {
				got = strings.Join(names, " ")
			} else if strings.Contains(want, " ") {
				got += " " + info.Mode.String() + " " + strconv.Itoa(info.UID)
			}
			if got != want {
				t.Errorf("%s is %q, should be %q", name, got, want)
			}
		}
	}
	if info, err := top.Stat("/link/d"); err != nil || info.UID != 7 || info.GID != 8 || !info.Mode.IsDir() {
		t.Errorf("a directory with another owner: %+v, %v", info, err)
	}
	if _, err := over.Lstat("/gone/sub/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what lay in a directory that was made anew: %v", err)
	}
}

func TestRemove(t *testing.T) {
	each(t, func(t *testing.T, s system.System, own system.Attr) {
		must(t,
			system.MkdirAll(s, "/keep"), system.MkdirAll(s, "/a/b/c"), s.WriteFile("/keep/f", strings.NewReader("x"), own),
			s.Symlink("/keep", "/a/b/link"), s.WriteFile("/a/b/f", strings.NewReader("x"), own),
			s.Remove("/a"), s.Remove("/a"), s.Remove("/not/there"),
		)
		if names, _ := s.ReadDir("/"); len(names) != 1 || read(s, "/keep/f") != "x" {
			t.Errorf("left: %v", names)
		}
		if s.Remove("/") == nil {
			t.Error("the root was removed")
		}
	})
}

func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, s system.System, own system.Attr) {
		must(t, s.Mkdir("/d", own), s.WriteFile("/f", strings.NewReader("x"), own))
		for what, err := range map[string]error{
			"relative":          s.WriteFile("x", strings.NewReader(""), own),
			"dots":              s.WriteFile("/d/../x", strings.NewReader(""), own),
			"file over dir":     s.WriteFile("/d", strings.NewReader(""), own),
			"link over dir":     s.Symlink("x", "/d"),
			"dir over file":     s.Mkdir("/f", own),
			"no parent":         s.WriteFile("/n/x", strings.NewReader(""), own),
			"file as parent":    s.WriteFile("/f/x", strings.NewReader(""), own),
			"change of missing": s.Chmod("/n", 0o600),
			"failing content":   s.WriteFile("/f", io.MultiReader(strings.NewReader("half"), failing{}), own),
		} {
			if err == nil {
				t.Errorf("%s: accepted", what)
			}
		}
		if read(s, "/f") != "x" {
			t.Error("a failed write left its traces")
		}
		if names, _ := s.ReadDir("/"); len(names) != 2 {
			t.Errorf("left behind: %v", names)
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// TestNoLinkLeadsOut plants links to a directory beside the root and tries
// every method through them.
func TestNoLinkLeadsOut(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	must(t, os.Mkdir(outside, 0o755), os.Mkdir(filepath.Join(dir, "root"), 0o755), os.WriteFile(filepath.Join(outside, "f"), []byte("safe"), 0o644))
	for link, target := range map[string]string{"up": "../outside", "absolute": outside, "file": outside + "/f", "proc": "/proc/self/root"} {
		must(t, os.Symlink(target, filepath.Join(dir, "root", link)))
	}
	s, err := system.OpenRoot(filepath.Join(dir, "root"))
	must(t, err)
	defer s.Close()
	attr := system.Attr{Mode: 0o600, UID: os.Getuid(), GID: os.Getgid()}
	for _, link := range []string{"/up", "/absolute", "/proc" + outside} {
		name := link + "/f"
		_, openErr := s.Open(name)
		_, statErr := s.Lstat(name)
		for i, err := range []error{
			openErr, statErr, s.WriteFile(name, strings.NewReader("x"), attr), s.Mkdir(link+"/d", attr), s.Symlink("x", link+"/l"),
			s.Chmod(name, 0o777), s.Chown(name, attr.UID, attr.GID),
		} {
			if err == nil {
				t.Errorf("%s: method %d went out", link, i)
			}
		}
		// Whether it finds nothing or fails, what counts is what is left outside.
		_ = s.Remove(name)
	}
	if _, err := s.Open("/file"); err == nil {
		t.Error("a link to a file outside was followed")
	}
	entries, err := os.ReadDir(outside)
	must(t, err)
	if data, _ := os.ReadFile(filepath.Join(outside, "f")); len(entries) != 1 || string(data) != "safe" {
		t.Errorf("outside was changed: %v %q", entries, data)
	}
}
