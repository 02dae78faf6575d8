package edit_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

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

func TestReplaceKeepsTheRest(t *testing.T) {
	for _, c := range []struct {
		text       string
		begin, end int
		with       []string
		want       string
	}{
		{"", 0, 0, []string{"a"}, "a\n"},
		{"a\nb\nc", 1, 2, []string{"x", "y"}, "a\nx\ny\nc"},
		{"a\nb", 1, 2, []string{"x"}, "a\nx\n"},
		{"a\r\n\n", 2, 2, []string{"x"}, "a\r\n\nx\n"},
		{"a\nb\n", 0, 1, nil, "b\n"},
	} {
		if got := edit.Replace(c.text, c.begin, c.end, c.with...); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
