package project_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"imgbuild/builder/project"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

func TestThePolicyIsRead(t *testing.T) {
	home(t)
	const text = `policy:
  mode: approved
  trial: optional
  two-person: true
  auto-approve: {severity: high, soak: 24h, trial: passed}
  hold-for: 14d
  hold:
    - openssl
    - {packages: linux-image-*, until: 2027-01-15, why: after the fair}
`
	p := opened(t, project.Options{Dir: written(t, text)})
	want := policy.Policy{
		Mode: policy.Approved, Trial: policy.Optional, TwoPerson: true,
		AutoApprove: &policy.AutoApprove{Severity: control.High, Soak: policy.Span(24 * time.Hour), Trial: "passed"},
		HoldFor:     policy.Span(14 * 24 * time.Hour),
		Hold: []policy.Hold{
			{Packages: "openssl"},
			{Packages: "linux-image-*", Until: control.Date{Time: time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC)}, Why: "after the fair"},
		},
	}
	if diff := cmp.Diff(want, p.Config.Policy.Policy); diff != "" {
		t.Error(diff)
	}
	if p = opened(t, project.Options{Dir: written(t, "mirror: http://x.example\n")}); p.Config.Policy.Policy.Mode != policy.Open {
		t.Errorf("by default it is %+v", p.Config.Policy)
	}
}

func TestThePolicyIsStrict(t *testing.T) {
	home(t)
	for text, want := range map[string]string{
		"policy: {two-persons: true}":                             `imgbuild.yaml:1:10: unknown setting "policy.two-persons"`,
		"policy: {two-person: maybe}":                             `imgbuild.yaml:1:22: expected true or false for "two-person"`,
		"policy: {trial: never}":                                  `unknown value "never" for "trial"`,
		"policy: {auto-approve: {soak: 24h}}":                     `missing key "severity"`,
		"policy: {auto-approve: {severity: bad}}":                 `unknown value "bad" for "severity"`,
		"policy: {auto-approve: {severity: high, soak: long}}":    `expected a time such as 15m, 24h or 30d, found "long"`,
		"policy: {auto-approve: {severity: high, trial: failed}}": `unknown value "failed" for "trial"`,
		"policy: {hold: openssl}":                                 `expected a list for "hold", found the text "openssl"; write [openssl]`,
		"policy: {hold: ['li[']}":                                 `"li[" is no name of packages`,
		"policy: {hold: [{packages: a, until: soon}]}":            "expected a day such as",
		"policy: {hold: [{until: 2027-01-01}]}":                   `missing key "packages"`,
		"policy: {hold-for: 1}":                                   "expected a time such as",
		"policy.two-person: true\npolicy:\n  two-person: false\n": "policy.two-person was given already at line 1",
	} {
		_, err := project.Open(project.Options{Dir: written(t, text)})
		if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestModeApprovedNeedsARoster(t *testing.T) {
	home(t)
	p := opened(t, project.Options{Dir: written(t, "policy: {mode: approved}\n")})
	if _, err := p.Records(); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "approvers.yaml") || fault.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
	public, _ := newSSHKey(t)
	roster := "ada: {role: approver, keys: [{ssh: " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + "}]}\n"
	if err := os.WriteFile(p.RosterFile(), []byte(roster), 0o644); err != nil {
		t.Fatal(err)
	}
	records, err := p.Records()
	if err != nil {
		t.Fatal(err)
	}
	if got := records.Roster.Approvers(time.Now()); !cmp.Equal(got, []string{"ada"}) {
		t.Errorf("approvers: %v", got)
	}
}

func newSSHKey(t *testing.T) (ssh.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, private
}

// TestAnApproversKeyIsWhereTheySay signs with a plain key, one with a passphrase, one
// that an agent has, and the project's.
func TestAnApproversKeyIsWhereTheySay(t *testing.T) {
	dir := filepath.Join(home(t), "acme")
	if _, err := project.Init(dir, project.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	public, private := newSSHKey(t)
	file := func(name string, block *pem.Block, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain, err := ssh.MarshalPrivateKey(private, "ada")
	plainFile := file("plain", plain, err)
	sealed, err := ssh.MarshalPrivateKeyWithPassphrase(private, "ada", []byte("open sesame"))
	sealedFile := file("sealed", sealed, err)
	publicFile := filepath.Join(t.TempDir(), "ada.pub")
	if err := os.WriteFile(publicFile, ssh.MarshalAuthorizedKey(public), 0o644); err != nil {
		t.Fatal(err)
	}

	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, conn)
			conn.Close()
		}
	}()

	asked := func(string) ([]byte, error) { return []byte("open sesame"), nil }
	sign := func(path, socket string, ask project.Ask) (string, error) {
		t.Setenv("SSH_AUTH_SOCK", socket)
		p := opened(t, project.Options{Dir: dir})
		p.Config.ApproverKey = path
		key, _, err := p.ApproverKey(ask)
		if err != nil {
			return "", err
		}
		if _, err := key.Sign(t.Context(), []byte("an update")); err != nil {
			return "", err
		}
		return key.KeyID()
	}
	for name, c := range map[string]struct {
		path, socket string
		ask          project.Ask
	}{
		"plain":        {plainFile, "", nil},
		"a passphrase": {sealedFile, "", asked},
		"in an agent":  {publicFile, socket, nil},
	} {
		if id, err := sign(c.path, c.socket, c.ask); err != nil || id != ssh.FingerprintSHA256(public) {
			t.Errorf("%s: signed with %s, %v", name, id, err)
		}
	}
	if id, err := sign("", "", nil); err != nil || len(id) != 64 {
		t.Errorf("the project's: signed with %s, %v", id, err)
	}
	if _, err := sign(sealedFile, "", nil); fault.KindOf(err) != fault.Held || !strings.Contains(fault.HintOf(err), "ssh-add") {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, err := sign(publicFile, "", nil); err == nil || !strings.Contains(err.Error(), "SSH_AUTH_SOCK is not set") {
		t.Errorf("no agent: %v", err)
	}
	other, _ := newSSHKey(t)
	if err := os.WriteFile(publicFile, ssh.MarshalAuthorizedKey(other), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sign(publicFile, socket, nil); err == nil || !strings.Contains(err.Error(), "asking the SSH agent for a signature") {
		t.Errorf("a key that the agent has not: %v", err)
	}
}

// An agent may ask its user, who is not there; whoever waits for it can be interrupted.
func TestAnAgentThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	public, _ := newSSHKey(t)
	file, socket := filepath.Join(t.TempDir(), "ada.pub"), filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(public), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the user has gone")
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			cancel(err)
			return
		}
		_, err = conn.Read(make([]byte, 1)) // it is asked by now
		cancel(errors.Join(gone, err))
		_, _ = io.Copy(io.Discard, conn) // until the other end closes
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	p := opened(t, project.Options{WorkDir: home(t)})
	p.Config.ApproverKey = file
	key, _, err := p.ApproverKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(ctx, []byte("an update")); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
