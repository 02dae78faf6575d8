package boottest

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/launch"
)

// Prove boots machines of amd64, each of a firmware of its own, side by side. It
// asks of each what must hold and what inspect asks, reboots it through its
// firmware unless it is to boot once, and asks once more what must hold. No two of them may have anything
// of an identity in common.
func Prove(t *testing.T, machines []Options, inspect func(*testing.T, *Guest)) {
	var mu sync.Mutex
	seen := map[string]launch.Firmware{}
	for _, o := range machines {
		t.Run(string(o.Firmware), func(t *testing.T) {
			t.Parallel()
			g := Boot(t, o)
			id := g.Check(t)
			inspect(t, g)
			mu.Lock()
			for _, part := range []string{id.MachineID, id.HostKeys} {
				if other, ok := seen[part]; ok {
					t.Errorf("the copies booted under %s and %s share %q", other, o.Firmware, part)
				}
				seen[part] = o.Firmware
			}
			mu.Unlock()
			if o.Once {
				return
			}
			g.Reboot(t)
			if again := g.Check(t); again != id {
				t.Errorf("a reboot changed the identity from %+v to %+v", id, again)
			}
		})
	}
}

// Identity is what must differ between two copies of an image.
type Identity struct{ MachineID, HostKeys string }

// Check boots nothing: it asks a booted guest for all that must hold, and gives
// its identity.
func (g *Guest) Check(t testing.TB) Identity {
	t.Helper()
	answers := g.Ask(t,
		"systemctl list-units --failed --plain --no-legend --all",
		"test -d /sys/firmware/efi && echo uefi || echo bios",
		"sudo dmesg | grep -q 'Secure boot enabled' && echo enforced",
		"df --output=size -B1 / | tail -n 1",
		"cat /etc/machine-id",
		"cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f1,2",
	)
	failed, firmware, secure, bytes := answers[0], answers[1], answers[2], answers[3]
	if failed != "" {
		logs, err := g.run("sudo journalctl -b -p warning --no-pager | tail -n 40", commandLimit)
		t.Errorf("failed units:\n%s\n%s (%v)", failed, logs, err)
	}
	want := "uefi"
	if g.Options.Firmware == launch.BIOS || g.Options.Firmware == "" {
		want = "bios"
	}
	if firmware != want {
		t.Errorf("booted by %s, want %s", firmware, want)
	}
	if g.Options.Firmware == launch.SecureBoot && secure != "enforced" {
		t.Error("Secure Boot is not enforced")
	}
	var size int64
	if _, err := fmt.Sscan(bytes, &size); err != nil || size < 5<<30 {
		t.Errorf("the root file system has %d bytes on a disk of 9 GiB (%v)", size, err)
	}
	id := Identity{MachineID: answers[4], HostKeys: answers[5]}
	if len(id.MachineID) != 32 || id.HostKeys == "" {
		t.Errorf("no identity was made: %+v", id)
	}
	return id
}

// PingAgent asks QEMU's guest agent whether it is there (guest-ping of
// docs/interop/qemu-ga-ref).
func (g *Guest) PingAgent(t testing.TB) {
	t.Helper()
	conn, err := net.Dial("unix", g.agent)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(commandLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(`{"execute": "guest-ping"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || answer != "{\"return\": {}}\n" {
		t.Errorf("the guest agent answers %q, %v", answer, err)
	}
}
