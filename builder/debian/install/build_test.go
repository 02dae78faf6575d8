package install_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/updates"
)

// sample is a package made for a test.
type sample struct {
	name string
	// fields are further lines of the control file.
	fields string
	// scripts are control files by name: preinst, triggers, conffiles.
	scripts map[string]string
	// files are contents by path; a content "-> x" is a link, a path that
	// ends in a slash a directory.
	files map[string]string
	// modes and owners are of some of the files; an owner is user:group.
	modes  map[string]os.FileMode
	owners map[string]string
	// links are hard links to other files.
	links map[string]string
}

// build makes the package file with dpkg-deb and keeps it in the archive.
func (w *workshop) build(t testing.TB, s sample) (updates.Package, string) {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, s.name)
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(tree, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch target, isLink := strings.CutPrefix(content, "-> "); {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case isLink:
			err = os.Symlink(target, path)
		default:
			if err = os.WriteFile(path, []byte(content), 0o644); err == nil {
				err = os.Chmod(path, mode)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	control := fmt.Sprintf("Package: %s\nVersion: 1.0-1\nMaintainer: A <a@mirror.example>\nDescription: sample\n%s", s.name, s.fields)
	arch := "all"
	if strings.Contains(s.fields, "Multi-Arch: same") {
		arch = "amd64"
	}
	write("DEBIAN/control", control+"Architecture: "+arch+"\n", 0o644)
	for name, content := range s.scripts {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		write("DEBIAN/"+name, content, mode)
	}
	for name, content := range s.files {
		write(name, content, 0o644)
	}
	for name, target := range s.links {
		if err := os.Link(filepath.Join(tree, target), filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, owner := range s.owners {
		if out, err := exec.Command("chown", owner, filepath.Join(tree, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for name, mode := range s.modes {
		if err := os.Chmod(filepath.Join(tree, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, s.name+".deb")
	if out, err := exec.Command("dpkg-deb", "-Zgzip", "--build", tree, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return updates.Package{Name: s.name, Version: "1.0-1", Architecture: arch, SHA256: w.put(t, file)}, file
}
