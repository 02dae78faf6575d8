package edit_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"imgbuild/provisioners/edit"
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

func TestEditsGoWhereTheFileIs(t *testing.T) {
	sys := files(t, map[string]string{"/srv/real/x": "one two", "/etc/d": "-> ../srv/real", "/etc/y": "-> d/x", "/etc/loop": "-> loop"})
	set := edit.New(sys)
	real, text, err := set.Read("/etc/y")
	if err != nil || real != "/srv/real/x" || text != "one two" {
		t.Fatalf("%q %q %v", real, text, err)
	}
	if err := set.Splice(real, 4, 7, "three"); err != nil {
		t.Fatal(err)
	}
	if _, text, err = set.Read("/etc/d/x"); err != nil || text != "one three" {
		t.Errorf("an edit is not seen by another name: %q %v", text, err)
	}
	set.Set("/new/dir/f", "new")
	set.Link("../new/dir/f", "/etc/z")
	if _, text, err = set.Read("/etc/z"); err != nil || text != "new" {
		t.Errorf("a planned link does not lead to a planned file: %q %v", text, err)
	}
	if got, err := system.Glob(set, "/new/*/f"); err != nil || len(got) != 1 || got[0] != "/new/dir/f" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := sys.Lstat("/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("written before it was asked: %v", err)
	}
	if changed, err := set.Save(sys); !changed || err != nil {
		t.Fatal(changed, err)
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
	if _, _, err := edit.New(sys).Read("/big"); err == nil {
		t.Error("a file of more than 1 MiB is read")
	}
	set := edit.New(sys)
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

func TestADraftReadsAsItWillBe(t *testing.T) {
	s := system.NewMemory()
	if err := system.MkdirAll(s, "/etc"); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFile("/etc/a", strings.NewReader("1\n2"), system.Attr{Mode: 0o640, GID: 5}); err != nil {
		t.Fatal(err)
	}
	d := edit.New(s)
	if _, ok, err := d.Text("/etc/a.d/b"); ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	d.Set("/etc/a", edit.Replace("1\n2", 2, 2, "3"))
	d.Set("/etc/a.d/b", "b\n")
	if text, ok, err := d.Text("/etc/a"); text != "1\n2\n3\n" || !ok || err != nil {
		t.Errorf("%q, %v, %v", text, ok, err)
	}
	if list, err := d.ReadDir("/etc/a.d"); err != nil || strings.Join(list, " ") != "b" {
		t.Errorf("%v, %v", list, err)
	}
	if info, err := d.Stat("/etc/a.d"); err != nil || !info.Mode.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
	if info, err := d.Lstat("/etc/a"); err != nil || info.Size != 6 || info.GID != 5 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := s.Stat("/etc/a.d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the system was changed: %v", err)
	}
	for _, want := range []bool{true, false} {
		if changed, err := d.Save(s); changed != want || err != nil {
			t.Fatalf("changed %v: %v", changed, err)
		}
	}
	info, err := s.Lstat("/etc/a")
	if err != nil || info.Mode.Perm() != 0o640 || info.GID != 5 {
		t.Errorf("%v, %v", info, err)
	}
	if data, err := system.ReadFile(s, "/etc/a.d/b", 10); string(data) != "b\n" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

func TestALinkIsNotWrittenThrough(t *testing.T) {
	s := system.NewMemory()
	if err := s.Symlink("b", "/a"); err != nil {
		t.Fatal(err)
	}
	d := edit.New(s)
	d.Set("/a", "x")
	if _, err := d.Save(s); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}
