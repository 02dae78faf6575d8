// Package boottest boots a finished disk of a web server the way a user would
// and says what is wrong with it: firmware, HTTP, systemd units, cloud-init's
// SSH key, a reboot, a grown root file system, and an identity of its own. It
// is for tests, and knows nothing of how the disk was made.
package boottest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"imgbuild/builder/launch"
)

// commandLimit is how long a command in a guest may take, login included.
const commandLimit = 3 * time.Minute

// Guest is a booted machine that has answered HTTP and lets the tester in.
type Guest struct {
	VM       *launch.VM
	signer   ssh.Signer
	user     string
	patience time.Duration
	log      *console
}

// Options of a boot.
type Options struct {
	Disk     string
	Firmware launch.Firmware
	// User is the default user of the image's cloud-init; "debian" when empty.
	User string
	// Patience is how long each wait may take; 15 minutes when 0: an emulated
	// guest on a busy machine is slow, and a wait ends when the guest answers.
	Patience time.Duration
}

// Boot boots the disk on a machine with a larger disk than the image, waits for
// HTTP 200 on port 80 and for a login with a key that only cloud-init's seed
// holds. The machine is gone when the test ends; the console is logged when the
// test failed.
func Boot(t testing.TB, o Options) *Guest {
	t.Helper()
	if o.User == "" {
		o.User = "debian"
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Minute
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Guest{signer: signer, user: o.User, patience: o.Patience, log: &console{panicked: cancel}}
	vm, err := launch.StartVM(ctx, launch.VMSpec{
		Disk: o.Disk, Firmware: o.Firmware, Dir: t.TempDir(), Console: g.log, DiskSize: 6 << 30,
		SSHKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))},
		Ports:   map[int]int{22: 0, 80: 0},
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	g.VM = vm
	t.Cleanup(func() {
		if t.Failed() {
			g.keepConsole(t)
		}
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
		cancel()
	})
	g.wait(t)
	return g
}

func (g *Guest) keepConsole(t testing.TB) {
	path := filepath.Join(os.TempDir(), "imgbuild-console-"+strings.ReplaceAll(t.Name(), "/", "-")+".log")
	if err := os.WriteFile(path, []byte(g.log.String()), 0o600); err == nil {
		t.Logf("the whole console is in %s", path)
	}
	words := g.log.String()
	t.Logf("the console's end:\n%s", words[max(0, len(words)-6000):])
}

// wait waits until the guest answers HTTP and has finished booting.
func (g *Guest) wait(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), g.patience)
	defer cancel()
	start := time.Now()
	if _, err := g.VM.WaitHTTP(ctx, 80, "/", http.StatusOK); err != nil {
		t.Fatal(err)
	}
	answered := time.Since(start)
	if err := g.VM.WaitSSH(ctx, 22); err != nil {
		t.Fatal(err)
	}
	// cloud-init installs the key late in a boot, and a busy guest may need more
	// time to answer than its own programs wait.
	var state string
	for {
		var err error
		state, err = g.run("systemctl is-system-running --wait", g.patience)
		if state == "running" || state == "degraded" {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("logging in as %s: %s: %v", g.user, state, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Logf("HTTP 200 after %.1f s, %s after %.1f s (%s)", answered.Seconds(), state, time.Since(start).Seconds(), g.VM.Accelerator)
}

// Run runs a command in the guest and gives its trimmed output.
func (g *Guest) Run(t testing.TB, command string) string {
	t.Helper()
	out, err := g.run(command, commandLimit)
	if err != nil {
		t.Fatalf("in the guest: %s: %v\n%s", command, err, out)
	}
	return out
}

// run runs a command over a connection of its own, which lives as long as limit.
func (g *Guest) run(command string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return launch.Login{Address: g.VM.Address(22), User: g.user, Key: g.signer}.Run(ctx, command)
}

// FailedUnits gives systemd's failed units with what they logged, "" for none.
func (g *Guest) FailedUnits(t testing.TB) string {
	t.Helper()
	units := g.Run(t, "systemctl list-units --failed --plain --no-legend --all")
	if units == "" {
		return ""
	}
	logs, err := g.run("sudo journalctl -b -p warning --no-pager | tail -n 40", commandLimit)
	if err != nil {
		return units
	}
	return units + "\n" + logs
}

// Identity is what must differ between two copies of an image.
type Identity struct{ MachineID, HostKeys string }

// Identity reads the guest's identity.
func (g *Guest) Identity(t testing.TB) Identity {
	t.Helper()
	return Identity{
		MachineID: g.Run(t, "cat /etc/machine-id"),
		HostKeys:  g.Run(t, "cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f1,2"),
	}
}

// RootBytes is the size of the root file system in bytes.
func (g *Guest) RootBytes(t testing.TB) string {
	t.Helper()
	return g.Run(t, "df --output=size -B1 / | tail -n 1")
}

// Reboot reboots the guest by its own means and waits until it answers again
// with another boot id.
func (g *Guest) Reboot(t testing.TB) {
	t.Helper()
	before := g.Run(t, "cat /proc/sys/kernel/random/boot_id")
	if _, err := g.run("sudo systemctl reboot", 20*time.Second); err != nil {
		t.Logf("the connection ended with the reboot: %v", err)
	}
	deadline := time.Now().Add(g.patience)
	for {
		after, err := g.run("cat /proc/sys/kernel/random/boot_id", 30*time.Second)
		if err == nil && after != before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not come back: %v", err)
		}
		time.Sleep(time.Second)
	}
	g.wait(t)
}

// SecureBoot reports whether the guest's kernel says that the firmware enforced
// signatures.
func (g *Guest) SecureBoot(t testing.TB) bool {
	t.Helper()
	return strings.Contains(g.Run(t, "sudo dmesg"), "Secure boot enabled")
}

// UEFI reports whether the guest was booted by UEFI firmware.
func (g *Guest) UEFI(t testing.TB) bool {
	t.Helper()
	return g.Run(t, "test -d /sys/firmware/efi && echo uefi || echo bios") == "uefi"
}

// Check boots nothing: it asks a booted guest for all that must hold.
func (g *Guest) Check(t testing.TB, firmware launch.Firmware) {
	t.Helper()
	if failed := g.FailedUnits(t); failed != "" {
		t.Errorf("failed units:\n%s", failed)
	}
	if got, want := g.UEFI(t), firmware == launch.UEFI || firmware == launch.SecureBoot; got != want {
		t.Errorf("booted by UEFI: %v, want %v", got, want)
	}
	if firmware == launch.SecureBoot && !g.SecureBoot(t) {
		t.Error("Secure Boot is not enforced")
	}
	if id := g.Identity(t); len(id.MachineID) != 32 || id.HostKeys == "" {
		t.Errorf("no identity was made: %+v", id)
	}
	var size int64
	if _, err := fmt.Sscan(g.RootBytes(t), &size); err != nil || size < 5<<30 {
		t.Errorf("the root file system has %d bytes on a disk of 6 GiB (%v)", size, err)
	}
}

// console keeps what a guest wrote.
type console struct {
	mu  sync.Mutex
	buf bytes.Buffer
	// panicked is called when a kernel has stopped: nothing more will come.
	panicked func()
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := max(0, c.buf.Len()-100)
	c.buf.Write(p) // it never fails
	if bytes.Contains(c.buf.Bytes()[seen:], []byte("Kernel panic - not syncing")) {
		c.panicked()
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}
