package apparmor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/apparmor"
)

// TestNamesAreThoseOfTheParser reads the profiles that Debian ships, and has
// AppArmor's own parser name those in them.
func TestNamesAreThoseOfTheParser(t *testing.T) {
	tree := peertest.Unpack(t, "apparmor", "apparmor-profiles", "apparmor-profiles-extra")
	base := t.TempDir()
	if err := os.CopyFS(base, os.DirFS(tree.Path("etc/apparmor.d"))); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{base + "/*", tree.Path("usr/share/apparmor/extra-profiles/*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if err := os.WriteFile(filepath.Join(base, "everything"), []byte("@{FREE}=/srv/free\n/usr/sbin/plain flags=(complain) {\n  ^hat flags=(complain, attach_disconnected) {\n  }\n"+
		"  profile child /bin/child { /bin/child mr, }\n  hat other { }\n}\nprofile named @{FREE}/named xattrs=(user.x=y) flags = (attach_disconnected, complain) {\n}\nprofile \"a b\" { }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(base, "everything"))
	compared := 0
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() || filepath.Base(file) == "README" {
			continue
		}
		// What a machine adds to a profile, which is nothing here.
		local := filepath.Join(base, "local", filepath.Base(file))
		if err := os.WriteFile(local, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, err := tree.Command("sbin/apparmor_parser", "--names", "--skip-cache", "--base", base, file).Output()
		if err != nil {
			t.Logf("the parser refuses %s: %v", filepath.Base(file), err)
			continue
		}
		want := strings.Split(strings.TrimSpace(string(out)), "\n")
		// An abstraction's own profile, which every profile that includes it gets.
		want = slices.DeleteFunc(want, func(name string) bool { return strings.HasSuffix(name, "//sanitized_helper") })
		list, _, err := apparmor.Parse(string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got []string
		for _, p := range list {
			got = append(got, p.Name)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-parser +own):\n%s", file, diff)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("%d files were compared", compared)
	}
	t.Logf("%d files were compared", compared)
}
