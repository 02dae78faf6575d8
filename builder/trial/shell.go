package trial

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"imgbuild/builder/launch"
)

// shell keeps one connection to a machine for all who ask it something. While it
// boots, one at a time tries to log in, and not without a pause: each vain login
// slows an emulated machine down.
type shell struct {
	login launch.Login

	mu    sync.Mutex
	open  *launch.Shell
	tried time.Time
}

// loginPause is the least time between two vain logins.
const loginPause = 2 * time.Second

// run runs a shell command in the machine and returns its output, both streams
// together. When the connection breaks, the next call makes a new one.
func (s *shell) run(ctx context.Context, command string) (string, error) {
	connection, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	out, err := connection.Run(ctx, command)
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.drop(connection)
	}
	return out, err
}

func (s *shell) connect(ctx context.Context) (*launch.Shell, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return s.open, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Until(s.tried.Add(loginPause))):
	}
	connection, err := s.login.Connect(ctx)
	s.tried = time.Now()
	if err == nil {
		s.open = connection
	}
	return connection, err
}

// drop lets a connection go.
func (s *shell) drop(connection *launch.Shell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connection.Close()
	if s.open == connection {
		s.open = nil
	}
}

// close lets the connection go, if there is one.
func (s *shell) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		s.open.Close()
		s.open = nil
	}
}
