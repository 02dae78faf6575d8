package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"imgbuild/builder/launch"
	"imgbuild/images/fault"
)

// Server is a server that is logged in to.
type Server struct {
	Host  Host
	Facts Facts

	client *ssh.Client
	login  *login
	stop   func() bool
}

// Facts are what a server says of itself.
type Facts struct {
	// Platform is such as "debian-12", Architecture is Debian's name of it.
	Platform, Architecture string
	// Baseline and Stage are of the image that it runs; empty on others.
	Baseline, Stage string
	// Root says that the login is root's.
	Root bool
}

// patience is how long a server may take to answer a connection.
const patience = 30 * time.Second

// Connect logs in to a server and asks what it is. The connection ends with ctx.
// A server that cannot be reached, or whose host key is not the known one, is a
// fault.World.
func (c Client) Connect(ctx context.Context, h Host) (*Server, error) {
	keys, err := c.hostKeys(h)
	if err != nil {
		return nil, err
	}
	l, err := c.login(h)
	if err != nil {
		return nil, err
	}
	s := &Server{Host: h, login: l}
	if err := s.connect(ctx, keys); err != nil {
		l.close()
		return nil, err
	}
	if s.Facts, err = s.look(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("asking %s what it is: %w", h, err), s.Close())
	}
	return s, nil
}

func (s *Server) connect(ctx context.Context, keys *hostKeys) error {
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", s.Host.Address())
	if err != nil {
		return s.unreachable(ctx, err)
	}
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	early := time.AfterFunc(patience, func() { conn.Close() })
	transport, channels, requests, err := ssh.NewClientConn(conn, s.Host.Address(), &ssh.ClientConfig{
		User: s.Host.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.login.signers...)},
		HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(conn.RemoteAddr()),
	})
	if !early.Stop() && err == nil {
		err = errors.New("the connection timed out")
	}
	switch {
	case err == nil:
		s.client = ssh.NewClient(transport, channels, requests)
		return nil
	case keys.problem != nil:
		err = keys.problem
	case strings.Contains(err.Error(), "unable to authenticate"):
		err = fault.Worldf("%s does not let %s in with %s", s.Host.Name, s.Host.User, s.login.offered()).
			WithHint("add the public key to the user's authorized_keys there, or name another with --identity FILE; try: %s", s.Host.command())
	default:
		err = s.unreachable(ctx, err)
	}
	s.stop()
	conn.Close()
	return err
}

func (s *Server) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fault.Worldf("%s cannot be reached: there is no host of the name %s", s.Host, s.Host.Name).WithHint("see how it is spelt, in ssh_config and in DNS")
	case errors.Is(err, io.EOF):
		err = errors.New("it ends the connection before a login: perhaps no SSH server answers there")
	}
	return fault.Worldf("%s cannot be reached", s.Host).Because(err).WithHint("try: %s", s.Host.command())
}

// Close ends the connection.
func (s *Server) Close() error {
	s.stop()
	defer s.login.close()
	if err := s.client.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("closing the connection to %s: %w", s.Host, err)
	}
	return nil
}

// maxFacts is the most that a server may say of itself, in bytes.
const maxFacts = 256 << 10

// look reads a few facts. Nothing is sent for it.
func (s *Server) look(ctx context.Context) (Facts, error) {
	const apart = "--imgbuild--"
	out, err := s.run(ctx, `uname -s; uname -m; id -u; echo `+apart+`
head -c 65536 /etc/os-release; echo; echo `+apart+`
if [ -e /usr/lib/imgbuild/image.json ]; then head -c 65536 /usr/lib/imgbuild/image.json; fi`, nil, maxFacts)
	if err != nil {
		return Facts{}, err
	}
	parts := strings.Split(string(out), apart+"\n")
	if len(parts) != 3 {
		return Facts{}, fault.Worldf("its shell does not answer as one: %.80q", out)
	}
	var f Facts
	words := strings.Fields(parts[0])
	if len(words) != 3 || words[0] != "Linux" {
		return Facts{}, fault.Worldf("it runs no Linux: %.80q", parts[0])
	}
	f.Root = words[2] == "0"
	switch words[1] {
	case "x86_64":
		f.Architecture = "amd64"
	case "aarch64":
		f.Architecture = "arm64"
	default:
		return Facts{}, fault.Worldf("its processor is of the kind %q, for which there is no imgbuild-guest", words[1])
	}
	f.Platform = platform(parts[1])
	if f.Platform == "" {
		return Facts{}, fault.Worldf("its /etc/os-release names no system")
	}
	if strings.TrimSpace(parts[2]) != "" {
		var image struct{ Baseline, Stage string }
		if err := json.Unmarshal([]byte(parts[2]), &image); err != nil {
			return Facts{}, fault.Worldf("its /usr/lib/imgbuild/image.json cannot be read").Because(err)
		}
		f.Baseline, f.Stage = image.Baseline, image.Stage
	}
	return f, nil
}

// platform is ID and the first part of VERSION_ID of os-release(5).
func platform(release string) string {
	var id, version string
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = value
		case "VERSION_ID":
			version, _, _ = strings.Cut(value, ".")
		}
	}
	if version == "" {
		return id
	}
	return id + "-" + version
}

// run runs a script of sh(1) on the server and returns what it writes, at most
// limit bytes. What it complains of is the error's.
func (s *Server) run(ctx context.Context, script string, stdin io.Reader, limit int) ([]byte, error) {
	session, err := s.client.NewSession()
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { session.Close() })()
	out, complaint := &bounded{limit: limit}, &bounded{limit: 8 << 10, silent: true}
	out.full = func() { session.Close() }
	session.Stdin, session.Stdout, session.Stderr = stdin, out, complaint
	err = session.Run(launch.Quote([]string{"sh", "-c", script}))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.over:
		return nil, fmt.Errorf("the server answers more than %d bytes", limit)
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return out.kept.Bytes(), &ended{status: exit.ExitStatus(), complaint: strings.TrimSpace(complaint.kept.String())}
	}
	if err != nil {
		return nil, fault.Worldf("the connection to %s broke", s.Host).Because(err)
	}
	return out.kept.Bytes(), nil
}

// ended is a script that did not end well.
type ended struct {
	status    int
	complaint string
}

func (e *ended) Error() string {
	if e.complaint == "" {
		return fmt.Sprintf("a command on the server ended with exit code %d", e.status)
	}
	return fmt.Sprintf("a command on the server ended with exit code %d: %q", e.status, e.complaint)
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	// kept is no embedded field: its ReadFrom would be used instead of Write.
	kept  bytes.Buffer
	limit int
	// silent lets go what is too much; else full is called once, and over set.
	silent, over bool
	full         func()
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.kept.Len()
	if len(p) <= room {
		return b.kept.Write(p)
	}
	b.kept.Write(p[:room])
	if b.silent {
		return len(p), nil
	}
	if !b.over {
		b.over = true
		b.full()
	}
	return 0, errors.New("more than is read")
}
