package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"imgbuild/images/fault"
)

// enteredVariable marks the re-executed program; its value is "root" or "user".
const enteredVariable = "IMGBUILD_SANDBOX_ENTERED"

// Entered reports whether this process runs inside the namespaces of Enter.
func Entered() bool { return os.Getenv(enteredVariable) != "" }

// Rootless reports whether this process is uid 0 only inside a user namespace:
// it can then make no device nodes.
func Rootless() bool { return os.Getenv(enteredVariable) == "user" }

// Enter moves the whole program into a mount namespace of its own, and for an
// ordinary user into a user namespace in which they are uid 0 and their
// subordinate ids are the others. It does so by running the program again with
// the same arguments, passing on signals, and exiting with its status: it
// returns only inside, or with an error. Whatever is mounted inside is gone
// when the program is, even after a kill -9.
func Enter() error {
	if Entered() {
		return nil
	}
	rootless := os.Geteuid() != 0
	mode := "root"
	flags := uintptr(syscall.CLONE_NEWNS)
	var uids, gids []string
	if rootless {
		mode = "user"
		flags |= syscall.CLONE_NEWUSER
		var err error
		if uids, gids, err = mappings(); err != nil {
			return err
		}
	}
	ready, release, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("entering the sandbox: %w", err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{enterName}, os.Args...)
	cmd.Env = append(os.Environ(), enteredVariable+"="+mode)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the parent-death signal is bound to this thread
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("entering the sandbox: %w", fault.Failedf("making namespaces").Because(err).WithHint("run: imgbuild doctor"))
	}
	ready.Close()
	if rootless {
		pid := strconv.Itoa(cmd.Process.Pid)
		if err := errors.Join(idmap("newuidmap", pid, uids), idmap("newgidmap", pid, gids)); err != nil {
			release.Close()
			return errors.Join(err, cmd.Process.Kill(), ignoreExit(cmd.Wait()))
		}
	}
	if _, err := release.Write([]byte{1}); err != nil {
		return errors.Join(fmt.Errorf("entering the sandbox: %w", err), cmd.Process.Kill(), ignoreExit(cmd.Wait()))
	}
	release.Close()
	go func() {
		for s := range signals {
			// A terminal sends its signals to the whole process group by itself.
			if s == syscall.SIGTERM || !term.IsTerminal(0) {
				cmd.Process.Signal(s)
			}
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running in the sandbox: %w", err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		os.Exit(128 + int(ws.Signal()))
	}
	os.Exit(cmd.ProcessState.ExitCode())
	return nil
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// insideEnter waits until the ids are mapped and executes the program anew,
// which gives it the capabilities of uid 0 in its namespace.
func insideEnter() {
	runtime.LockOSThread()
	if err := enterAgain(); err != nil {
		fmt.Fprintln(os.Stderr, "imgbuild: entering the sandbox:", err)
		os.Exit(int(fault.Failed))
	}
}

func enterAgain() error {
	ready := os.NewFile(3, "ready")
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("the outer process is gone: %w", err)
	}
	ready.Close()
	if os.Getenv(enteredVariable) == "user" {
		if err := unix.Setresgid(0, 0, 0); err != nil {
			return fmt.Errorf("becoming group 0: %w", err)
		}
		if err := unix.Setresuid(0, 0, 0); err != nil {
			return fmt.Errorf("becoming user 0: %w", err)
		}
	}
	return unix.Exec("/proc/self/exe", os.Args[1:], os.Environ())
}

// makePrivate keeps every later mount in this namespace: where init shares its
// mounts, as systemd does, they would show outside and outlive the program.
func makePrivate() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, unix.EINVAL) {
		return errors.New("/ is not a mount point here, as in a plain chroot; bind the chroot's directory on itself before entering it: mount --bind DIR DIR")
	}
	if err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	return nil
}

// mappings gives the arguments of newuidmap and newgidmap: inside 0 is the
// caller, inside 1 and up are its subordinate ids (subuid(5)).
func mappings() (uids, gids []string, err error) {
	me, err := user.Current()
	if err != nil {
		return nil, nil, fmt.Errorf("finding the current user: %w", err)
	}
	uids, err = mapping("/etc/subuid", me.Uid, me.Username, me.Uid)
	if err != nil {
		return nil, nil, err
	}
	gids, err = mapping("/etc/subgid", me.Gid, me.Username, me.Uid)
	return uids, gids, err
}

// smallestRange is how many subordinate ids a bake needs: nobody is 65534.
const smallestRange = 65535

func mapping(file, own, name, uid string) ([]string, error) {
	missing := fault.Failedf("handling the files of images as an ordinary user needs %d subordinate ids for %s in %s", smallestRange, name, file).
		WithHint("run: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, missing.Because(err)
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || (f[0] != name && f[0] != uid) {
			continue
		}
		count, err := strconv.Atoi(f[2])
		if err != nil || count < smallestRange {
			continue
		}
		return []string{"0", own, "1", "1", f[1], strconv.Itoa(min(count, 65536))}, nil
	}
	return nil, missing
}

func idmap(program, pid string, args []string) error {
	out, err := exec.Command(program, append([]string{pid}, args...)...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fault.Failedf("handling the files of images as an ordinary user needs %s", program).WithHint("run: sudo apt-get install uidmap")
	}
	if err != nil {
		return fmt.Errorf("mapping subordinate ids: %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
