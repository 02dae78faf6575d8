package project

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/sshsig"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/records"
	"imgbuild/images/updates/roster"
)

// Records opens the records of updates in the archive, judged by the project's roster
// and its own keys.
func (p *Project) Records() (*records.Store, error) {
	who, err := p.roster()
	if err != nil {
		return nil, err
	}
	return records.Open(p.Config.Archive.Dir, who, time.Now), nil
}

func (p *Project) roster() (*roster.Roster, error) {
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(filepath.Dir(p.RosterFile()))
	if errors.Is(err, fs.ErrNotExist) {
		return (&roster.Roster{}).WithProject(trust), nil
	}
	if err != nil {
		return nil, fault.Failedf("reading the roster").Because(err)
	}
	defer dir.Close()
	who, err := roster.Load(dir.FS(), p.RosterFile())
	if err != nil {
		return nil, err
	}
	if !who.Written && p.Config.Policy.Policy.Mode == policy.Approved {
		return nil, fault.Inputf("policy.mode is approved, and there is no %s that says who may approve", p.RosterFile()).
			WithHint("write it, with a line for each person: NAME: {role: approver, keys: [{ssh: ssh-ed25519 AAAA…}]}")
	}
	return who.WithProject(trust), nil
}

// ApproverKey returns the key that the user decides with: approver-key:, else the
// project's own. made says which keys were made for it, see SigningKey.
func (p *Project) ApproverKey(ask Ask) (key records.Key, made *NewKeys, err error) {
	if p.Config.ApproverKey == "" {
		return p.SigningKey(ask)
	}
	data, err := readKeyFile(p.Config.ApproverKey)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		key, err = agentKey(strings.TrimSpace(string(data)))
		return key, nil, err
	}
	key, err = privateKey(p.Config.ApproverKey, data, ask)
	return key, nil, err
}

// maxKeyFile is the largest file in bytes that is taken for a key.
const maxKeyFile = 64 << 10

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Inputf("reading the approver's key").Because(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fault.Failedf("reading the approver's key").Because(err)
	}
	if len(data) > maxKeyFile {
		return nil, fault.Inputf("reading the approver's key: %s has more bytes than any key", path)
	}
	return data, nil
}

// privateKey opens an SSH key, or one as imgbuild init makes it.
func privateKey(path string, data []byte, ask Ask) (records.Key, error) {
	if bytes.Contains(data, []byte("SIGSTORE PRIVATE KEY")) || bytes.Contains(data, []byte("COSIGN PRIVATE KEY")) {
		password, err := askFor("password of "+path+": ", ask)
		if err != nil {
			return nil, err
		}
		return signing.ParseKey(data, password)
	}
	key, err := sshsig.ParseKey(data, nil)
	if !errors.Is(err, sshsig.ErrPassphrase) {
		return key, err
	}
	passphrase, err := askFor("passphrase of "+path+": ", ask)
	if err != nil {
		return nil, err
	}
	return sshsig.ParseKey(data, passphrase)
}

func askFor(prompt string, ask Ask) ([]byte, error) {
	if ask == nil {
		return nil, fault.Heldf("opening the approver's key: only a person can open it, and there is no terminal to ask on").
			WithHint("add it to an SSH agent (ssh-add), and give the public half's file as approver-key")
	}
	return ask(prompt)
}

// agentKey is a key that an SSH agent has.
func agentKey(line string) (*sshsig.Key, error) {
	if _, err := sshsig.ParsePublicKey(line); err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, fault.Inputf("reading an SSH public key").Because(err)
	}
	return sshsig.NewKey(&agentSigner{public: public, socket: os.Getenv("SSH_AUTH_SOCK")})
}

// agentWait is how long an agent has to answer.
const agentWait = 2 * time.Minute

// agentSigner asks an agent for each signature anew.
type agentSigner struct {
	public ssh.PublicKey
	socket string
}

func (s *agentSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *agentSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignContext(context.Background(), data)
}

var _ sshsig.ContextSigner = (*agentSigner)(nil)

func (s *agentSigner) SignContext(ctx context.Context, data []byte) (*ssh.Signature, error) {
	if s.socket == "" {
		return nil, fault.Inputf("asking the SSH agent: SSH_AUTH_SOCK is not set").
			WithHint("start one (eval $(ssh-agent); ssh-add), or give the private key's file as approver-key")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	if err != nil {
		return nil, fault.Failedf("asking the SSH agent").Because(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	// It may ask its user; others wait for the records meanwhile.
	if err := conn.SetDeadline(time.Now().Add(agentWait)); err != nil {
		return nil, fault.Failedf("asking the SSH agent").Because(err)
	}
	signature, err := agent.NewClient(conn).Sign(s.public, data)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fault.Failedf("asking the SSH agent for a signature of %s", ssh.FingerprintSHA256(s.public)).Because(err).
			WithHint("see whether it has the key: ssh-add -l")
	}
	return signature, nil
}
