package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// How long the tiny guest may take. A working KVM ends it within 0.3 s of CPU;
// a nested one that emulates every exit needs seconds, and a kernel under it
// never reaches its first line. CPU time is judged so that a busy host is not
// mistaken for a bad one.
const (
	guestPatience = 5 * time.Second
	guestCPU      = 1500 * time.Millisecond
)

// bootSector is a complete guest: it writes 0x10 to the port of QEMU's
// isa-debug-exit device, which ends QEMU with the code guestDone.
var bootSector = []byte{
	0xba, 0xf4, 0x00, // mov dx, 0xf4
	0xb0, 0x10, // mov al, 0x10
	0xee,       // out dx, al
	0xeb, 0xfe, // jmp $
}

// guestDone is (0x10 << 1) | 1, see hw/misc/debugexit.c of QEMU.
const guestDone = 33

// KVM runs a guest of eight bytes under KVM and returns nil when it ran at a
// useful speed. The error says why not, in words for a user. The existence of
// /dev/kvm proves nothing: on some hosts it opens and every guest hangs.
func KVM(ctx context.Context) error {
	return runTinyGuest(ctx, "kvm")
}

// TCG runs the same guest under QEMU's emulator, which needs nothing but QEMU.
func TCG(ctx context.Context) error {
	return runTinyGuest(ctx, "tcg")
}

func runTinyGuest(ctx context.Context, accelerator string) error {
	disk, err := tinyDisk()
	if err != nil {
		return fmt.Errorf("probing %s: %w", accelerator, err)
	}
	defer disk.Close()
	ctx, cancel := context.WithTimeout(ctx, guestPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", accelerator, "-m", "16",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
		"-drive", "file=/dev/fd/3,format=raw,if=ide,readonly=off")
	cmd.ExtraFiles = []*os.File{disk} // descriptor 3
	cmd.WaitDelay = time.Second
	// A guest that hangs does not outlive a program that is killed. The signal is
	// sent when the thread ends that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("qemu-system-x86_64 is not installed")
	case ctx.Err() != nil:
		return fmt.Errorf("a guest of eight bytes did not end within %s", guestPatience)
	case errors.As(err, &exit) && exit.ExitCode() == guestDone:
		if used := exit.UserTime() + exit.SystemTime(); used > guestCPU {
			return fmt.Errorf("a guest of eight bytes took %.1f s of CPU, slower than emulation", used.Seconds())
		}
		return nil
	case err != nil:
		return fmt.Errorf("qemu refused: %s", firstLine(out, err))
	}
	return errors.New("the guest ended without a word")
}

// tinyDisk makes the guest's disk, a file without a name: a program that is killed
// leaves none.
func tinyDisk() (*os.File, error) {
	f, err := os.CreateTemp("", "imgbuild-kvm-")
	if err != nil {
		return nil, err
	}
	sector := make([]byte, 512)
	copy(sector, bootSector)
	sector[510], sector[511] = 0x55, 0xaa
	_, err = f.Write(sector)
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
