package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipes opens the plan and status pipes; the one argument is the number of the
// first, and the second follows it.
func pipes(args []string) (plan, status *os.File, err error) {
	if len(args) != 1 {
		return nil, nil, errors.New("started without its pipes")
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("started without its pipes: %w", err)
	}
	unix.CloseOnExec(fd)
	unix.CloseOnExec(fd + 1)
	return os.NewFile(uintptr(fd), "plan"), os.NewFile(uintptr(fd+1), "status"), nil
}

// begin builds the sandbox that the plan describes and starts its command.
func begin(plan io.Reader) (*os.Process, error) {
	data, err := io.ReadAll(plan)
	if err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	var in instructions
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	hostname := in.Hostname
	if hostname == "" {
		hostname = "localhost"
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return nil, fmt.Errorf("setting the host name: %w", err)
	}
	unix.Umask(0o022)
	if err := mountAll(in); err != nil {
		return nil, err
	}
	dir := in.Dir
	if dir == "" {
		dir = "/"
	}
	if err := os.Chdir(dir); err != nil {
		return nil, err
	}
	if err := filterCalls(); err != nil {
		return nil, err
	}
	if err := dropCapabilities(); err != nil {
		return nil, fmt.Errorf("dropping capabilities: %w", err)
	}
	path, err := lookup(in.Args[0], in.Env)
	if err != nil {
		return nil, err
	}
	return start(path, in)
}

// mountAll builds the view of the file system and moves into it.
func mountAll(in instructions) error {
	if err := makePrivate(); err != nil {
		return err
	}
	if err := unix.Mount(in.Root, in.Root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding the root %s: %w", in.Root, err)
	}
	// A device node of a package is a file here, and no way to a device.
	if err := remount(in.Root, unix.MS_NODEV); err != nil {
		return fmt.Errorf("binding the root %s: %w", in.Root, err)
	}
	if err := mountProc(in.Root); err != nil {
		return err
	}
	if err := mountDev(in.Root); err != nil {
		return err
	}
	// An empty /sys: scripts see the same machine wherever they run.
	if err := mountAt(in.Root, "sys", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "mode=555,size=4k"); err != nil {
		return err
	}
	for _, m := range in.Mounts {
		if err := bind(in.Root, m, unix.MS_NODEV); err != nil {
			return err
		}
	}
	if err := os.Chdir(in.Root); err != nil {
		return err
	}
	// pivot_root(2), NOTES: with both arguments "." the old root lies over the
	// new one and is detached from there.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	return os.Chdir("/")
}

func mountAt(root, target, fstype string, flags uintptr, data string) error {
	at, err := mountPoint(root, target, true)
	if err != nil {
		return err
	}
	if err := unix.Mount(fstype, at, fstype, flags, data); err != nil {
		return fmt.Errorf("mounting %s on /%s: %w", fstype, target, err)
	}
	return nil
}

// mountProc mounts /proc and takes away what would reach the host's kernel.
func mountProc(root string) error {
	if err := mountAt(root, "proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, p := range []string{"proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"} {
		at := filepath.Join(root, p)
		if _, err := os.Stat(at); err != nil {
			continue
		}
		if err := unix.Mount(at, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("protecting /%s: %w", p, err)
		}
		if err := remount(at, unix.MS_RDONLY); err != nil {
			return fmt.Errorf("protecting /%s: %w", p, err)
		}
	}
	return nil
}

// mountDev makes a /dev with the few nodes that every program may expect.
func mountDev(root string) error {
	if err := mountAt(root, "dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return err
	}
	dev := filepath.Join(root, "dev")
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bind(root, Mount{Source: "/dev/" + name, Target: "/dev/" + name}, 0); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"pts", "shm"} {
		if err := os.Mkdir(filepath.Join(dev, name), 0o755); err != nil {
			return err
		}
	}
	if err := mountAt(root, "dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"); err != nil {
		return err
	}
	return mountAt(root, "dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=64m")
}

// bind mounts a file or directory of the outside with further flags of
// mount(2).
func bind(root string, m Mount, flags uintptr) error {
	st, err := os.Stat(m.Source)
	if err != nil {
		return fmt.Errorf("binding into the sandbox: %w", err)
	}
	at, err := mountPoint(root, m.Target, st.IsDir())
	if err != nil {
		return err
	}
	if err := unix.Mount(m.Source, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s on %s: %w", m.Source, m.Target, err)
	}
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if flags == 0 {
		return nil
	}
	if err := remount(at, flags); err != nil {
		return fmt.Errorf("limiting the mount %s: %w", m.Target, err)
	}
	return nil
}

// remount adds flags of mount(2) to a bind mount, and keeps those that a user
// namespace may not clear.
func remount(at string, flags uintptr) error {
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return err
	}
	// The ST_ bits of statfs(2) equal the MS_ bits for these flags.
	keep := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if uintptr(st.Flags)&0x1000 != 0 { // ST_RELATIME
		keep |= unix.MS_RELATIME
	}
	return unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|flags|keep, "")
}

// mountPoint returns the path of target below root, made when it is missing.
// No component may be a symbolic link: a link in a hostile root would move the
// mount outside.
func mountPoint(root, target string, dir bool) (string, error) {
	at := root
	parts := strings.Split(strings.Trim(filepath.Clean("/"+target), "/"), "/")
	for i, part := range parts {
		at = filepath.Join(at, part)
		st, err := os.Lstat(at)
		if errors.Is(err, os.ErrNotExist) {
			// Another sandbox of the same root may be making it too: what is
			// there afterwards counts, whoever made it.
			if dir || i < len(parts)-1 {
				err = os.Mkdir(at, 0o755)
			} else {
				err = touch(at)
			}
			if err != nil && !errors.Is(err, os.ErrExist) {
				return "", fmt.Errorf("making the mount point %s: %w", target, err)
			}
			st, err = os.Lstat(at)
		}
		if err != nil {
			return "", fmt.Errorf("looking at the mount point %s: %w", target, err)
		}
		if st.Mode()&os.ModeSymlink != 0 {
			return "", fmt.Errorf("mount point %s: %s is a symbolic link", target, strings.TrimPrefix(at, root))
		}
	}
	return at, nil
}

// touch makes an empty file where there is nothing yet.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// lookup finds a command in the PATH of env, inside the new root.
func lookup(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range env {
		list, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// kept are the capabilities that installing software needs; see
// capabilities(7). Device nodes, mounts, modules, raw I/O and time are not
// among them, so that a bake by root can do no more than one by a user; nor is
// CAP_DAC_READ_SEARCH, with which root opens any file of a file system by its
// handle, wherever that lies.
var kept = map[uintptr]bool{
	unix.CAP_CHOWN: true, unix.CAP_DAC_OVERRIDE: true, unix.CAP_FOWNER: true,
	unix.CAP_FSETID: true, unix.CAP_KILL: true, unix.CAP_SETGID: true, unix.CAP_SETUID: true, unix.CAP_SETPCAP: true,
	unix.CAP_SETFCAP: true, unix.CAP_SYS_CHROOT: true, unix.CAP_NET_BIND_SERVICE: true, unix.CAP_AUDIT_WRITE: true,
}

func dropCapabilities() error {
	// What a program inherits it has whatever the bounding set says.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return err
	}
	for c := uintptr(0); c <= 63; c++ {
		if kept[c] {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, syscall.EINVAL) {
			return nil // past the last capability of this kernel
		}
		if err != nil {
			return err
		}
	}
	return nil
}
