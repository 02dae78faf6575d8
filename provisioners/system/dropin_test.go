package system_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/system"
)

func TestDropInsAreInTheOrderOfTheirNames(t *testing.T) {
	sys := files(t, map[string]string{
		"/etc/d/50-b.conf": "", "/etc/d/10-gone.conf": "-> nowhere", "/etc/d/note.txt": "", "/etc/d/.hidden.conf": "", "/etc/d/90-dir.conf/x": "",
		"/lib/d/10-gone.conf": "", "/lib/d/20-a.conf": "", "/lib/d/50-b.conf": "", "/lib/d/90-dir.conf": "", "/run/d": "no directory",
	})
	got, err := system.DropIns(sys, []string{"/etc/d", "/run/d", "/usr/d", "/lib/d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/d/10-gone.conf", "/lib/d/20-a.conf", "/etc/d/50-b.conf", "/lib/d/90-dir.conf"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got, err = system.DropIns(sys, []string{"/etc/d"}, func(name string) bool { return strings.HasSuffix(name, ".txt") })
	if diff := cmp.Diff([]string{"/etc/d/note.txt"}, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
}

func TestDropInsAreBounded(t *testing.T) {
	list := map[string]string{}
	for i := range 2001 {
		list[fmt.Sprintf("/d/%04d.conf", i)] = ""
	}
	if got, err := system.DropIns(files(t, list), []string{"/d"}, nil); err == nil {
		t.Errorf("%d files are read", len(got))
	}
}
