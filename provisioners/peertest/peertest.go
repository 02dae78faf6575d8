// Package peertest puts a program of Debian's into a root directory of its own,
// for tests that compare with it: nothing is installed on the machine, and the
// program sees only the files that the test gives it. It is for tests alone.
package peertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Make unpacks packages of this machine's release into a new directory and adds
// the libraries that the program is linked with. Where that cannot be done, the
// test is skipped.
func Make(t *testing.T, program string, packages ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("running a program in a root directory takes root")
	}
	root, archives := t.TempDir(), t.TempDir()
	download := exec.Command("apt-get", append([]string{"download", "-q", "-o", "APT::Sandbox::User=root"}, packages...)...)
	download.Dir = archives
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("apt-get cannot download the peer, %v: %v: %s", packages, err, out)
	}
	files, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if out, err := exec.Command("dpkg-deb", "-x", file, root).CombinedOutput(); err != nil {
			t.Skipf("dpkg-deb: %v: %s", err, out)
		}
	}
	var dirs []string
	for _, pattern := range []string{"lib/*/*.so.*", "usr/lib/*/*.so.*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			dirs = append(dirs, filepath.Dir(name))
		}
	}
	ldd := exec.Command("ldd", filepath.Join(root, program))
	ldd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(slices.Compact(dirs), ":"))
	out, err := ldd.Output()
	if err != nil {
		t.Skipf("ldd: %v", err)
	}
	for _, word := range strings.Fields(string(out)) {
		if !strings.HasPrefix(word, "/") || strings.HasPrefix(word, root) {
			continue
		}
		data, err := os.ReadFile(word)
		if err != nil {
			t.Skipf("a library of the peer: %v", err)
		}
		to := filepath.Join(root, word)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	Write(t, root, "/dev/null", "")
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
func Write(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
