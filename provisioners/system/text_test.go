package system_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/system"
)

func TestReplaceKeepsOwnerAndMode(t *testing.T) {
	s := system.NewMemory()
	for _, err := range []error{
		system.MkdirAll(s, "/etc/d"),
		s.WriteFile("/etc/secret", strings.NewReader("old"), system.Attr{Mode: 0o640, UID: 1, GID: 42}),
		s.Symlink("secret", "/etc/link"),
		s.Symlink("/nowhere", "/etc/dangling"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		want system.Attr
	}{
		{"/etc/link", system.Attr{Mode: 0o640, UID: 1, GID: 42}},
		{"/etc/secret", system.Attr{Mode: 0o640, UID: 1, GID: 42}},
		{"/etc/dangling", system.Attr{Mode: 0o440}},
		{"/etc/new/dir/file", system.Attr{Mode: 0o440}},
	} {
		if err := system.Replace(s, c.name, "new", 0o440); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		info, err := s.Lstat(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, system.Attr{Mode: info.Mode, UID: info.UID, GID: info.GID}); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
		text, there, err := system.ReadText(s, c.name, 3)
		if text != "new" || !there || err != nil {
			t.Errorf("%s: %q %v %v", c.name, text, there, err)
		}
	}
	if err := system.Replace(s, "/etc/d", "new", 0o644); err == nil {
		t.Error("a directory is replaced")
	}
}

func TestWhatIsMissingIsNoErrorAndTheRestIs(t *testing.T) {
	s := system.NewMemory()
	if err := s.WriteFile("/b", strings.NewReader("four"), system.Attr{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := s.Mkdir("/a", system.Attr{Mode: fs.ModePerm}); err != nil {
		t.Fatal(err)
	}
	if text, there, err := system.ReadText(s, "/c", 4); text != "" || there || err != nil {
		t.Errorf("%q %v %v", text, there, err)
	}
	for _, name := range []string{"/a", "/b"} {
		if _, there, err := system.ReadText(s, name, 3); there || err == nil {
			t.Errorf("%s is read: %v", name, err)
		}
	}
	names, err := system.Names(s, "/")
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	if names, err := system.Names(s, "/c"); names != nil || err != nil {
		t.Errorf("%v %v", names, err)
	}
	if _, err := system.Names(s, "/b"); err == nil {
		t.Error("a file has names")
	}
}
