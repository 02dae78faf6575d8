// Package sandbox runs maintainer scripts and file-system tools in a root
// directory of their own, with their own mount, PID, UTS, IPC and network
// namespaces: no network, a fixed host name, a small /dev, and only the
// capabilities that installing software needs. It never decides what is run
// and never touches the root's files beyond the mount points it needs.
//
// The program re-executes itself to get there, so a program (or a test binary)
// that uses the package calls Init before anything else.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The names under which the program re-executes itself.
const (
	runName   = "imgbuild-sandbox-run"
	enterName = "imgbuild-sandbox-enter"
)

// Mount binds a file or directory of the outside into the sandbox.
type Mount struct {
	// Source is a path outside.
	Source string
	// Target is an absolute path inside; it is made when it does not exist.
	Target string
	// ReadOnly refuses writes through this mount.
	ReadOnly bool
}

// Spec says what runs where.
type Spec struct {
	// Root is the directory that becomes /.
	Root string
	// Mounts are bound in, in order, after /proc, /dev and /sys.
	Mounts []Mount
	// Args is the command with its arguments; Args[0] is looked up in the PATH
	// of Env inside Root unless it is a path.
	Args []string
	// Env is the whole environment; nothing is inherited.
	Env []string
	// Dir is the working directory inside; "/" when empty.
	Dir string
	// Hostname is what the command sees; "localhost" when empty.
	Hostname string
	// Stdin, Stdout and Stderr may be nil, which means empty or discarded.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Files are further open files; the first one is descriptor 3 inside.
	Files []*os.File
}

// instructions is what the re-executed program reads from its pipe.
type instructions struct {
	Root, Dir, Hostname string
	Mounts              []Mount
	Args, Env           []string
	// Files is how many open files the command gets beside the first three.
	Files int
}

// ExitError says that the command ran and ended with a status other than 0.
type ExitError struct {
	// Command is Args[0].
	Command string
	// Code is the exit status, or 128 plus the number of the signal that ended it.
	Code int
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s ended with status %d", e.Command, e.Code)
}

// setupFailed is the exit status of the re-executed program when the sandbox
// could not be made; its reason is on the status pipe.
const setupFailed = 125

// Run runs the command and waits for it. When ctx ends, everything in the
// sandbox is killed. The error is an *ExitError when the command itself
// failed. It needs root, or the user namespace that Enter makes.
func Run(ctx context.Context, s Spec) error {
	if len(s.Args) == 0 {
		return errors.New("sandbox: no command")
	}
	root, err := filepath.Abs(s.Root)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	in := instructions{Root: root, Dir: s.Dir, Hostname: s.Hostname, Mounts: s.Mounts, Args: s.Args, Env: s.Env, Files: len(s.Files)}
	plan, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	planR, planW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer planR.Close()
	defer planW.Close()
	statusR, statusW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer statusR.Close()
	defer statusW.Close()

	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{runName, strconv.Itoa(3 + len(s.Files))}
	cmd.Env = []string{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	cmd.ExtraFiles = append(append([]*os.File{}, s.Files...), planR, statusW)
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
	// The parent-death signal is bound to the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	planR.Close()
	statusW.Close()
	_, writeErr := planW.Write(plan)
	planW.Close()
	reason, readErr := io.ReadAll(io.LimitReader(statusR, 4096))
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(reason) > 0 {
		return fmt.Errorf("preparing the sandbox: %s", reason)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
		return &ExitError{Command: s.Args[0], Code: code}
	}
	return errors.Join(err, writeErr, readErr)
}

// Init turns a re-executed program into the sandbox it was started for and
// does not return then. Call it first in main and in TestMain.
func Init() {
	switch os.Args[0] {
	case runName:
		insideRun()
	case enterName:
		insideEnter()
	}
	if os.Getenv(enteredVariable) != "" {
		// Only now does an ordinary user have the capability for it.
		if err := makePrivate(); err != nil {
			fmt.Fprintln(os.Stderr, "imgbuild: entering the sandbox:", err)
			os.Exit(1)
		}
		// A caller's umask must not show in what is made.
		unix.Umask(0o022)
		// The death of the outer process must reach this one: the setting was
		// lost when the last exec raised capabilities.
		runtime.LockOSThread()
		unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
		runtime.UnlockOSThread()
	}
}
