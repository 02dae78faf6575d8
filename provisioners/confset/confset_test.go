package confset_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/confset"
	"imgbuild/provisioners/system"
)

func files(t *testing.T, list map[string]string) *system.Memory {
	t.Helper()
	sys := system.NewMemory()
	for name, text := range list {
		if err := system.MkdirAll(sys, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = sys.Symlink(target, name)
		} else {
			err = sys.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o640, GID: 33})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestGlobIsThatOfTheShell(t *testing.T) {
	sys := files(t, map[string]string{
		"/etc/a/b.conf": "", "/etc/a/B.conf": "", "/etc/a/.c.conf": "", "/etc/a/d.cnf": "", "/etc/b/b.conf": "", "/etc/file": "",
		"/etc/l": "-> a", "/etc/a/gone.conf": "-> nowhere",
	})
	for pattern, want := range map[string][]string{
		"/etc/a/*.conf":  {"/etc/a/B.conf", "/etc/a/b.conf", "/etc/a/gone.conf"},
		"/etc/a/.*.conf": {"/etc/a/.c.conf"},
		"/etc/*/b.conf":  {"/etc/a/b.conf", "/etc/b/b.conf", "/etc/l/b.conf"},
		"/etc/[!a]/*":    {"/etc/b/b.conf", "/etc/l/B.conf", "/etc/l/b.conf", "/etc/l/d.cnf", "/etc/l/gone.conf"},
		"/etc/a/?.c*":    {"/etc/a/B.conf", "/etc/a/b.conf", "/etc/a/d.cnf"},
		"/etc/nothing/*": nil,
		"/etc/file/*":    nil,
		"/../../etc/b/*": {"/etc/b/b.conf"},
	} {
		got, err := confset.New(sys).Glob(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", pattern, diff)
		}
	}
	for _, pattern := range []string{"relative/*", "/etc/["} {
		if got, err := confset.New(sys).Glob(pattern); err == nil {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}

func TestEditsGoWhereTheFileIs(t *testing.T) {
	sys := files(t, map[string]string{"/srv/real/x": "one two", "/etc/d": "-> ../srv/real", "/etc/y": "-> d/x", "/etc/loop": "-> loop"})
	set := confset.New(sys)
	real, text, err := set.Read("/etc/y")
	if err != nil || real != "/srv/real/x" || text != "one two" {
		t.Fatalf("%q %q %v", real, text, err)
	}
	set.Replace(real, 4, 7, "three")
	if _, text, err = set.Read("/etc/d/x"); err != nil || text != "one three" {
		t.Errorf("an edit is not seen by another name: %q %v", text, err)
	}
	set.Put("/new/dir/f", "new")
	set.Link("../new/dir/f", "/etc/z")
	if _, text, err = set.Read("/etc/z"); err != nil || text != "new" {
		t.Errorf("a planned link does not lead to a planned file: %q %v", text, err)
	}
	if got, err := set.Glob("/new/*/f"); err != nil || len(got) != 0 && got[0] != "/new/dir/f" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := sys.Lstat("/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("written before it was asked: %v", err)
	}
	if err := set.Write(sys); err != nil {
		t.Fatal(err)
	}
	info, err := sys.Lstat("/srv/real/x")
	if err != nil || info.Mode != 0o640 || info.GID != 33 {
		t.Errorf("owner and mode are not kept: %v %v", info, err)
	}
	if target, err := sys.Readlink("/etc/y"); err != nil || target != "d/x" {
		t.Errorf("the link was written over: %q %v", target, err)
	}
	if data, err := system.ReadFile(sys, "/etc/z", 10); err != nil || string(data) != "new" {
		t.Errorf("%q %v", data, err)
	}
	if _, _, err := set.Read("/etc/loop"); err == nil {
		t.Error("a loop of links is read")
	}
}

func TestWhatIsReadIsBounded(t *testing.T) {
	sys := files(t, map[string]string{"/big": strings.Repeat("x", 1<<20+1), "/small": "x"})
	if _, _, err := confset.New(sys).Read("/big"); err == nil {
		t.Error("a file of more than 1 MiB is read")
	}
	set := confset.New(sys)
	var err error
	for range 5000 {
		if _, _, err = set.Read("/small"); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("5000 files are read")
	}
	set.Rewind()
	if _, _, err := set.Read("/small"); err != nil {
		t.Error(err)
	}
}
