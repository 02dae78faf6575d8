package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideRun is the first process of a sandbox: it prepares the namespaces,
// starts the command, and waits for it. When it ends, or is ended by the death
// of the program outside, the kernel ends everything else in the sandbox. The
// command itself could rid itself of that signal.
func insideRun() {
	runtime.LockOSThread()
	plan, status, err := pipes(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(setupFailed)
	}
	command, err := begin(plan)
	if err != nil {
		fmt.Fprint(status, err.Error())
		os.Exit(setupFailed)
	}
	status.Close()
	os.Exit(attend(command.Pid))
}

// start starts the command with the open files that this process was given:
// descriptors 0 to 2, and those from 3 on.
func start(path string, in instructions) (*os.Process, error) {
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i := range in.Files {
		files = append(files, os.NewFile(uintptr(3+i), "file"))
	}
	command, err := os.StartProcess(path, in.Args, &os.ProcAttr{Env: in.Env, Files: files})
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", path, err)
	}
	return command, nil
}

// attend waits for the command, and for every orphan that ends before it, and
// returns the exit status: the command's, or 128 plus the signal that ended it.
func attend(command int) int {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "sandbox: waiting:", err)
			return setupFailed
		case pid == command && status.Signaled():
			return 128 + int(status.Signal())
		case pid == command:
			return status.ExitStatus()
		}
	}
}
