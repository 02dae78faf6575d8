// Package debtest unpacks Debian packages for tests that hold this program
// against the real tools, without installing them: some would start a daemon
// or change the machine. It is for tests alone.
package debtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tree is a directory with the files of packages.
type Tree struct{ Dir string }

// Unpack downloads packages with the machine's own apt and unpacks them. A
// test that cannot have them is skipped.
func Unpack(t testing.TB, packages ...string) Tree {
	t.Helper()
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	debs, tree := t.TempDir(), Tree{t.TempDir()}
	cmd := exec.Command("apt-get", append([]string{"download", "-q", "-o", "APT::Sandbox::User=root"}, packages...)...)
	cmd.Dir = debs
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the packages %s are not to be had here: %v\n%s", strings.Join(packages, ", "), err, out)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(files) != len(packages) {
		t.Fatalf("%d packages were downloaded: %v", len(files), err)
	}
	for _, file := range files {
		if out, err := exec.Command("dpkg-deb", "-x", file, tree.Dir).CombinedOutput(); err != nil {
			t.Fatalf("unpacking %s: %v\n%s", file, err, out)
		}
	}
	return tree
}

// Path is where a file of the packages lies, with the place it has once
// installed.
func (t Tree) Path(name string) string { return filepath.Join(t.Dir, name) }

// Command runs a program of the packages with their own libraries. Those they
// need besides are the machine's.
func (t Tree) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(t.Path(name), args...)
	var dirs []string
	for _, pattern := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(t.Path(pattern))
		dirs = append(dirs, found...)
	}
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(dirs, ":"))
	return cmd
}
