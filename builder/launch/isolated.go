package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/sandbox"
	"imgbuild/images/fault"
)

// isolatedScript gives podman a view of its own and stays until its standard
// input ends: the processes of its PID namespace, locks that no other podman
// holds, and one version of cgroups, where crun refuses a mixture. An ordinary
// user may not take mounts away that were there before, but cover them.
const isolatedScript = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
if [ -d /sys/fs/cgroup/unified ]; then
  umount -R -l /sys/fs/cgroup 2>/dev/null && mount -t cgroup2 cgroup2 /sys/fs/cgroup || mount -t tmpfs tmpfs /sys/fs/cgroup
fi
echo ready
cat >/dev/null`

// ownAddress is the container's address on an isolated network, of those that
// are for documentation (RFC 5737): what listens on loopback addresses only does
// not answer there.
const ownAddress = "203.0.113.1"

// isolate makes the namespaces in which podman and the container run, and which
// end with this program.
func (c *Container) isolate(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fault.Failedf("a container on an isolated network takes uid 0 of a user namespace").WithHint("enter one first (sandbox.Enter)")
	}
	for _, program := range []string{"nsenter", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return missing(program, "util-linux mount")
		}
	}
	if err := os.Mkdir(c.runtimeDir(), 0o700); err != nil {
		return err
	}
	hold, holding, err := os.Pipe()
	if err != nil {
		return err
	}
	defer hold.Close()
	ready, say, err := os.Pipe()
	if err != nil {
		return errors.Join(err, holding.Close())
	}
	defer ready.Close()
	cmd := exec.CommandContext(ctx, "sh", "-c", isolatedScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = hold, say, c.words
	cmd.WaitDelay = time.Second
	c.holder, err = start(cmd, "dash")
	say.Close()
	if err != nil {
		return errors.Join(err, holding.Close())
	}
	c.stdin = append(c.stdin, holding)
	if _, err := io.ReadFull(ready, make([]byte, len("ready\n"))); err != nil {
		return c.Explain(fmt.Errorf("making namespaces: %w", err))
	}
	return nil
}

// attend runs podman with the container attached to it. Its standard input
// stays open and silent, so that a shell waits for somebody to type.
func (c *Container) attend(ctx context.Context, args []string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	c.stdin = append(c.stdin, write)
	cmd := c.beside(ctx, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = read, c.output, c.output
	c.process, err = start(cmd, podmanPackages)
	return err
}

// runIsolated runs podman on a network that has nothing but a loopback device.
func (c *Container) runIsolated(ctx context.Context, podman, image string) error {
	limits, err := limits()
	if err != nil {
		return err
	}
	args := append(c.podman(podman), "run", "--quiet", "--interactive", "--pidfile", c.pidFile(), "--name", c.name,
		"--log-driver", "none", "--network", "none", "--cgroups", "disabled")
	if sandbox.Rootless() {
		// A profile would be the whole machine's to load.
		args = append(args, "--security-opt", "apparmor=unconfined")
	}
	return c.attend(ctx, append(append(args, limits...), image))
}

// Restart stops the container as its image wants to be stopped, for at most
// patience, and starts the same one again: what it wrote is still there. It is
// for isolated containers.
func (c *Container) Restart(ctx context.Context, patience time.Duration) error {
	stop := append(c.podman("podman"), "stop", "--time", strconv.Itoa(int(patience.Seconds())), c.name)
	if out, err := c.beside(ctx, stop).CombinedOutput(); err != nil {
		return fmt.Errorf("stopping the container: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := c.process.wait(ctx); err != nil {
		return fmt.Errorf("stopping the container: %w", err)
	}
	// The runtime's notes of what has ended may be left, and it would refuse to
	// start what it takes for running.
	notes, err := os.ReadDir(c.runtimeDir())
	if err != nil {
		return fmt.Errorf("starting the container again: %w", err)
	}
	for _, note := range notes {
		if err := os.RemoveAll(filepath.Join(c.runtimeDir(), note.Name())); err != nil {
			return fmt.Errorf("starting the container again: %w", err)
		}
	}
	if err := os.Remove(c.pidFile()); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("starting the container again: %w", err)
	}
	if err := c.attend(ctx, append(c.podman("podman"), "start", "--attach", "--interactive", c.name)); err != nil {
		return fmt.Errorf("starting the container again: %w", err)
	}
	return c.WaitStarted(ctx)
}

// proc is a file of /proc of the container's first process.
func (c *Container) proc(name string) (string, error) {
	text, err := os.ReadFile(c.pidFile())
	if err != nil {
		return "", fmt.Errorf("finding the container's process: %w", err)
	}
	pid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 31)
	if err != nil {
		return "", fmt.Errorf("finding the container's process: %w", err)
	}
	if os.Geteuid() != 0 {
		return fmt.Sprintf("/proc/%d/%s", pid, name), nil
	}
	return fmt.Sprintf("/proc/%d/root/proc/%d/%s", c.namespaces().cmd.Process.Pid, pid, name), nil
}

// maxTable is how much of a file of /proc is read, in bytes.
const maxTable = 4 << 20

// Proc reads a file of /proc of the container's first process, such as net/tcp.
func (c *Container) Proc(name string) (string, error) {
	path, err := c.proc(name)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTable+1))
	if err == nil && len(text) > maxTable {
		err = fmt.Errorf("%s has more than %d bytes", name, maxTable)
	}
	return string(text), err
}

// Owner names the processes of the container that have a socket open, by its
// inode; it is empty when none is seen.
func (c *Container) Owner(inode string) []string {
	proc := "/proc"
	if os.Geteuid() == 0 {
		proc = fmt.Sprintf("/proc/%d/root/proc", c.namespaces().cmd.Process.Pid)
	}
	open, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return nil
	}
	var names []string
	for _, link := range open {
		if to, err := os.Readlink(link); err != nil || to != "socket:["+inode+"]" {
			continue
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(link)), "comm"))
		if err == nil {
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Inside runs do on a thread that is in the network of the container: the
// sockets that it opens are the container's. The caller is uid 0.
func (c *Container) Inside(do func() error) error {
	path, err := c.proc("ns/net")
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		done <- func() error {
			network, err := os.Open(path)
			if err != nil {
				return fmt.Errorf("entering the container's network: %w", err)
			}
			defer network.Close()
			if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("entering the container's network: %w", err)
			}
			return do()
		}()
	}()
	return <-done
}

// Dial connects to a TCP port of the container: to where it is published, or,
// on an isolated network, to its own address there.
func (c *Container) Dial(ctx context.Context, port int) (conn net.Conn, err error) {
	var d net.Dialer
	if c.holder == nil {
		return d.DialContext(ctx, "tcp", c.Address(port))
	}
	err = c.Inside(func() error {
		if err := addAddress(); err != nil {
			return err
		}
		conn, err = d.DialContext(ctx, "tcp4", c.Address(port))
		return err
	})
	return conn, err
}

// addAddress gives ownAddress to the loopback device of the network that the
// thread is in; once more changes nothing (netdevice(7)).
func addAddress() error {
	fail := func(err error) error { return fmt.Errorf("giving the container an address: %w", err) }
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(socket)
	for _, set := range []struct {
		request uint
		address string
	}{{unix.SIOCSIFADDR, ownAddress}, {unix.SIOCSIFNETMASK, "255.255.255.255"}} {
		ifreq, err := unix.NewIfreq("lo:trial")
		if err != nil {
			return fail(err)
		}
		if err := ifreq.SetInet4Addr(net.ParseIP(set.address).To4()); err != nil {
			return fail(err)
		}
		if err := unix.IoctlIfreq(socket, set.request, ifreq); err != nil {
			return fail(err)
		}
	}
	return nil
}
