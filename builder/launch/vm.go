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
	"strings"
	"time"

	"imgbuild/builder/host"
	"imgbuild/images/fault"
)

// VMSpec describes a virtual machine to be tried.
type VMSpec struct {
	// Disk is a qcow2 or raw image. It is never written to.
	Disk string
	// Architecture is Debian's name; empty means amd64.
	Architecture string
	Firmware     Firmware
	// Dir gets the overlay and other passing files, in a directory of its own
	// that Close removes; empty means the system's temporary directory.
	Dir string
	// Memory is in MiB, 0 means 1024. CPUs is 2 when 0, and 1 where they are
	// emulated: to keep several in step costs more than they bring, and the
	// firmware of Secure Boot may then never end a reboot.
	Memory, CPUs int
	// SSHKeys are lines as in authorized_keys, for the image's default user.
	SSHKeys []string
	// Ports maps TCP ports of the guest to ports of 127.0.0.1; 0 chooses one.
	Ports map[int]int
	// Console gets what the guest writes to its first serial port; it may be nil.
	// A kernel's last words on it end the machine.
	Console io.Writer
}

// VM is a running virtual machine.
type VM struct {
	// Ports maps the guest's ports to those of 127.0.0.1.
	Ports map[int]int
	// Accelerator is "kvm" or "tcg"; with tcg NoKVM says why.
	Accelerator string
	NoKVM       error

	dir     string
	process *process
	errors  *lastWords
}

// StartVM boots a machine called imgbuild and returns once QEMU runs, long before
// the guest answers. The caller closes it. When ctx ends it is closed too.
func StartVM(ctx context.Context, s VMSpec) (vm *VM, err error) {
	s = s.withDefaults()
	platform, err := platformFor(s.Architecture, s.Firmware)
	if err != nil {
		return nil, err
	}
	format, err := formatOf(s.Disk)
	if err != nil {
		return nil, err
	}
	vm = &VM{errors: &lastWords{}}
	if vm.Ports, err = publish(s.Ports); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.Dir, "imgbuild-vm-")
	if err != nil {
		return nil, fmt.Errorf("starting a virtual machine: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	vm.dir = dir
	if err := overlay(ctx, filepath.Join(vm.dir, "disk.qcow2"), s.Disk, format); err != nil {
		return nil, err
	}
	vm.Accelerator = "kvm"
	if vm.NoKVM = host.KVM(ctx); vm.NoKVM != nil || s.Architecture != "amd64" {
		vm.Accelerator = "tcg"
	}
	if s.CPUs == 0 {
		s.CPUs = 2
		if vm.Accelerator == "tcg" {
			s.CPUs = 1
		}
	}
	args, err := vm.arguments(s, platform)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, platform.program, args...)
	cmd.WaitDelay = time.Second
	cmd.Stderr = vm.errors
	if s.Console != nil {
		cmd.Stdout = &panicWatch{to: s.Console, stop: func() {
			io.WriteString(vm.errors, "the guest's kernel has stopped: see its console\n") // it never fails
			cmd.Process.Kill()                                                             // it has started, for it writes
		}}
	}
	if vm.process, err = start(cmd, platform.pkg); err != nil {
		return nil, fmt.Errorf("starting a virtual machine: %w", err)
	}
	return vm, nil
}

func (s VMSpec) withDefaults() VMSpec {
	if s.Architecture == "" {
		s.Architecture = "amd64"
	}
	if s.Memory == 0 {
		s.Memory = 1024
	}
	return s
}

// arguments gives QEMU's command line.
func (vm *VM) arguments(s VMSpec, p platform) ([]string, error) {
	seed, err := writeSeed(vm.dir, s)
	if err != nil {
		return nil, err
	}
	// QEMU keeps the code that it translated before a reboot and searches all of
	// it. In a smaller cache than the 1 GiB of its default there is less of it.
	accel, cpu := "tcg,thread=multi,tb-size=256", "max"
	if vm.Accelerator == "kvm" {
		accel, cpu = "kvm", "host"
	}
	// The guest reaches nothing: neither this host's loopback nor what lies
	// beyond. It is reached by the ports alone.
	forward := "user,id=net,restrict=on"
	for guest, host := range vm.Ports {
		forward += fmt.Sprintf(",hostfwd=tcp:%s:%d-:%d", loopback, host, guest)
	}
	console := "null"
	if s.Console != nil {
		console = "stdio"
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", p.machine, "-accel", accel, "-cpu", cpu,
		"-m", fmt.Sprint(s.Memory), "-smp", fmt.Sprint(s.CPUs),
		"-serial", console,
		// The overlay lives no longer than the machine: nothing waits for it.
		"-drive", "if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file=" + comma(filepath.Join(vm.dir, "disk.qcow2")),
		"-device", "virtio-blk-pci,drive=disk",
		"-drive", "if=none,id=seed,format=raw,readonly=on,file=" + comma(seed),
		"-device", "virtio-blk-pci,drive=seed",
		"-netdev", forward, "-device", "virtio-net-pci,netdev=net",
		"-device", "virtio-rng-pci",
	}
	firmware, err := p.firmwareArguments(vm.dir)
	if err != nil {
		return nil, err
	}
	return append(args, firmware...), nil
}

// comma escapes a path for QEMU's key=value options.
func comma(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// formatOf tells qcow2 from raw by its first bytes.
func formatOf(disk string) (string, error) {
	f, err := os.Open(disk)
	if os.IsNotExist(err) {
		return "", fault.Inputf("there is no disk image %s", disk)
	}
	if err != nil {
		return "", fmt.Errorf("looking at the disk: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil {
		return "", fmt.Errorf("looking at the disk %s: %w", disk, err)
	}
	if string(magic) == "QFI\xfb" {
		return "qcow2", nil
	}
	return "raw", nil
}

// overlay makes a copy-on-write image over disk.
func overlay(ctx context.Context, path, disk, format string) error {
	backing, err := filepath.Abs(disk)
	if err != nil {
		return fmt.Errorf("making an overlay: %w", err)
	}
	out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", backing, path).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return missing("qemu-img", "qemu-utils")
	}
	if err != nil {
		return fmt.Errorf("making an overlay: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Ended is closed when the machine no longer runs.
func (vm *VM) Ended() <-chan struct{} { return vm.process.done }

// Address is where a published port of the guest answers, "127.0.0.1:32768".
func (vm *VM) Address(guest int) string { return fmt.Sprintf("%s:%d", loopback, vm.Ports[guest]) }

// Dial connects to a published port of the guest.
func (vm *VM) Dial(ctx context.Context, guest int) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", vm.Address(guest))
}

// Explain adds what QEMU said to an error.
func (vm *VM) Explain(err error) error {
	if words := vm.errors.String(); err != nil && words != "" {
		return fmt.Errorf("%w (qemu: %s)", err, words)
	}
	return err
}

// Close ends the machine at once and removes its files.
func (vm *VM) Close() error {
	vm.process.end(5 * time.Second)
	if err := os.RemoveAll(vm.dir); err != nil {
		return fmt.Errorf("removing the virtual machine's files: %w", err)
	}
	return nil
}
