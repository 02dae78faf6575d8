// Package repotest makes small signed repositories for tests.
package repotest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Package is one package of a repository.
type Package struct {
	// Control is the control paragraph; what it leaves out the index has not.
	Control string
	// File is the package file.
	File []byte
}

// NewKey makes a key to sign with.
func NewKey(t *testing.T) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("Repository", "", "repository@mirror.example", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PublicKey is key as repositories hand it out.
func PublicKey(t *testing.T, key *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := key.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Fingerprint is key's, in hexadecimal digits.
func Fingerprint(key *openpgp.Entity) string { return fmt.Sprintf("%X", key.PrimaryKey.Fingerprint) }

// Write makes a repository below dir, with one suite of component main for
// amd64, released now and signed with key.
func Write(t *testing.T, dir, suite string, key *openpgp.Entity, packages ...Package) {
	t.Helper()
	put := func(data []byte, path ...string) {
		name := filepath.Join(append([]string{dir}, path...)...)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var index strings.Builder
	for i, p := range packages {
		path := fmt.Sprintf("pool/main/p%d.deb", i)
		put(p.File, path)
		fmt.Fprintf(&index, "%s\nFilename: %s\nSize: %d\nSHA256: %x\n\n", strings.TrimSpace(p.Control), path, len(p.File), sha256.Sum256(p.File))
	}
	const list = "main/binary-amd64/Packages"
	put([]byte(index.String()), "dists", suite, list)
	release := fmt.Sprintf("Codename: %s\nSuite: %s\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n %x %d %s\n",
		suite, suite, time.Now().UTC().Format(time.RFC1123), sha256.Sum256([]byte(index.String())), index.Len(), list)
	put(Sign(t, release, nil, key), "dists", suite, "InRelease")
}

// Sign signs a text in the clear, as InRelease files are; config may be nil.
func Sign(t *testing.T, text string, config *packet.Config, signers ...*openpgp.Entity) []byte {
	t.Helper()
	var keys []*packet.PrivateKey
	for _, e := range signers {
		keys = append(keys, e.PrivateKey)
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, keys, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
