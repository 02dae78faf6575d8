package boottest

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"imgbuild/builder/launch"
)

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
