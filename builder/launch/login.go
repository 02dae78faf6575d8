package launch

import (
	"context"
	"errors"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Login is how commands are run in a machine that this program started.
type Login struct {
	// Address is where its SSH server answers, host:port.
	Address, User string
	Key           ssh.Signer
}

// Run runs a shell command in the machine over a connection of its own and
// returns its trimmed output, both streams together. It ends with ctx: a guest
// that goes down may leave the connection open for ever.
func (l Login) Run(ctx context.Context, command string) (string, error) {
	shell, err := l.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer shell.Close()
	return shell.Run(ctx, command)
}

// Shell is a connection that commands are run over: an emulated machine takes
// seconds for each login.
type Shell struct {
	client *ssh.Client
}

// Connect logs in. Whose host key answers is not looked at: the machine is a new
// one on a port of this host's loopback.
func (l Login) Connect(ctx context.Context) (*Shell, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.Address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	transport, channels, requests, err := ssh.NewClientConn(conn, l.Address, &ssh.ClientConfig{
		User: l.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(l.Key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		conn.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	return &Shell{client: ssh.NewClient(transport, channels, requests)}, nil
}

// Run runs a shell command and returns its trimmed output, both streams
// together. When ctx ends, the whole connection does.
func (s *Shell) Run(ctx context.Context, command string) (string, error) {
	defer context.AfterFunc(ctx, func() { s.client.Close() })()
	session, err := s.client.NewSession()
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	defer session.Close()
	out := &firstWords{}
	session.Stdout, session.Stderr = out, out
	err = session.Run(command)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.String(), err
}

// Close ends the connection.
func (s *Shell) Close() {
	s.client.Close() // it only lets go of what the guest may have ended already
}

// Quote makes a shell command of words.
func Quote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// Run runs a command in the container as its user and returns its trimmed
// output, both streams together.
func (c *Container) Run(ctx context.Context, command []string) (string, error) {
	args := append(append(c.podman("podman"), "exec", c.name), command...)
	out := &firstWords{}
	cmd := c.beside(ctx, args)
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return out.String(), err
}
