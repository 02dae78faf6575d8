package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// monitor is a connection to QEMU's monitor (docs/interop/qmp-spec.txt).
type monitor struct {
	conn  net.Conn
	lines *bufio.Scanner
}

// newMonitor makes a connected pair of sockets: ours, and the one QEMU inherits.
func newMonitor() (*monitor, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making qemu's monitor: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "monitor"), os.NewFile(uintptr(fds[1]), "monitor")
	conn, err := net.FileConn(ours)
	ours.Close() // FileConn has a descriptor of its own
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("making qemu's monitor: %w", err)
	}
	return &monitor{conn: conn, lines: bufio.NewScanner(conn)}, theirs, nil
}

// patience is how long QEMU may take to answer.
const patience = 10 * time.Second

// execute sends a command and waits for its answer. It is not safe for use by
// several goroutines at once.
func (m *monitor) execute(ctx context.Context, name string) error {
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := m.conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("talking to qemu: %w", err)
	}
	for _, command := range []string{"qmp_capabilities", name} {
		if err := json.NewEncoder(m.conn).Encode(map[string]string{"execute": command}); err != nil {
			return fmt.Errorf("talking to qemu: %w", err)
		}
		if err := m.answer(command); err != nil {
			return err
		}
	}
	return nil
}

// answer reads lines until the answer to a command; the greeting and events
// come between.
func (m *monitor) answer(command string) error {
	for m.lines.Scan() {
		var line struct {
			Return json.RawMessage
			Error  *struct{ Class, Desc string }
		}
		if err := json.Unmarshal(m.lines.Bytes(), &line); err != nil {
			return fmt.Errorf("talking to qemu: %s: %w", command, err)
		}
		// A second negotiation is refused so, and harmless.
		if line.Error != nil && line.Error.Class == "CommandNotFound" && command == "qmp_capabilities" {
			return nil
		}
		if line.Error != nil {
			return fmt.Errorf("qemu refused %s: %s", command, line.Error.Desc)
		}
		if line.Return != nil {
			return nil
		}
	}
	if err := m.lines.Err(); err != nil {
		return fmt.Errorf("talking to qemu: %s: %w", command, err)
	}
	return fmt.Errorf("talking to qemu: it hung up on %s", command)
}
