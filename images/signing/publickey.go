package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"imgbuild/images/fault"
)

// PublicKey is an ECDSA P-256 public key.
type PublicKey struct {
	key *ecdsa.PublicKey
	der []byte
}

func newPublicKey(key *ecdsa.PublicKey) (PublicKey, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("encoding public key: %w", err)
	}
	return PublicKey{key: key, der: der}, nil
}

// ParsePublicKey reads a public key in PEM (PKIX), the same file as cosign.pub.
func ParsePublicKey(file []byte) (PublicKey, error) {
	if len(file) > maxKeyFile {
		return PublicKey{}, fault.Inputf("reading public key: the file has %d bytes, more than any key", len(file))
	}
	block, _ := pem.Decode(file)
	if block == nil || block.Type != "PUBLIC KEY" {
		return PublicKey{}, fault.Inputf("reading public key: not a PEM block of type %q", "PUBLIC KEY")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fault.Inputf("reading public key").Because(err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return PublicKey{}, fault.Inputf("reading public key: it is not an ECDSA P-256 key")
	}
	return newPublicKey(key)
}

// ID is the SHA-256, in lower-case hex, of the key's SubjectPublicKeyInfo.
func (p PublicKey) ID() string {
	sum := sha256.Sum256(p.der)
	return hex.EncodeToString(sum[:])
}

// PEM returns the key for a file that ParsePublicKey, cosign and openssl read.
func (p PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.der})
}

// verifies reports whether sig is this key's signature of message.
func (p PublicKey) verifies(message, sig []byte) bool {
	if p.key == nil {
		return false
	}
	sum := sha256.Sum256(message)
	return ecdsa.VerifyASN1(p.key, sum[:], sig)
}
