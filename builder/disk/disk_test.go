package disk_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"imgbuild/builder/host"
	"imgbuild/builder/sandbox"
)

// toolsRoots makes each suite's tools root at most once for all tests.
type toolsRoots struct {
	dir    string
	suites map[string]func() error
}

var tools toolsRoots

func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "imgbuild-tools-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tools = toolsRoots{dir: dir, suites: map[string]func() error{}}
	for _, suite := range []string{"bookworm", "trixie"} {
		tools.suites[suite] = sync.OnceValue(func() error { return extract(suite, filepath.Join(dir, suite)) })
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// toolsRoot gives a directory with the packages named in the package comment,
// extracted and not configured.
func toolsRoot(t *testing.T, suite string) string {
	t.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("mmdebstrap, which extracts the tools, is not installed")
	}
	if err := tools.suites[suite](); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(tools.dir, suite)
}

func extract(suite, dir string) error {
	sources, err := host.AptSources()
	if err != nil {
		return err
	}
	mirror, err := sources.Mirror(host.ArchiveDebian, suite)
	if err != nil {
		return err
	}
	packages := "e2fsprogs,dosfstools,mtools,grub-common,grub2-common,grub-pc-bin,grub-efi-amd64-signed,shim-signed"
	cmd := exec.Command("mmdebstrap", "--quiet", "--mode=root", "--variant=extract", "--include="+packages,
		"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", suite, dir, mirror)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	return nil
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
