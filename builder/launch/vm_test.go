package launch_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/fault"
	"imgbuild/images/peertest"
)

// greeter is a whole guest in a boot sector: it writes its letters to the first
// serial port, one to its own disk, and halts.
func greeter(t *testing.T) string { return greeterWith(t, "hello from the guest\n") }

func greeterWith(t *testing.T, greeting string) string {
	t.Helper()
	sector := make([]byte, 1<<20)
	code := []byte{
		0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0xbe, 0x1a, 0x7c, // mov si, text
		0xac,       // lodsb
		0x84, 0xc0, // test al, al
		0x74, 0x03, // jz +3
		0xee,       // out dx, al
		0xeb, 0xf8, // jmp lodsb
		0xb8, 0x01, 0x03, // mov ax, 0x0301: write one sector
		0xb9, 0x02, 0x00, // mov cx, 2: the second one
		0xb6, 0x00, // mov dh, 0
		0xcd, 0x13, // int 0x13
		0xf4, 0xf4, // hlt
	}
	copy(sector, code)
	copy(sector[0x1a:], greeting+"\x00")
	sector[510], sector[511] = 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "greeter,with a comma.raw")
	if err := os.WriteFile(path, sector, 0o444); err != nil {
		t.Fatal(err)
	}
	return path
}

type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 600 {
		s.mu.Lock()
		seen := strings.Contains(s.buf.String(), text)
		s.mu.Unlock()
		if seen {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the console never showed %q", text)
}

func TestAMachineRunsOverItsDiskAndLeavesNothing(t *testing.T) {
	peertest.Need(t, "qemu-system-x86_64", "qemu-img")
	disk, dir, console := greeter(t), t.TempDir(), &screen{}
	before, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := launch.StartVM(context.Background(), launch.VMSpec{Disk: disk, Dir: dir, Memory: 64, Console: console, Ports: map[int]int{22: 0}})
	if err != nil {
		t.Fatal(err)
	}
	console.waitFor(t, "hello from the guest")
	if vm.Ports[22] == 0 || (vm.Accelerator == "tcg") != (vm.NoKVM != nil) {
		t.Errorf("ports %v, accelerator %s, %v", vm.Ports, vm.Accelerator, vm.NoKVM)
	}
	if err := vm.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-vm.Ended():
	default:
		t.Error("it still runs")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
	if after, err := os.ReadFile(disk); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image changed (%v)", err)
	}
}

// TestAKernelThatStopsEndsItsMachine has a guest say what Linux says then.
func TestAKernelThatStopsEndsItsMachine(t *testing.T) {
	peertest.Need(t, "qemu-system-x86_64", "qemu-img")
	vm, err := launch.StartVM(t.Context(), launch.VMSpec{
		Disk: greeterWith(t, "[ 1.0] Kernel panic - not syncing: no root\n"), Dir: t.TempDir(), Memory: 64, Console: &screen{},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-vm.Ended():
	case <-time.After(time.Minute):
		t.Fatal("it still runs")
	}
	if err := vm.Explain(errors.New("no answer")); !strings.Contains(err.Error(), "kernel has stopped") {
		t.Errorf("it says %v", err)
	}
}

func TestTheEndOfTheContextEndsTheMachine(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	vm, err := launch.StartVM(ctx, launch.VMSpec{Disk: greeter(t), Dir: t.TempDir(), Memory: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	cancel()
	select {
	case <-vm.Ended():
	case <-time.After(20 * time.Second):
		t.Error("it still runs")
	}
}

func TestWhatCannotRunIsSaid(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec launch.VMSpec
		want string
	}{
		{"no disk", launch.VMSpec{Disk: "/no/such/disk"}, "no disk image"},
		{"no firmware", launch.VMSpec{Firmware: "coreboot"}, "coreboot"},
		{"no BIOS on arm64", launch.VMSpec{Architecture: "arm64", Firmware: launch.BIOS}, "arm64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := launch.StartVM(context.Background(), tc.spec)
			if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	disk := greeter(t)
	t.Setenv("PATH", t.TempDir())
	if _, err := launch.StartVM(context.Background(), launch.VMSpec{Disk: disk, Dir: t.TempDir()}); !strings.Contains(fault.HintOf(err), "apt-get install") {
		t.Errorf("got %v", err)
	}
}

func TestATakenPortIsRefused(t *testing.T) {
	disk := greeter(t)
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed")
	}
	vm, err := launch.StartVM(context.Background(), launch.VMSpec{Disk: disk, Dir: t.TempDir(), Memory: 64, Ports: map[int]int{80: 0}})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	// QEMU listens once it has started.
	for range 100 {
		var second *launch.VM
		second, err = launch.StartVM(context.Background(), launch.VMSpec{Disk: disk, Dir: t.TempDir(), Memory: 64, Ports: map[int]int{80: vm.Ports[80]}})
		if err != nil {
			break
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err == nil || !strings.Contains(err.Error(), "publishing port 80") {
		t.Errorf("got %v", err)
	}
}
