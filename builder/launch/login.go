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

// Run runs a shell command in the machine and returns its trimmed output, both
// streams together. The connection is its own and ends with ctx: a guest that
// goes down may leave it open for ever. Whose host key answers is not looked at:
// the machine is a new one on a port of this host's loopback.
func (l Login) Run(ctx context.Context, command string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	transport, channels, requests, err := ssh.NewClientConn(conn, l.Address, &ssh.ClientConfig{
		User: l.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(l.Key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	client := ssh.NewClient(transport, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
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
