package launch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ContainerSpec describes a container to be tried.
type ContainerSpec struct {
	// Layout is the directory of an OCI image layout, Reference a name in it.
	Layout, Reference string
	// Dir gets podman's storage, in a directory of its own that Close removes;
	// empty means the system's temporary directory.
	Dir string
	// Ports maps TCP ports of the container to ports of 127.0.0.1; 0 chooses one.
	Ports map[int]int
	// Output gets what the container writes; it may be nil.
	Output io.Writer
	// Network is Open when empty. On an isolated one no port is published: Dial
	// reaches the container, and the caller is uid 0, be it in a user namespace.
	Network Network
}

// Container is a running container.
type Container struct {
	// Ports maps the container's ports to those of 127.0.0.1.
	Ports map[int]int

	name, dir string
	// short holds what podman wants to have a short path in lower case: its run
	// directory, and a link to the layout, after which it names the image.
	short string
	// process is podman with the container attached. On an isolated network
	// holder keeps the namespaces of both, and stdin what both read from.
	process, holder *process
	stdin           []*os.File
	words           *lastWords
	output          io.Writer
}

// shortPrefix begins the paths of short directories; shortLink leads to its own
// from the container's directory, for those who clean up after a killed run.
const (
	shortPrefix = "/tmp/imgbuild-"
	shortLink   = "short"
)

// podmanPackages are the Debian packages that containers need.
const podmanPackages = "podman crun slirp4netns"

// rootScript gives podman a view of its own before it becomes podman: the
// processes of its PID namespace, and, where the host mixes both versions of
// cgroups, which crun refuses, the newer one alone.
const rootScript = `set -e
mount --make-rprivate /
mount -t proc proc /proc
if [ -d /sys/fs/cgroup/unified ]; then
  umount -R -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
exec "$@"`

// StartContainer runs an image and returns once podman has been started;
// WaitStarted and WaitHTTP tell how far it has come. The caller closes it.
// Podman keeps its storage in a directory of its own, so the user's images are
// not touched. For root all of it runs in one PID namespace and ends with this
// program.
func StartContainer(ctx context.Context, s ContainerSpec) (c *Container, err error) {
	podman, err := exec.LookPath("podman")
	if err != nil {
		return nil, missing("podman", podmanPackages)
	}
	layout, err := filepath.Abs(s.Layout)
	if err != nil {
		return nil, fmt.Errorf("starting a container: %w", err)
	}
	c = &Container{name: randomName(), words: &lastWords{}, Ports: map[int]int{}}
	c.output = c.words
	if s.Output != nil {
		c.output = io.MultiWriter(s.Output, c.words)
	}
	if s.Network != Isolated {
		if c.Ports, err = publish(s.Ports); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(s.Dir, "imgbuild-container-")
	if err != nil {
		return nil, fmt.Errorf("starting a container: %w", err)
	}
	short, err := os.MkdirTemp(filepath.Dir(shortPrefix), filepath.Base(shortPrefix))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a container: %w", err), os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir), os.RemoveAll(short))
		}
	}()
	c.dir, c.short = dir, short
	link := filepath.Join(c.short, "layout")
	if err := errors.Join(os.Symlink(layout, link), os.Symlink(short, filepath.Join(dir, shortLink))); err != nil {
		return nil, fmt.Errorf("starting a container: %w", err)
	}
	image := "oci:" + link + ":" + s.Reference
	if s.Network == Isolated {
		err := c.isolate(ctx)
		if err == nil {
			err = c.runIsolated(ctx, podman, image)
		}
		if err != nil {
			c.end()
			return nil, fmt.Errorf("starting a container: %w", err)
		}
		return c, nil
	}
	if err := c.runOpen(ctx, podman, image); err != nil {
		return nil, fmt.Errorf("starting a container: %w", err)
	}
	return c, nil
}

// runOpen runs podman with a network that needs no privileges.
func (c *Container) runOpen(ctx context.Context, podman, image string) (err error) {
	args := append(c.podman(podman), "run", "--rm", "--quiet", "--pidfile", c.pidFile(), "--name", c.name, "--log-driver", "none")
	if network := userNetwork(); network != "" {
		args = append(args, "--network", network)
	}
	for inside, outside := range c.Ports {
		args = append(args, "--publish", fmt.Sprintf("%s:%d:%d/tcp", loopback, outside, inside))
	}
	if mixedCgroups() {
		args = append(args, "--cgroups", "disabled")
	}
	limits, err := limits()
	if err != nil {
		return err
	}
	args = append(append(args, limits...), image)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if os.Geteuid() == 0 {
		cmd = exec.CommandContext(ctx, "sh", append([]string{"-c", rootScript, "sh"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	}
	cmd.WaitDelay = time.Second
	cmd.Stdout, cmd.Stderr = c.output, c.output
	c.process, err = start(cmd, podmanPackages)
	return err
}

// namespaces is the process that has those in which root's podman runs.
func (c *Container) namespaces() *process {
	if c.holder != nil {
		return c.holder
	}
	return c.process
}

// beside is a command that sees what podman sees: for root, that is the mounts
// and processes which rootScript or isolatedScript made.
func (c *Container) beside(ctx context.Context, args []string) *exec.Cmd {
	if os.Geteuid() == 0 {
		args = append([]string{"nsenter", "--target", fmt.Sprint(c.namespaces().cmd.Process.Pid), "--mount", "--pid", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	return cmd
}

func (c *Container) podman(program string) []string {
	args := []string{
		program, "--log-level", "error", "--events-backend", "none", "--root", filepath.Join(c.dir, "storage"),
		"--runroot", filepath.Join(c.short, "run"), "--tmpdir", filepath.Join(c.short, "tmp"),
	}
	if os.Geteuid() == 0 {
		args = append(args, "--cgroup-manager", "cgroupfs")
	}
	if c.holder != nil {
		args = append(args, "--runtime-flag", "root="+c.runtimeDir())
	}
	return args
}

// runtimeDir is where the runtime of an isolated container keeps its notes.
func (c *Container) runtimeDir() string { return filepath.Join(c.short, "runtime") }

func randomName() string {
	id := make([]byte, 6)
	rand.Read(id) // never fails (crypto/rand)
	return "imgbuild-" + hex.EncodeToString(id)
}

// userNetwork is podman's mode for a network without privileges, which needs no
// bridge, firewall or daemon of the host: the first one that is installed.
// Empty leaves the choice to podman.
func userNetwork() string {
	for _, mode := range []string{"pasta", "slirp4netns"} {
		if _, err := exec.LookPath(mode); err == nil {
			return mode
		}
	}
	return ""
}

// mixedCgroups reports whether both versions of cgroups are mounted, as
// rootScript asks: a container then lives without a cgroup of its own.
func mixedCgroups() bool {
	_, err := os.Stat("/sys/fs/cgroup/unified")
	return err == nil
}

// limits keeps podman from asking for more open files and processes than this
// program may have, which fails for a root that lacks CAP_SYS_RESOURCE.
func limits() ([]string, error) {
	var args []string
	for _, l := range []struct {
		name     string
		resource int
		most     uint64
	}{{"nofile", unix.RLIMIT_NOFILE, 1 << 20}, {"nproc", unix.RLIMIT_NPROC, 1 << 15}} {
		var r unix.Rlimit
		if err := unix.Getrlimit(l.resource, &r); err != nil {
			return nil, fmt.Errorf("reading the limit %s: %w", l.name, err)
		}
		n := min(r.Max, l.most)
		args = append(args, "--ulimit", fmt.Sprintf("%s=%d:%d", l.name, n, n))
	}
	return args, nil
}

// pidFile is written by podman when it has started the container.
func (c *Container) pidFile() string { return filepath.Join(c.short, "pid") }

// WaitStarted waits until the image has been unpacked and its process started.
func (c *Container) WaitStarted(ctx context.Context) error {
	err := Until(ctx, c.Ended(), func() error {
		_, err := os.Stat(c.pidFile())
		return err
	})
	if err != nil {
		return c.Explain(fmt.Errorf("starting a container: %w", err))
	}
	return nil
}

// Ended is closed when the container no longer runs.
func (c *Container) Ended() <-chan struct{} { return c.process.done }

// Address is where a published port of the container answers; on an isolated
// network, where any port does inside (see Dial). Servers may look at it: it is in
// every request for a page.
func (c *Container) Address(port int) string {
	if c.holder != nil {
		return fmt.Sprintf("%s:%d", ownAddress, port)
	}
	return fmt.Sprintf("%s:%d", loopback, c.Ports[port])
}

// WaitHTTP waits until the container answers path on a port with status.
func (c *Container) WaitHTTP(ctx context.Context, port int, path string, status int) ([]byte, error) {
	body, err := WaitHTTP(ctx, c.Ended(), "http://"+c.Address(port)+path, status)
	return body, c.Explain(err)
}

// Explain adds what the container said last to an error.
func (c *Container) Explain(err error) error {
	if words := c.words.String(); err != nil && words != "" {
		return fmt.Errorf("%w (the container said: %s)", err, words)
	}
	return err
}

// end ends its processes.
func (c *Container) end() {
	for _, f := range c.stdin {
		f.Close() // the holder ends by it, and with its namespace all others
	}
	for _, p := range []*process{c.process, c.holder} {
		if p != nil {
			p.end(3 * time.Second)
		}
	}
}

// Close ends the container and removes its files.
func (c *Container) Close() error {
	c.end()
	if os.Geteuid() != 0 {
		// Its files belong to subordinate ids, which only podman's own user
		// namespace may remove.
		podman := c.podman("podman")
		removed := exec.Command(podman[0], append(podman[1:], "rm", "--all", "--force", "--time", "0")...).Run()
		emptied := exec.Command(podman[0], append(podman[1:], "unshare", "rm", "-rf", c.dir, c.short)...).Run()
		if err := errors.Join(removed, emptied); err != nil {
			return fmt.Errorf("removing the container's files: %w", err)
		}
	}
	if err := errors.Join(os.RemoveAll(c.dir), os.RemoveAll(c.short)); err != nil {
		return fmt.Errorf("removing the container's files: %w", err)
	}
	return nil
}
