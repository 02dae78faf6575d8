package launch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"imgbuild/images/fault"
)

// process is a child that dies with this program, however that ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // its end, valid after done
}

// start runs cmd. pkg is the Debian package that has the program.
func start(cmd *exec.Cmd, pkg string) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // a terminal's Ctrl-C is ours to pass on
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal is sent when the thread that started the child
		// ends, so this one stays until the child has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	err := <-started
	if errors.Is(err, exec.ErrNotFound) {
		return nil, missing(cmd.Path, pkg)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// missing is the fault of a host that lacks a program or file.
func missing(what, pkg string) error {
	prefix := "sudo "
	if os.Geteuid() == 0 {
		prefix = ""
	}
	return fault.Failedf("%s is not installed", what).WithHint("run: %sapt-get install -y --no-install-recommends %s", prefix, pkg)
}

// wait waits for the child's end or that of ctx.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end asks the child to end, and ends it when it has not after patience.
func (p *process) end(patience time.Duration) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		p.cmd.Process.Signal(s) // it may have ended by itself
		select {
		case <-p.done:
			return
		case <-time.After(patience):
		}
	}
	<-p.done
}
