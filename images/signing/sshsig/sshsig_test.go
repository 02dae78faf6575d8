package sshsig_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"imgbuild/images/signing/sshsig"
)

func newKey(t testing.TB) *sshsig.Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sshsig.NewKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestASignatureIsOfItsKeyAndMessage(t *testing.T) {
	key, other, message := newKey(t), newKey(t), []byte("an update")
	sig, err := key.Sign(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Public().Verify(message, sig); err != nil {
		t.Error(err)
	}
	if err := key.Public().Verify([]byte("another"), sig); err == nil {
		t.Error("it holds for another message")
	}
	if err := other.Public().Verify(message, sig); err == nil {
		t.Error("it holds for another key")
	}
	for i := range sig {
		bad := bytes.Clone(sig)
		bad[i] ^= 1
		if err := key.Public().Verify(message, bad); err == nil {
			t.Errorf("it holds with byte %d changed", i)
		}
		if err := key.Public().Verify(message, sig[:i]); err == nil {
			t.Errorf("it holds when cut after %d bytes", i)
		}
	}
	// What follows the signature proper says nothing, and would be another name for it.
	at := bytes.LastIndex(sig, []byte("ssh-ed25519")) - 8
	n := binary.BigEndian.Uint32(sig[at:])
	longer := append(binary.BigEndian.AppendUint32(bytes.Clone(sig[:at]), n+1), sig[at+4:]...)
	if err := key.Public().Verify(message, append(longer, 'x')); err == nil || !strings.Contains(err.Error(), "something follows it") {
		t.Errorf("with something behind it: %v", err)
	}
	again, err := sshsig.ParsePublicKey(key.Public().Line() + " ada@desk")
	if err != nil || again.ID() != key.Public().ID() {
		t.Errorf("read again, the key is %v, %v", again, err)
	}
}

// TestSSHKeygenAgrees signs with keys of ssh-keygen's for ssh-keygen to verify, and
// verifies what it signs.
func TestSSHKeygenAgrees(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not on this machine, and it is what is agreed with: ", err)
	}
	dir := t.TempDir()
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(keygen, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const message = "an update\n"
	for name, passphrase := range map[string]string{"plain": "", "sealed": "open sesame"} {
		file := filepath.Join(dir, name)
		run("", "-q", "-t", "ed25519", "-N", passphrase, "-C", "ada@desk", "-f", file)
		private, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		public, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		key, err := sshsig.ParseKey(private, nil)
		if passphrase != "" {
			if !errors.Is(err, sshsig.ErrPassphrase) {
				t.Fatalf("without its passphrase: %v", err)
			}
			key, err = sshsig.ParseKey(private, []byte(passphrase))
		}
		if err != nil {
			t.Fatal(err)
		}
		if shown := run("", "-l", "-f", file+".pub"); !strings.Contains(shown, key.Public().ID()) {
			t.Errorf("ssh-keygen calls the key %s, not %s", shown, key.Public().ID())
		}
		ours, err := key.Sign(t.Context(), []byte(message))
		if err != nil {
			t.Fatal(err)
		}
		signers := write("signers", append([]byte("ada "), public...))
		run(message, "-Y", "verify", "-f", signers, "-I", "ada", "-n", sshsig.Namespace, "-s", write("ours.sig", sshsig.Armour(ours)))
		if passphrase != "" {
			continue // ssh-keygen asks for it on a terminal
		}
		armoured := run(message, "-Y", "sign", "-f", file, "-n", sshsig.Namespace)
		block, _ := pem.Decode([]byte(armoured[strings.Index(armoured, "-----BEGIN"):]))
		if block == nil {
			t.Fatalf("no signature in %s", armoured)
		}
		parsed, err := sshsig.ParsePublicKey(string(public))
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify([]byte(message), block.Bytes); err != nil {
			t.Error(err)
		}
		foreign := run(message, "-Y", "sign", "-f", file, "-n", "git")
		block, _ = pem.Decode([]byte(foreign[strings.Index(foreign, "-----BEGIN"):]))
		if err := parsed.Verify([]byte(message), block.Bytes); err == nil || !strings.Contains(err.Error(), `made for "git"`) {
			t.Errorf("a signature of a commit: %v", err)
		}
	}
	run("", "-q", "-t", "ecdsa", "-N", "", "-f", filepath.Join(dir, "ecdsa"))
	public, err := os.ReadFile(filepath.Join(dir, "ecdsa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sshsig.ParsePublicKey(string(public)); err == nil || !strings.Contains(err.Error(), "only ssh-ed25519 is known") {
		t.Errorf("another type of key: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	sig, err := key.Sign(f.Context(), []byte("m"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Add([]byte("SSHSIG"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := key.Public().Verify([]byte("another"), data); err == nil {
			t.Errorf("%x is a signature of what was never signed", data)
		}
	})
}
