package launch_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/fault"
)

// layout makes an OCI layout with an image of busybox's web server.
func layout(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"podman", "umoci", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"umoci", "init", "--layout", "layout"},
		{"umoci", "new", "--image", "layout:web"},
		{"umoci", "unpack", "--image", "layout:web", "bundle"},
		{"mkdir", "-p", "bundle/rootfs/bin", "bundle/rootfs/www"},
		{"sh", "-c", "cp $(command -v busybox) bundle/rootfs/bin/busybox && echo hello > bundle/rootfs/www/index.html"},
		{"umoci", "repack", "--image", "layout:web", "bundle"},
		{"umoci", "config", "--image", "layout:web", "--config.cmd", "/bin/busybox", "--config.cmd", "httpd",
			"--config.cmd", "-f", "--config.cmd", "-h", "--config.cmd", "/www"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return filepath.Join(dir, "layout")
}

func TestAContainerAnswersAndLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	var said bytes.Buffer
	c, err := launch.StartContainer(ctx, launch.ContainerSpec{
		Layout: layout(t), Reference: "web", Dir: dir, Ports: map[int]int{80: 0}, Output: &said,
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := c.WaitHTTP(ctx, 80, "/", http.StatusOK)
	if err != nil {
		t.Error(err)
	}
	if string(body) != "hello\n" {
		t.Errorf("got %q", body)
	}
	port := c.Ports[80]
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
	if port == 0 {
		t.Error("no port was chosen")
	}
	if out, err := exec.Command("pgrep", "-f", dir).Output(); err == nil {
		t.Errorf("processes are left: %s", out)
	}
}

func TestAnImageThatIsNotThereIsNamed(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("podman is not installed")
	}
	c, err := launch.StartContainer(ctx, launch.ContainerSpec{Layout: t.TempDir(), Reference: "none", Ports: map[int]int{80: 0}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WaitHTTP(ctx, 80, "/", http.StatusOK); err == nil || !strings.Contains(err.Error(), "index.json") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingProgramHasItsCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := launch.StartContainer(context.Background(), launch.ContainerSpec{})
	if err == nil || !strings.Contains(fault.HintOf(err), "apt-get install") || !strings.Contains(fault.HintOf(err), "podman") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}
