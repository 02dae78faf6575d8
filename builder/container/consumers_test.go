package container_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/container"
	"imgbuild/images/catalog"
)

// need skips a test where a program is missing or the user may not run it.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("unpacking images with foreign owners needs uid 0")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, &said)
	}
	return strings.TrimSpace(string(out))
}

// commit builds the house's container into a catalog beside a disk.
func commit(t *testing.T, h *house) (dir string, c *catalog.Catalog, v *catalog.Version) {
	t.Helper()
	ctx := context.Background()
	dir = shortDir(t)
	c, err := catalog.Open(ctx, catalog.Config{Location: dir})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Begin(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := container.Build(ctx, h.spec(t), d)
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := os.WriteFile(disk, []byte("QFI\xfb"), 0o644); err != nil {
		t.Fatal(err)
	}
	qcow2, err := d.AddDisk(ctx, "qcow2", "amd64", disk)
	if err != nil {
		t.Fatal(err)
	}
	v, err = d.Commit(ctx, catalog.New{
		Container: &r.Manifest, Disks: []catalog.Disk{qcow2}, Baked: time.Unix(epoch, 0),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir, c, v
}

// shortDir makes a directory with a short name in lower case: podman takes
// neither a long storage nor upper case in oci:PATH.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "img")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// podman runs podman with a storage of its own.
func podman(t *testing.T) func(args ...string) string {
	t.Helper()
	dir := shortDir(t)
	prefix := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "none"}
	return func(args ...string) string {
		t.Helper()
		return run(t, "podman", append(prefix[:len(prefix):len(prefix)], args...)...)
	}
}

func TestSkopeoTakesTheContainerNeverADisk(t *testing.T) {
	need(t, "skopeo")
	h := build(t, 6, -1)
	dir, _, v := commit(t, h)
	from := "oci:" + filepath.Join(dir, "web") + ":" + v.Number
	var seen struct {
		Os, Architecture string
		Labels           map[string]string
		Layers           []string
	}
	if err := json.Unmarshal([]byte(run(t, "skopeo", "inspect", from)), &seen); err != nil {
		t.Fatal(err)
	}
	if seen.Os != "linux" || seen.Architecture != "amd64" || seen.Labels["org.opencontainers.image.title"] != "web" || len(seen.Layers) < 3 {
		t.Errorf("skopeo inspect: got %+v", seen)
	}
	to := filepath.Join(t.TempDir(), "copy")
	run(t, "skopeo", "copy", from, "oci:"+to+":x")
	got := run(t, "skopeo", "inspect", "--format", "{{.Digest}}", "oci:"+to+":x")
	if got != v.Container.Digest.String() {
		t.Errorf("skopeo copied %s, the container is %s", got, v.Container.Digest)
	}
}

func TestPodmanUnpacksTheSameTree(t *testing.T) {
	need(t, "podman")
	t.Parallel()
	h := build(t, 6, -1)
	dir, _, v := commit(t, h)
	pod := podman(t)
	id := lastLine(pod("pull", "--quiet", "oci:"+filepath.Join(dir, "web")+":"+v.Number))
	root := pod("image", "mount", id)
	sameTree(t, h.entries(t), walk(t, root))
	if got := pod("image", "inspect", "--format", "{{.Config.StopSignal}} {{.Config.Entrypoint}} {{.User}}", id); got != "SIGQUIT [/usr/sbin/nginx] 0:0" {
		t.Errorf("configuration: got %q", got)
	}
	pod("image", "umount", id)
}

func TestExportsUnpackToTheSameTree(t *testing.T) {
	need(t, "podman", "umoci")
	t.Parallel()
	ctx := context.Background()
	h := build(t, 6, -1)
	_, c, v := commit(t, h)
	out := shortDir(t)
	for _, form := range catalog.Forms() {
		if err := c.ExportContainer(ctx, v, form, filepath.Join(out, string(form))); err != nil {
			t.Fatal(err)
		}
	}
	bundle := filepath.Join(out, "bundle")
	run(t, "umoci", "unpack", "--image", filepath.Join(out, "oci-gzip")+":"+v.Number, bundle)
	sameTree(t, h.entries(t), walk(t, filepath.Join(bundle, "rootfs")))
	for _, from := range []string{
		"oci:" + filepath.Join(out, "oci"), "oci-archive:" + filepath.Join(out, "oci-archive"),
		"oci-archive:" + filepath.Join(out, "oci-archive-gzip"), "docker-archive:" + filepath.Join(out, "docker-archive"),
	} {
		pod := podman(t)
		id := lastLine(pod("pull", "--quiet", from))
		sameTree(t, h.entries(t), walk(t, pod("image", "mount", id)))
		pod("image", "umount", id)
	}
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }
