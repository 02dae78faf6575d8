package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"imgbuild/builder/launch"
)

// guest is what a container and a machine have in common for those who try one.
type guest interface {
	// Ended is closed when it no longer runs.
	Ended() <-chan struct{}
	// Address is where a published port of it answers on this machine.
	Address(port int) string
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

// container is a guest.
type container struct{ *launch.Container }

var _ guest = container{}

func (c container) Run(ctx context.Context, command []string) error {
	out, err := c.Container.Run(ctx, command)
	return withWords(err, out)
}

// silence is how long a connection must stay open to count as served.
const silence = time.Second

// Listens connects. A published port accepts whatever lies behind it, and
// closes at once when nothing does.
func (c container) Listens(ctx context.Context, port int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.Address(port))
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
	login launch.Login
}

var _ guest = machine{}

func (m machine) Run(ctx context.Context, command []string) error {
	out, err := m.login.Run(ctx, "sudo -n -- "+launch.Quote(command))
	return withWords(err, out)
}

// Listens asks from inside: a forwarded port accepts even while the machine has
// no network yet.
func (m machine) Listens(ctx context.Context, port int) error {
	out, err := m.login.Run(ctx, fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/$(hostname -I | cut -d" " -f1)/%d'`, port))
	return withWords(err, out)
}

func withWords(err error, words string) error {
	if err != nil && words != "" {
		return fmt.Errorf("%w: %s", err, words)
	}
	return err
}
