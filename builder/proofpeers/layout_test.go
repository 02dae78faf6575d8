package proofpeers_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/builder/sandbox"
	"imgbuild/images/peertest"
)

// command runs a program that has to succeed and returns its standard output.
func command(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, &said)
	}
	return strings.TrimSpace(string(out))
}

// inspected is what skopeo inspect says.
type inspected struct {
	Digest, Os, Architecture string
	Layers                   []string
}

func inspect(t *testing.T, args ...string) inspected {
	t.Helper()
	var seen inspected
	if err := json.Unmarshal([]byte(command(t, "skopeo", append([]string{"inspect"}, args...)...)), &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestSkopeoTakesTheContainerFromTheLayout(t *testing.T) {
	peertest.Need(t, "skopeo")
	t.Parallel()
	h := theHouse(t)
	p := h.copy(t)
	p.must(t, "images", "promote", h.web.Version, "released")
	copies := newDir(t)
	for name, want := range map[string]string{h.web.number(): h.web.Container, "released": h.web.Container, h.newer.number(): h.newer.Container} {
		from := "oci:" + p.layout("peer-web") + ":" + name
		seen := inspect(t, from)
		if seen.Os != "linux" || seen.Architecture != "amd64" || len(seen.Layers) < 3 {
			t.Errorf("%s: skopeo inspects %s %s, %d layers", name, seen.Os, seen.Architecture, len(seen.Layers))
		}
		to := "oci:" + filepath.Join(copies, name) + ":x"
		command(t, "skopeo", "copy", "--quiet", from, to)
		if got := inspect(t, to).Digest; got != want {
			t.Errorf("%s: skopeo copied %s, the container is %s", name, got, want)
		}
	}
}

func TestPodmanRunsAVersionOfTheLayout(t *testing.T) {
	peertest.Need(t, "podman")
	t.Parallel()
	h := theHouse(t)
	skipRootless(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := launch.StartContainer(ctx, launch.ContainerSpec{
		Layout: h.at(h.catalog).layout("peer-web"), Reference: h.newer.number(), Dir: newDir(t), Ports: map[int]int{80: 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := c.WaitHTTP(ctx, 80, "/", http.StatusOK)
	if err != nil || string(body) != "hello again\n" {
		t.Errorf("nginx answers %q, %v", body, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// skipRootless skips what only the machine's own root may do.
func skipRootless(t *testing.T) {
	t.Helper()
	if sandbox.Rootless() {
		t.Skip("containers are not run inside the tests' user namespace")
	}
}

func TestUmociUnpacksTheSealedRootAndCrunRunsIt(t *testing.T) {
	peertest.Need(t, "umoci")
	t.Parallel()
	h := theHouse(t)
	dir := newDir(t)
	exported, bundle := filepath.Join(dir, "gzip"), filepath.Join(dir, "bundle")
	p := h.at(h.catalog)
	p.must(t, "images", "export", h.web.Version, exported, "--form", "oci-gzip")
	command(t, "umoci", "unpack", "--image", exported+":"+h.web.number(), bundle)
	want, got := maps.Clone(h.sealed(t, h.web)), describe(t, filepath.Join(bundle, "rootfs"))
	// Layers have no entry of the root directory itself, so that who unpacks
	// them sets its time.
	want[""], _, _ = strings.Cut(want[""], " mtime")
	got[""], _, _ = strings.Cut(got[""], " mtime")
	sameTree(t, want, got)
	t.Run("mtree", func(t *testing.T) { p.believedByMtree(t, h.web, filepath.Join(bundle, "rootfs")) })
	t.Run("crun", func(t *testing.T) { crunServes(t, bundle) })
}

// crunServes runs umoci's bundle in a network namespace of its own, in which
// the web server has to answer.
func crunServes(t *testing.T, bundle string) {
	peertest.Need(t, "crun", "curl", "ip")
	skipRootless(t)
	editSpec(t, filepath.Join(bundle, "config.json"))
	// crun refuses a host that mixes both versions of cgroups.
	const script = `set -e
mount --make-rprivate /
mount -t proc proc /proc
if [ -d /sys/fs/cgroup/unified ]; then
  umount -R -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
ip link set lo up
crun --root "$1/crun" --cgroup-manager=disabled run --bundle "$1" peer >"$1/said" 2>&1 &
while kill -0 $! 2>/dev/null; do
  if curl --silent --fail http://127.0.0.1/; then kill -QUIT $!; exit 0; fi
  sleep 0.2
done
cat "$1/said" >&2
exit 1`
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script, "sh", bundle)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	cmd.WaitDelay = time.Second
	var said strings.Builder
	cmd.Stderr = &said
	body, err := cmd.Output()
	if err != nil || string(body) != "hello\n" {
		t.Errorf("nginx answers %q, %v\n%s", body, err, &said)
	}
}

// editSpec lets the bundle's container share the network of who runs it, and
// not ask for a terminal.
func editSpec(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	process, linux := spec["process"].(map[string]any), spec["linux"].(map[string]any)
	process["terminal"] = false
	delete(process, "rlimits")
	// umoci's own default leaves out what podman's has: a server that starts as
	// root gives its files and processes to another user.
	capabilities := map[string]any{}
	for _, set := range []string{"bounding", "effective", "permitted"} {
		capabilities[set] = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"}
	}
	process["capabilities"] = capabilities
	var namespaces []any
	for _, n := range linux["namespaces"].([]any) {
		if n.(map[string]any)["type"] != "network" {
			namespaces = append(namespaces, n)
		}
	}
	linux["namespaces"] = namespaces
	if text, err = json.Marshal(spec); err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
