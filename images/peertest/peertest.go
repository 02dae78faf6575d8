// Package peertest has programs of Debian's for tests that compare with them,
// without installing them: that would start services on the machine. It
// unpacks packages, and makes root directories in which their programs see only
// the files that a test gives them. It never runs a maintainer script. It is
// for tests alone, and lies here because images may not import what is above.
package peertest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Tree is a directory with the files of packages. All tests of the machine
// share it: nothing may be written there.
type Tree struct{ Dir string }

// Unpack gives packages of this machine's release. They are fetched and
// verified by apt, from the machine's own sources, and kept from one run of the
// tests to the next. Where they are not to be had the test is skipped.
func Unpack(t testing.TB, packages ...string) Tree {
	t.Helper()
	dir, err := unpacked(packages)
	if err != nil {
		t.Skipf("the packages %s are not to be had here: %v", strings.Join(packages, ", "), err)
	}
	return Tree{dir}
}

// Path is where a file of the packages lies, with the place it has once
// installed.
func (t Tree) Path(name string) string { return filepath.Join(t.Dir, name) }

// Command runs a program of the packages with their own libraries. Those they
// need besides, and the files that it reads, are the machine's.
func (t Tree) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(t.Path(name), args...)
	cmd.Env = t.environment()
	return cmd
}

// environment is this process's, with the way to the libraries of the packages.
func (t Tree) environment() []string {
	var dirs []string
	for _, pattern := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(t.Path(pattern)) // errs on a bad pattern alone
		dirs = append(dirs, found...)
	}
	return append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(dirs, ":"))
}

// Root makes a root directory with the files of packages, the libraries that
// the programs, or modules of theirs, are linked with, and the users that a
// server is run as. It is the test's own. Where it cannot be made, or not entered, the test is skipped.
func Root(t testing.TB, packages []string, programs ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("running a program in a root directory takes root")
	}
	tree, root := Unpack(t, packages...), t.TempDir()
	if out, err := exec.Command("cp", "-a", tree.Dir+"/.", root).CombinedOutput(); err != nil {
		t.Fatalf("copying %s: %v: %s", tree.Dir, err, out)
	}
	var names []string
	for _, name := range programs {
		names = append(names, tree.Path(name))
	}
	ldd := exec.Command("ldd", names...)
	ldd.Env = tree.environment()
	out, err := ldd.Output()
	if err != nil {
		t.Skipf("ldd does not list the libraries of %v: %v", programs, err)
	}
	if strings.Contains(string(out), "=> not found") {
		t.Skipf("this machine lacks libraries of %v:\n%s", programs, out)
	}
	words := strings.Fields(string(out))
	slices.Sort(words)
	for _, word := range slices.Compact(words) {
		if !strings.HasPrefix(word, "/") || strings.HasPrefix(word, tree.Dir) {
			continue
		}
		data, err := os.ReadFile(word)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, word), data, 0o755)
	}
	Write(t, root, "/dev/null", "")
	Write(t, root, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n")
	Write(t, root, "/etc/group", "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n")
	return root
}

// Command runs a program of a root, and in it.
func Command(root, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/"
	return cmd
}

// Write makes a file of a root.
func Write(t testing.TB, root, name, text string) {
	t.Helper()
	write(t, filepath.Join(root, name), []byte(text), 0o644)
}

func write(t testing.TB, name string, data []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, mode); err != nil {
		t.Fatal(err)
	}
}
