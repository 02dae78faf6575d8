package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/sandbox"
)

// TestMain moves the tests into the sandbox's namespaces, as a bake does, so
// that they mean the same for root and for an ordinary user.
func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// hostRoot is an overlay over the host's own files: a root that has a shell
// and may be written to.
func hostRoot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var lower []string
	target := filepath.Join(dir, "root")
	for _, d := range []string{"upper", "work", "root", "skeleton"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	skeleton := filepath.Join(dir, "skeleton")
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(skeleton, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"usr", "tmp", "etc"} {
		if err := os.Mkdir(filepath.Join(skeleton, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lower = append(lower, skeleton)
	unmount, err := sandbox.Overlay(lower, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return target
}

func shell(t *testing.T, root, script string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := sandbox.Run(context.Background(), sandbox.Spec{
		Root:   root,
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", ReadOnly: true}},
		Args:   []string{"sh", "-c", script},
		Env:    []string{"PATH=/usr/sbin:/usr/bin"},
		Stdout: &out, Stderr: &out,
	})
	return out.String(), err
}

func TestWhatACommandSees(t *testing.T) {
	root := hostRoot(t)
	for _, tc := range []struct{ name, script, want string }{
		{"host name", "cat /proc/sys/kernel/hostname", "localhost\n"},
		{"uid", "id -u", "0\n"},
		{"it is the first process", "echo $$", "1\n"},
		{"only a loopback interface", "ls /proc/sys/net/ipv4/conf | tr '\\n' ' '", "all default lo "},
		{"environment", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL=", "PATH=/usr/sbin:/usr/bin\n"},
		{"umask", "umask", "0022\n"},
		{"nodes", "echo x > /dev/null && head -c 2 /dev/zero | wc -c", "2\n"},
		{"an empty /sys", "ls -A /sys | wc -l", "0\n"},
		{"no device nodes", "mknod /tmp/n b 7 0 2>/dev/null || echo refused", "refused\n"},
		{"no mounts", "mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused\n"},
		{"no kernel settings", "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo refused", "refused\n"},
		{"read-only mounts", "touch /usr/x 2>/dev/null || echo refused", "refused\n"},
		// Which a device refuses to a program whose flushes are real.
		{"nothing waits for the disk", "sync /dev/null && echo skipped", "skipped\n"},
		{"owners can be changed", "touch /tmp/f && chown 33:33 /tmp/f && stat -c %u:%g /tmp/f", "33:33\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := shell(t, root, tc.script)
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	_, err := shell(t, hostRoot(t), "exit 7")
	var exit *sandbox.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Fatalf("got %v", err)
	}
}

func TestMissingCommandIsNamed(t *testing.T) {
	err := sandbox.Run(context.Background(), sandbox.Spec{Root: hostRoot(t), Args: []string{"no-such-command"}, Env: []string{"PATH=/usr/bin"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Fatalf("got %v", err)
	}
}

func TestCancelKillsEverything(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	marker := fmt.Sprintf("%d.25", 100000+os.Getpid())
	root := hostRoot(t)
	err := sandbox.Run(ctx, sandbox.Spec{
		Root:   root,
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", ReadOnly: true}},
		Args:   []string{"sh", "-c", "setsid sleep " + marker + " & setsid sleep " + marker},
		Env:    []string{"PATH=/usr/bin"},
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	out, _ := exec.Command("pgrep", "-f", "sleep "+marker).Output()
	if len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("processes outlived the sandbox: %s", out)
	}
}

func TestAMountPointIsNeverFollowedOutside(t *testing.T) {
	root := hostRoot(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	_, err := shell(t, root, "true")
	if err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Fatalf("got %v", err)
	}
}

// TestMountsStayInside enters from a namespace that shares its mounts, as those
// of systemd do.
func TestMountsStayInside(t *testing.T) {
	if os.Getenv("IMGBUILD_TEST_SHARED") != "" {
		info, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(info)) {
			if strings.Contains(line, " shared:") {
				t.Errorf("a mount is shared with the outside: %s", line)
			}
		}
		return
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "shared", os.Args[0], "-test.run", "^TestMountsStayInside$")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "IMGBUILD_SANDBOX_ENTERED=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "IMGBUILD_TEST_SHARED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
