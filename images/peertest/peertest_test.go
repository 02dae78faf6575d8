package peertest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"imgbuild/images/peertest"
)

// small is a package of a few kilobytes.
const small, program = "hostname", "bin/hostname"

// inside tells a process that TestTwoAtOnce has started it.
const inside = "IMGBUILD_PEERTEST"

// TestTwoAtOnce starts processes where nothing is kept yet: both get the same
// whole tree, and what is left is that tree.
func TestTwoAtOnce(t *testing.T) {
	if os.Getenv(inside) != "" {
		tree := peertest.Unpack(t, small)
		data, err := os.ReadFile(tree.Path(program))
		if err != nil || len(data) == 0 {
			t.Fatalf("%s: %d bytes, %v", program, len(data), err)
		}
		if _, err := os.Stdout.WriteString("tree " + tree.Dir + "\n"); err != nil {
			t.Fatal(err)
		}
		return
	}
	peertest.Unpack(t, small) // or skips
	temp := t.TempDir()
	var all sync.WaitGroup
	trees := make([]string, 2)
	for i := range trees {
		all.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTwoAtOnce$", "-test.v")
			cmd.Env = append(os.Environ(), inside+"=1", "TMPDIR="+temp)
			out, err := cmd.CombinedOutput()
			_, tree, ok := bytes.Cut(out, []byte("tree "))
			if err != nil || !ok {
				t.Errorf("%v: %s", err, out)
				return
			}
			trees[i], _, _ = strings.Cut(string(tree), "\n")
		})
	}
	all.Wait()
	for _, tree := range trees {
		if tree != trees[0] || !strings.HasPrefix(tree, temp) {
			t.Fatalf("the trees are %q", trees)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(trees[0]), "*-*"))
	if err != nil || len(left) != 1 {
		t.Errorf("%q are left, %v", left, err)
	}
}

// TestCommandRunsThePackagesProgram with files of the machine, and that of a
// root without them.
func TestCommandRunsThePackagesProgram(t *testing.T) {
	name := filepath.Join(t.TempDir(), "name")
	if err := os.WriteFile(name, []byte("peer\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := peertest.Unpack(t, small).Command(program, "-F", "/nowhere").CombinedOutput()
	if !strings.Contains(string(out), "No such file") {
		t.Errorf("outside it says %q", out)
	}
	root := peertest.Root(t, []string{small}, "/"+program)
	out, _ = peertest.Command(root, "/"+program, "-F", name).CombinedOutput()
	if !strings.Contains(string(out), "No such file") {
		t.Errorf("a program in a root sees the machine's files, or does not run: %q", out)
	}
}
