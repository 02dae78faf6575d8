package live

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"imgbuild/images/fault"
)

// maxIdentity is the largest private key that is read, in bytes.
const maxIdentity = 1 << 20

// login is the keys that a server is offered, in their order: those that are
// named, then those of the agent, then the user's usual ones. Servers end a
// login after a few.
type login struct {
	signers []ssh.Signer
	// passed are why others are not offered.
	passed []string
	agent  net.Conn
}

func (l *login) close() {
	if l.agent != nil {
		l.agent.Close()
	}
}

func (c Client) login(h Host) (*login, error) {
	l := &login{}
	held := l.fromAgent(c.Agent)
	for _, file := range slices.Concat(c.Identities, h.identities) {
		required := slices.Contains(c.Identities, file)
		if err := l.fromFile(file, held); err != nil && (required || !errors.Is(err, fs.ErrNotExist)) {
			if required {
				l.close()
				if errors.Is(err, fs.ErrNotExist) {
					return nil, fault.Inputf("there is no key %s to log in to %s with", file, h).WithHint("name the file of a private key: --identity FILE")
				}
				return nil, fault.Inputf("logging in to %s", h).Because(err).WithHint("name a private key with --identity FILE")
			}
			l.passed = append(l.passed, err.Error())
		}
	}
	if !h.exclusive {
		for _, signer := range held {
			l.offer(signer)
		}
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			if err := l.fromFile(filepath.Join(c.Home, ".ssh", name), held); err != nil && !errors.Is(err, fs.ErrNotExist) {
				l.passed = append(l.passed, err.Error())
			}
		}
	}
	if len(l.signers) == 0 {
		l.close()
		problem := fault.Worldf("there is no key to log in to %s with", h).
			WithHint("start an agent and ssh-add a key, or name one with --identity FILE")
		if len(l.passed) > 0 {
			return nil, problem.Because(errors.New(strings.Join(l.passed, "; ")))
		}
		return nil, problem
	}
	return l, nil
}

// fromAgent asks the agent what it holds; one that is gone holds nothing.
func (l *login) fromAgent(socket string) []ssh.Signer {
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		l.passed = append(l.passed, fmt.Sprintf("asking the SSH agent: %v", err))
		return nil
	}
	l.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		l.passed = append(l.passed, fmt.Sprintf("asking the SSH agent: %v", err))
	}
	return signers
}

// offered tells of the keys for an error.
func (l *login) offered() string {
	if len(l.signers) == 1 {
		return "the key " + ssh.FingerprintSHA256(l.signers[0].PublicKey())
	}
	return fmt.Sprintf("any of %d keys", len(l.signers))
}

func (l *login) offer(signer ssh.Signer) {
	key := signer.PublicKey().Marshal()
	if !slices.ContainsFunc(l.signers, func(s ssh.Signer) bool { return bytes.Equal(s.PublicKey().Marshal(), key) }) {
		l.signers = append(l.signers, signer)
	}
}

// fromFile reads a private key. One with a password must be held by the agent.
func (l *login) fromFile(file string, held []ssh.Signer) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading a key to log in with: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentity))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading a key to log in with: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		l.offer(signer)
		return nil
	case !errors.As(err, &locked):
		return fault.Inputf("%s is no private key of SSH", file).Because(err)
	}
	for _, signer := range held {
		if locked.PublicKey != nil && bytes.Equal(signer.PublicKey().Marshal(), locked.PublicKey.Marshal()) {
			l.offer(signer)
			return nil
		}
	}
	return fault.Inputf("%s has a password", file).WithHint("give it to the agent: ssh-add %s", file)
}
