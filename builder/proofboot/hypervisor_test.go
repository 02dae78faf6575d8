package proofboot_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// hypervisor is what a machine runs on that imgbuild run does not make: its disk is
// larger than the image, and it may have further devices.
type hypervisor struct {
	// screen is a graphics adapter, and agent the port by which QEMU's guest agent
	// is reached.
	screen, agent bool
	socket        string // of that port
}

// diskSize is that of a machine's disk, in bytes; the images' are smaller.
const diskSize = 9 << 30

// path puts programs before QEMU's that make the difference, and returns the PATH
// that finds them.
func (h *hypervisor) path(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	devices := ""
	if h.screen {
		devices = "-device VGA "
	}
	if h.agent {
		h.socket = filepath.Join(dir, "agent")
		devices += "-chardev socket,id=agent,server=on,wait=off,path=" + h.socket +
			" -device virtio-serial-pci -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 "
	}
	for name, script := range map[string]string{
		// The guest that tries KVM has no disk of that name.
		"qemu-system-x86_64": `case "$*" in *drive=disk*) set -- "$@" ` + devices + `;; esac
exec %[1]s "$@"`,
		// The last argument is the overlay that is made.
		"qemu-img": fmt.Sprintf(`[ "$1" = create ] || exec %%[1]s "$@"
%%[1]s "$@" && for disk; do :; done && exec %%[1]s resize -q "$disk" %d`, diskSize),
	} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		text := "#!/bin/sh\n" + fmt.Sprintf(script, program) + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// pingAgent asks QEMU's guest agent whether it is there (guest-ping of
// docs/interop/qemu-ga-ref).
func (h *hypervisor) pingAgent(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
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
