package signing

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"

	"imgbuild/images/fault"
)

// PGPKey is an OpenPGP key that signs package repositories: version 4,
// Ed25519, so that every apt since Debian 9 verifies it.
type PGPKey struct {
	entity *openpgp.Entity
}

// GeneratePGPKey makes a key without an end whose user id is "name <email>".
func GeneratePGPKey(name, email string, created time.Time) (*PGPKey, error) {
	entity, err := openpgp.NewEntity(name, "", email, pgpConfig(created))
	if err != nil {
		return nil, fault.Inputf("generating OpenPGP key for %q <%s>", name, email).Because(err)
	}
	return &PGPKey{entity: entity}, nil
}

// ParsePGPKey opens an armoured private key of one identity.
func ParsePGPKey(file, password []byte) (*PGPKey, error) {
	if len(file) > maxKeyFile {
		return nil, fault.Inputf("reading OpenPGP key: the file has %d bytes, more than any key", len(file))
	}
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(file))
	if err != nil {
		return nil, fault.Inputf("reading OpenPGP key").Because(err)
	}
	if len(ring) != 1 || ring[0].PrivateKey == nil {
		return nil, fault.Inputf("reading OpenPGP key: expected one private key, found %d keys", len(ring))
	}
	if err := ring[0].DecryptPrivateKeys(password); err != nil {
		return nil, fault.Inputf("opening OpenPGP key").Because(err).
			WithHint("check the password of the OpenPGP key")
	}
	return &PGPKey{entity: ring[0]}, nil
}

// EncryptedArmor returns the private key sealed with a password, for a file
// that ParsePGPKey and gpg --import open. The key itself stays usable.
func (k *PGPKey) EncryptedArmor(password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, fault.Inputf("sealing OpenPGP key: the password is empty")
	}
	copied, err := k.copy()
	if err != nil {
		return nil, err
	}
	config := pgpConfig(time.Time{})
	config.S2KConfig = &s2k.Config{S2KMode: s2k.IteratedSaltedS2K, Hash: crypto.SHA256, S2KCount: 65011712}
	if err := copied.EncryptPrivateKeys(password, config); err != nil {
		return nil, fmt.Errorf("sealing OpenPGP key: %w", err)
	}
	return armoured(openpgp.PrivateKeyType, func(w io.Writer) error {
		return copied.SerializePrivateWithoutSigning(w, config)
	})
}

// copy returns the same key in memory of its own.
func (k *PGPKey) copy() (*openpgp.Entity, error) {
	var buffer bytes.Buffer
	if err := k.entity.SerializePrivateWithoutSigning(&buffer, nil); err != nil {
		return nil, fmt.Errorf("copying OpenPGP key: %w", err)
	}
	copied, err := openpgp.ReadEntity(packet.NewReader(&buffer))
	if err != nil {
		return nil, fmt.Errorf("copying OpenPGP key: %w", err)
	}
	return copied, nil
}

// PublicArmor returns the armoured public key, for apt's Signed-By.
func (k *PGPKey) PublicArmor() ([]byte, error) {
	return armoured(openpgp.PublicKeyType, k.entity.Serialize)
}

// Fingerprint is the primary key's, in 40 upper-case hex digits.
func (k *PGPKey) Fingerprint() string {
	return strings.ToUpper(fmt.Sprintf("%x", k.entity.PrimaryKey.Fingerprint))
}

// Created is when the key was made: no signature of it is older.
func (k *PGPKey) Created() time.Time { return k.entity.PrimaryKey.CreationTime.UTC() }

// ClearSign returns message in the clear-signed form of an InRelease file,
// dated at.
func (k *PGPKey) ClearSign(message []byte, at time.Time) ([]byte, error) {
	signing, ok := k.entity.SigningKey(at)
	if !ok {
		return nil, fault.Inputf("signing with OpenPGP key %s: it cannot sign at %s", k.Fingerprint(), at.UTC().Format(time.RFC3339))
	}
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, signing.PrivateKey, pgpConfig(at))
	if err != nil {
		return nil, fmt.Errorf("signing with OpenPGP key: %w", err)
	}
	if _, err := w.Write(message); err != nil {
		return nil, fmt.Errorf("signing with OpenPGP key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("signing with OpenPGP key: %w", err)
	}
	return checksummed(out.Bytes())
}

// checksummed gives the signature at the end of a clear-signed message the
// armour checksum that the library leaves out: without one GnuPG 2.2 stumbles
// over signatures whose base64 needs no padding.
func checksummed(message []byte) ([]byte, error) {
	start := bytes.LastIndex(message, []byte("-----BEGIN "+openpgp.SignatureType+"-----"))
	if start < 0 {
		return nil, fmt.Errorf("signing with OpenPGP key: no signature was written")
	}
	block, err := armor.Decode(bytes.NewReader(message[start:]))
	if err != nil {
		return nil, fmt.Errorf("signing with OpenPGP key: %w", err)
	}
	signature, err := armoured(openpgp.SignatureType, func(w io.Writer) error {
		_, err := io.Copy(w, block.Body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return append(message[:start:start], signature...), nil
}

// DetachSign returns the armoured signature of message, the form of a
// Release.gpg file, dated at.
func (k *PGPKey) DetachSign(message []byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	if err := openpgp.DetachSign(&out, k.entity, bytes.NewReader(message), pgpConfig(at)); err != nil {
		return nil, fmt.Errorf("signing with OpenPGP key: %w", err)
	}
	return armoured(openpgp.SignatureType, func(w io.Writer) error {
		_, err := out.WriteTo(w)
		return err
	})
}

func pgpConfig(at time.Time) *packet.Config {
	salted := false // Ed25519 needs no salt, and without it the bytes depend on the message alone
	config := &packet.Config{
		Algorithm:                             packet.PubKeyAlgoEdDSA,
		DefaultHash:                           crypto.SHA512,
		DefaultCipher:                         packet.CipherAES256,
		NonDeterministicSignaturesViaNotation: &salted,
	}
	if !at.IsZero() {
		config.Time = func() time.Time { return at }
	}
	return config
}

func armoured(blockType string, write func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, blockType, nil)
	if err != nil {
		return nil, fmt.Errorf("armouring OpenPGP data: %w", err)
	}
	if err := write(w); err != nil {
		return nil, fmt.Errorf("armouring OpenPGP data: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("armouring OpenPGP data: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
