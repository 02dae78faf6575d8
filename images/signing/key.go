package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"imgbuild/images/fault"
)

// The PEM types of an encrypted private key: cosign wrote the second one
// before 2.0 and reads both.
const (
	privatePEM       = "ENCRYPTED SIGSTORE PRIVATE KEY"
	privateLegacyPEM = "ENCRYPTED COSIGN PRIVATE KEY"
)

// maxKeyFile is the largest key file in bytes that is looked at.
const maxKeyFile = 64 << 10

// Key is an ECDSA P-256 private key. At rest it is the same file as cosign's
// cosign.key: PKCS #8, sealed with NaCl's secretbox under a scrypt key.
type Key struct {
	public PublicKey
	// private opens the private half at its first call and keeps it.
	private func() (*ecdsa.PrivateKey, error)
}

// GenerateKey makes a new key.
func GenerateKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating signing key: %w", err)
	}
	return openKey(private)
}

func openKey(private *ecdsa.PrivateKey) (*Key, error) {
	public, err := newPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return &Key{public: public, private: func() (*ecdsa.PrivateKey, error) { return private, nil }}, nil
}

// ParseKey opens an encrypted private key in PEM, ours or cosign's.
func ParseKey(file, password []byte) (*Key, error) {
	private, err := decryptKey(file, password)
	if err != nil {
		return nil, err
	}
	return openKey(private)
}

// SealedKey returns the key of ParseKey without opening it yet: Open does, or
// the first signature. That takes a tenth of a second on purpose, which is
// spared to whoever signs nothing. A file that does not hold the private half
// of public is refused then.
func SealedKey(public PublicKey, file, password []byte) *Key {
	return &Key{public: public, private: sync.OnceValues(func() (*ecdsa.PrivateKey, error) {
		private, err := decryptKey(file, password)
		if err != nil {
			return nil, err
		}
		if opened, err := newPublicKey(&private.PublicKey); err != nil || opened.ID() != public.ID() {
			return nil, errors.Join(err, fault.Worldf("opening signing key: it is not the private half of the public key beside it"))
		}
		return private, nil
	})}
}

func decryptKey(file, password []byte) (*ecdsa.PrivateKey, error) {
	if len(file) > maxKeyFile {
		return nil, fault.Inputf("reading signing key: the file has %d bytes, more than any key", len(file))
	}
	block, _ := pem.Decode(file)
	if block == nil || (block.Type != privatePEM && block.Type != privateLegacyPEM) {
		return nil, fault.Inputf("reading signing key: not a PEM block of type %q", privatePEM).
			WithHint("give the private key that imgbuild init or cosign generate-key-pair made")
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	if err != nil {
		return nil, fault.Inputf("opening signing key").Because(err).
			WithHint("check the password of the signing key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fault.Inputf("reading signing key").Because(err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fault.Inputf("reading signing key: it is not an ECDSA P-256 key")
	}
	return private, nil
}

// Open opens the private half, if that has not happened yet.
func (k *Key) Open() error {
	_, err := k.private()
	return err
}

// EncryptedPEM returns the private key sealed with a password, for a file
// that ParseKey and cosign open.
func (k *Key) EncryptedPEM(password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, fault.Inputf("sealing signing key: the password is empty")
	}
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encoding signing key: %w", err)
	}
	sealed, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, fmt.Errorf("sealing signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: sealed}), nil
}

// Public returns the public half.
func (k *Key) Public() PublicKey { return k.public }

// KeyID returns the public key's ID; with Sign it makes Key a dsse.Signer.
func (k *Key) KeyID() (string, error) { return k.public.ID(), nil }

// Sign returns the ASN.1 ECDSA signature of message's SHA-256. The nonce is
// derived from key and message (RFC 6979), so that the same bytes always get
// the same signature.
func (k *Key) Sign(_ context.Context, message []byte) ([]byte, error) {
	private, err := k.private()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(message)
	sig, err := private.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return sig, nil
}
