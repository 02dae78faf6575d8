package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/report"
)

// guest is what a container and a machine have in common for those who try one.
type guest interface {
	// Ended is closed when it no longer runs.
	Ended() <-chan struct{}
	// Address is where a published port of it answers on this machine.
	Address(port int) string
	// Dial connects to a TCP port of it that is published or, on an isolated
	// network, any.
	Dial(ctx context.Context, port int) (net.Conn, error)
	// Explain adds what it said last to an error.
	Explain(err error) error
	// Run runs a command inside that must end with status 0: in a machine as
	// root, in a container as its user.
	Run(ctx context.Context, command []string) error
	// Listens asks once whether something listens on a TCP port.
	Listens(ctx context.Context, port int) error
	// Close ends it and removes its files.
	Close() error
}

// subject is a guest on an isolated network that is put through a boot trial.
type subject interface {
	guest
	// Started waits until its first process runs.
	Started(ctx context.Context) error
	// Settle waits until it has finished starting.
	Settle(ctx context.Context) error
	// Standing asks what holds for every image of its form.
	Standing(ctx context.Context) []report.Answer
	// Integrity asks whether its files are what they were, if it can tell: it
	// takes long.
	Integrity(ctx context.Context) []report.Answer
	// Sockets are those on which it listens for others.
	Sockets(ctx context.Context) ([]socket, error)
	// Owner names the process that has a socket open, "" when that is not known.
	Owner(ctx context.Context, s socket) string
	// Escape tries from inside to reach what the beacon shows.
	Escape(ctx context.Context, b *beacon) []report.Answer
	// Restart stops it and starts it again; it returns when the new start has
	// begun, be it over or not.
	Restart(ctx context.Context) error
	// Journal is its log, "" for what has none but what it writes.
	Journal(ctx context.Context) (string, error)
}

// silence is how long a connection must stay open to count as served.
const silence = time.Second

// listens connects. A published port accepts whatever lies behind it, and closes
// at once when nothing does.
func listens(ctx context.Context, g guest, port int) error {
	conn, err := g.Dial(ctx, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // it waits for the client to speak
	}
	return err
}

// machine is a guest that lets the trial's key in.
type machine struct {
	*launch.VM
	shell *shell
}

var _ subject = machine{}

func (m machine) Run(ctx context.Context, command []string) error {
	out, err := m.shell.run(ctx, "sudo -n -- "+launch.Quote(command))
	return withWords(err, out)
}

// Listens asks from inside: a forwarded port accepts even while the machine has
// no network yet.
func (m machine) Listens(ctx context.Context, port int) error {
	out, err := m.shell.run(ctx, fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/$(hostname -I | cut -d" " -f1)/%d'`, port))
	return withWords(err, out)
}

func (m machine) Close() error {
	m.shell.close()
	return m.VM.Close()
}

func withWords(err error, words string) error {
	if err != nil && words != "" {
		return fmt.Errorf("%w: %s", err, words)
	}
	return err
}
