package launch_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imgbuild/builder/launch"
)

// TestAnIsolatedContainerIsReachedAndReachesNothing runs the web server on an
// isolated network, restarts it, and sees that it is the same container.
func TestAnIsolatedContainerIsReachedAndReachesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an isolated container takes uid 0")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	c, err := launch.StartContainer(ctx, launch.ContainerSpec{Layout: layout(t), Reference: "web", Dir: dir, Network: launch.Isolated})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WaitStarted(ctx); err != nil {
		t.Fatal(err)
	}
	// What listens on every address answers on the container's own; ask is the
	// first line of an answer.
	ask := func() (answer string) {
		err := launch.Until(ctx, c.Ended(), func() error {
			conn, err := c.Dial(ctx, 80)
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
				return err
			}
			text, err := io.ReadAll(conn)
			answer, _, _ = strings.Cut(string(text), "\r\n")
			return err
		})
		if err != nil {
			t.Error(c.Explain(err))
		}
		return answer
	}
	// A server may look at what it is called by.
	if got := c.Address(80); got != "203.0.113.1:80" {
		t.Errorf("it is asked at %s", got)
	}
	if got := ask(); got != "HTTP/1.0 200 OK" && got != "HTTP/1.1 200 OK" {
		t.Errorf("it answers %q", got)
	}
	if table, err := c.Proc("net/tcp6"); err != nil || !strings.Contains(table, ":0050 ") {
		t.Errorf("%v\n%s", err, table)
	}
	if table, err := c.Proc("net/route"); err != nil || strings.Count(table, "\n") > 1 {
		t.Errorf("a route leads somewhere (%v):\n%s", err, table)
	}
	if out, err := c.Run(ctx, []string{"/bin/busybox", "touch", "/www/kept"}); err != nil {
		t.Error(err, out)
	}
	if err := c.Restart(ctx, time.Second); err != nil {
		t.Fatal(err)
	}
	ask()
	if out, err := c.Run(ctx, []string{"/bin/busybox", "ls", "/www"}); err != nil || !strings.Contains(out, "kept") {
		t.Errorf("it is another container: %q, %v", out, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
	if out, err := exec.Command("pgrep", "-f", dir).Output(); err == nil {
		t.Errorf("processes are left: %s", out)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("something is mounted (%v)", err)
	}
}

// TestAnOrdinaryUsersContainerIsIsolated runs the test above again as uid 0 of a
// user namespace, which is no more than an ordinary user outside.
func TestAnOrdinaryUsersContainerIsIsolated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mapping user ids is root's")
	}
	layout(t) // skips where a program is missing
	const first, count = 1 << 20, 1 << 16
	dir := t.TempDir()
	if err := os.Chown(dir, first, first); err != nil {
		t.Fatal(err)
	}
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: count}}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestAnIsolatedContainerIsReachedAndReachesNothing$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir, "IMGBUILD_SANDBOX_ENTERED=user")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
