package repo

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"imgbuild/images/fault"
)

// Keyring is the set of keys whose signature on a release is accepted.
type Keyring struct {
	keys openpgp.EntityList
	name string
}

// maxKeyring is the most bytes of a keyring file; Debian's has 60 KiB.
const maxKeyring = 16 << 20

// LoadKeyring reads an OpenPGP keyring file, binary or armoured.
func LoadKeyring(path string) (Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Keyring{}, fault.Inputf("reading keyring").Because(err).
			WithHint("install the package debian-archive-keyring, or set keyring: to the file that holds the archive's keys")
	}
	if info.Size() > maxKeyring {
		return Keyring{}, fault.Inputf("reading keyring %s: larger than %d bytes", path, maxKeyring)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Keyring{}, fault.Inputf("reading keyring").Because(err)
	}
	return ParseKeyring(path, data)
}

// ParseKeyring reads an OpenPGP keyring, binary or armoured; name is what
// errors call it.
func ParseKeyring(name string, data []byte) (Keyring, error) {
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN PGP")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(data))
	if err != nil {
		return Keyring{}, fault.Inputf("reading keyring %s", name).Because(err)
	}
	if len(keys) == 0 {
		return Keyring{}, fault.Inputf("reading keyring %s: it holds no key", name)
	}
	return Keyring{keys: keys, name: name}, nil
}

// Only returns the keyring's one key with fingerprint, which is written in
// hexadecimal with or without spaces.
func (k Keyring) Only(fingerprint string) (Keyring, error) {
	want, err := hex.DecodeString(strings.ReplaceAll(strings.ToLower(fingerprint), " ", ""))
	if err != nil || len(want) < 20 {
		return Keyring{}, fault.Inputf("choosing key: %q is no full fingerprint", fingerprint).
			WithHint("write all 40 hexadecimal digits, as gpg --show-keys prints them")
	}
	for _, key := range k.keys {
		if bytes.Equal(key.PrimaryKey.Fingerprint, want) {
			return Keyring{keys: openpgp.EntityList{key}, name: fmt.Sprintf("key %X", want)}, nil
		}
	}
	return Keyring{}, fault.Inputf("choosing key: %s holds no key %X", k.name, want)
}
