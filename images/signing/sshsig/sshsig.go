// Package sshsig makes and checks signatures by people's SSH keys in the format
// that "ssh-keygen -Y sign" writes (OpenSSH, PROTOCOL.sshsig). It knows keys of the
// type ssh-ed25519 alone, reads no file and asks nobody.
package sshsig

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"imgbuild/images/fault"
)

// Namespace keeps signatures for other purposes, such as a mail's or a commit's,
// from being taken for one of this program's.
const Namespace = "update@imgbuild"

const (
	magic   = "SSHSIG"
	version = 1
	hash    = "sha512"
	// maxBlob is the largest signature in bytes that is looked at.
	maxBlob = 4 << 10
	// maxKey is the longest line of a public key in bytes.
	maxKey = 4 << 10
)

// PublicKey is an Ed25519 public key as SSH has it.
type PublicKey struct{ key ssh.PublicKey }

// ParsePublicKey reads one line as in a file id_ed25519.pub: the type, the key in
// base 64 and perhaps a comment (sshd(8), AUTHORIZED_KEYS FILE FORMAT, without
// options).
func ParsePublicKey(line string) (PublicKey, error) {
	if len(line) > maxKey {
		return PublicKey{}, fault.Inputf("reading an SSH public key: it has %d bytes, more than any key", len(line))
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return PublicKey{}, fault.Inputf("reading an SSH public key").Because(err).
			WithHint("give the line of a file such as id_ed25519.pub")
	case len(options) > 0 || len(bytes.TrimSpace(rest)) > 0:
		return PublicKey{}, fault.Inputf("reading an SSH public key: expected one key without options")
	}
	return known(key)
}

func known(key ssh.PublicKey) (PublicKey, error) {
	if key.Type() != ssh.KeyAlgoED25519 {
		return PublicKey{}, fault.Inputf("reading an SSH public key: its type is %.60q, and only %s is known", key.Type(), ssh.KeyAlgoED25519).
			WithHint("make one: ssh-keygen -t ed25519")
	}
	return PublicKey{key: key}, nil
}

// ID is the key's fingerprint as ssh-keygen -l shows it: "SHA256:" and base 64.
func (p PublicKey) ID() string { return ssh.FingerprintSHA256(p.key) }

// Line is the key as ParsePublicKey reads it, without a comment.
func (p PublicKey) Line() string { return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(p.key))) }

// Key is a private key, or somebody who signs with one, such as an agent.
type Key struct {
	signer ssh.Signer
	public PublicKey
}

// NewKey takes what signs: a private key that was read, or an agent's.
func NewKey(signer ssh.Signer) (*Key, error) {
	public, err := known(signer.PublicKey())
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, public: public}, nil
}

// ErrPassphrase says that a private key is sealed with a passphrase, and that none
// was given.
var ErrPassphrase = errors.New("the key is sealed with a passphrase")

// ParseKey reads a private key as ssh-keygen writes it; passphrase may be nil.
func ParseKey(file, passphrase []byte) (*Key, error) {
	var signer ssh.Signer
	var err error
	if passphrase == nil {
		signer, err = ssh.ParsePrivateKey(file)
	} else {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(file, passphrase)
	}
	var sealed *ssh.PassphraseMissingError
	if errors.As(err, &sealed) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fault.Inputf("reading an SSH private key").Because(err)
	}
	return NewKey(signer)
}

// Public returns the public half.
func (k *Key) Public() PublicKey { return k.public }

// KeyID returns the public key's ID; with Sign it makes Key a dsse.Signer.
func (k *Key) KeyID() (string, error) { return k.public.ID(), nil }

// blob is the signature without its armour, after the magic.
type blob struct {
	Version             uint32
	PublicKey           []byte
	Namespace, Reserved string
	Hash                string
	Signature           []byte
}

// signed is what the key signs, after the magic.
type signed struct {
	Namespace, Reserved string
	Hash                string
	Sum                 []byte
}

func toBeSigned(message []byte) []byte {
	sum := sha512.Sum512(message)
	return append([]byte(magic), ssh.Marshal(signed{Namespace: Namespace, Hash: hash, Sum: sum[:]})...)
}

// ContextSigner is a signer that may take its time, such as an agent that asks its user.
type ContextSigner interface {
	ssh.Signer
	// SignContext is Sign that ends with its context.
	SignContext(ctx context.Context, data []byte) (*ssh.Signature, error)
}

// Sign returns the signature of a message: the bytes that an armoured one holds.
func (k *Key) Sign(ctx context.Context, message []byte) ([]byte, error) {
	sign := func(data []byte) (*ssh.Signature, error) { return k.signer.Sign(rand.Reader, data) }
	if waits, ok := k.signer.(ContextSigner); ok {
		sign = func(data []byte) (*ssh.Signature, error) { return waits.SignContext(ctx, data) }
	}
	signature, err := sign(toBeSigned(message))
	if err != nil {
		return nil, fmt.Errorf("signing with SSH key %s: %w", k.public.ID(), err)
	}
	return append([]byte(magic), ssh.Marshal(blob{
		Version: version, PublicKey: k.public.key.Marshal(), Namespace: Namespace, Hash: hash, Signature: ssh.Marshal(signature),
	})...), nil
}

// Verify says why sig is no signature of message by the key, or nil.
func (p PublicKey) Verify(message, sig []byte) error {
	rest, ok := bytes.CutPrefix(sig, []byte(magic))
	if !ok || len(sig) > maxBlob {
		return fault.Worldf("reading an SSH signature: it is none")
	}
	var b blob
	if err := ssh.Unmarshal(rest, &b); err != nil {
		return fault.Worldf("reading an SSH signature").Because(err)
	}
	switch {
	case b.Version != version || b.Hash != hash || b.Reserved != "":
		return fault.Worldf("reading an SSH signature: version %d with hash %.20q is not known", b.Version, b.Hash)
	case b.Namespace != Namespace:
		return fault.Worldf("verifying an SSH signature: it was made for %.60q, not for %q", b.Namespace, Namespace)
	case !bytes.Equal(b.PublicKey, p.key.Marshal()):
		return fault.Worldf("verifying an SSH signature: another key made it, not %s", p.ID())
	}
	var s ssh.Signature
	if err := ssh.Unmarshal(b.Signature, &s); err != nil {
		return fault.Worldf("reading an SSH signature").Because(err)
	}
	if len(s.Rest) > 0 {
		return fault.Worldf("reading an SSH signature: something follows it")
	}
	if err := p.key.Verify(toBeSigned(message), &s); err != nil {
		return fault.Worldf("verifying an SSH signature: %s did not sign these bytes", p.ID())
	}
	return nil
}

// Armour is a signature as a file that ssh-keygen -Y verify reads.
func Armour(sig []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: sig})
}
