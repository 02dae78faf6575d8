package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/signing"
)

// The files of KeysDir. The private ones are encrypted and kept out of
// version control all the same.
const (
	signingPrivate = "signing.key"
	signingPublic  = "signing.pub"
	openpgpPrivate = "openpgp.key"
	openpgpPublic  = "openpgp.asc"
)

// NewKeys says what makeKeys made.
type NewKeys struct {
	// SigningID is the signing key's id, SHA-256 in hex.
	SigningID string `json:"signing_key"`
	// OpenPGPFingerprint is the other key's, 40 hex digits.
	OpenPGPFingerprint string `json:"openpgp_key"`
	// Dir holds them.
	Dir string `json:"directory"`
	// PasswordFile keeps a made-up password; "" when a person has chosen it.
	PasswordFile string `json:"password_file,omitempty"`
}

// SigningKey returns the key that signs this project's images; it is opened by
// its first use. Without a project directory the keys are made on first need,
// and made says which; a project's keys are made by Init alone, so that a lost
// key is noticed.
func (p *Project) SigningKey(ask Ask) (key *signing.Key, made *NewKeys, err error) {
	public, password, made, err := p.unlock(ask)
	if err != nil {
		return nil, made, err
	}
	sealed, err := os.ReadFile(filepath.Join(p.KeysDir(), signingPrivate))
	if err != nil {
		return nil, made, fmt.Errorf("opening the signing key: %w", err)
	}
	return signing.SealedKey(public, sealed, password), made, nil
}

// SigningKeyFile is the public part of the signing key.
func (p *Project) SigningKeyFile() string { return filepath.Join(p.KeysDir(), signingPublic) }

// RepositoryKey returns the OpenPGP key that signs repositories of packages, and
// the path of its public part, which servers get. It is made with the signing key
// and has its password.
func (p *Project) RepositoryKey(ask Ask) (key *signing.PGPKey, public string, made *NewKeys, err error) {
	_, password, made, err := p.unlock(ask)
	if err != nil {
		return nil, "", made, err
	}
	sealed, err := os.ReadFile(filepath.Join(p.KeysDir(), openpgpPrivate))
	if err != nil {
		return nil, "", made, fault.Inputf("opening the OpenPGP key").Because(err).
			WithHint("put the project's key there, or make new ones: %s", p.rotateCommand())
	}
	key, err = signing.ParsePGPKey(sealed, password)
	return key, filepath.Join(p.KeysDir(), openpgpPublic), made, err
}

// unlock returns the public signing key and the password of the private ones,
// which it makes where there is no project.
func (p *Project) unlock(ask Ask) (public signing.PublicKey, password []byte, made *NewKeys, err error) {
	if file := filepath.Join(p.KeysDir(), signingPrivate); !exists(file) {
		if p.Dir != "" {
			return public, nil, nil, fault.Inputf("opening the signing key: there is no %s", file).
				WithHint("put the project's key there, or make a new one: %s", p.rotateCommand())
		}
		if made, err = p.firstKeys(); err != nil {
			return public, nil, nil, err
		}
	}
	if p.rotating() {
		// The old key has ended: what it signed now would not count later.
		return public, nil, nil, fault.Inputf("opening the signing key: new keys are made but not all in place, for their rotation was interrupted").
			WithHint("finish it: %s", p.rotateCommand())
	}
	if public, err = p.publicKey(filepath.Join(p.KeysDir(), signingPublic)); err != nil {
		return public, nil, made, err
	}
	password, err = p.password(public.ID(), ask)
	return public, password, made, err
}

// firstKeysLimit is how long another process that makes them is waited for.
const firstKeysLimit = time.Minute

// firstKeys makes the keys of a user without a project, or nothing if another
// process has made them meanwhile: two first bakes may run side by side.
func (p *Project) firstKeys() (*NewKeys, error) {
	fail := func(err error) (*NewKeys, error) { return nil, fmt.Errorf("making keys: %w", err) }
	if err := os.MkdirAll(p.KeysDir(), 0o755); err != nil {
		return fail(err)
	}
	dir, err := os.Open(p.KeysDir())
	if err != nil {
		return fail(err)
	}
	defer dir.Close()
	ctx, cancel := context.WithTimeout(context.Background(), firstKeysLimit)
	defer cancel()
	if err := hold.Wait(ctx, dir, hold.Exclusive); err != nil {
		return fail(err)
	}
	if exists(filepath.Join(p.KeysDir(), signingPrivate)) {
		return nil, nil
	}
	return p.makeKeys(nil)
}

func (p *Project) publicKey(path string) (signing.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return signing.PublicKey{}, fault.Inputf("reading a public key").Because(err)
	}
	key, err := signing.ParsePublicKey(text)
	if err != nil {
		return signing.PublicKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// Trust returns the public keys whose signatures count in catalog (a place as
// in Config.Catalog): those of trust:, and without a project directory, where
// trust: names none for the catalog, the user's own key and those that it
// replaced. A catalog for which no key is listed trusts nobody, and whatever
// has a signature there is refused when it is looked at.
func (p *Project) Trust(catalog string) (signing.Trust, error) {
	return p.trust(func(entry TrustConfig) bool {
		return entry.For == "" && (entry.Catalog == "" || entry.Catalog == catalog)
	})
}

// BundleTrust returns the keys whose bundles of updates and feeds are taken in: those of
// Trust, and those that are for bundles alone.
func (p *Project) BundleTrust() (signing.Trust, error) {
	return p.trust(func(entry TrustConfig) bool { return entry.Catalog == "" || entry.Catalog == p.Config.Catalog })
}

func (p *Project) trust(counts func(TrustConfig) bool) (signing.Trust, error) {
	var keys []signing.TrustedKey
	for i, entry := range p.Config.Trust {
		if entry.For != "" && entry.For != ForBundles {
			return signing.Trust{}, fault.Inputf("%s: trust: entry %d: for: %q is no purpose of a key", p.File, i+1, entry.For).
				WithHint("write for: %s for one that signs only what is imported, or leave it out", ForBundles)
		}
		if !counts(entry) {
			continue
		}
		key, err := p.trusted(entry)
		if err != nil {
			return signing.Trust{}, fmt.Errorf("%s: trust: entry %d: %w", p.File, i+1, err)
		}
		keys = append(keys, key)
	}
	if p.Dir == "" && len(keys) == 0 {
		var err error
		if keys, err = p.ownKeys(); err != nil {
			return signing.Trust{}, err
		}
	}
	if p.rotating() {
		keys = firstOfEach(keys)
	}
	if len(keys) == 0 {
		return signing.Trust{}, nil
	}
	return signing.NewTrust(keys...)
}

// ownKeys are the keys of a user without a project: the present one, and each
// former one until the time that its folder is named for.
func (p *Project) ownKeys() ([]signing.TrustedKey, error) {
	folders, err := os.ReadDir(p.KeysDir())
	if ignoreMissing(err) != nil {
		return nil, fmt.Errorf("looking for former keys: %w", err)
	}
	var keys []signing.TrustedKey
	for _, folder := range folders {
		file := filepath.Join(p.KeysDir(), folder.Name(), signingPublic)
		stamp, retired := strings.CutPrefix(folder.Name(), retiredPrefix)
		until, err := time.Parse(retiredTime, stamp)
		if !retired || err != nil || !exists(file) {
			continue
		}
		key, err := p.publicKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, signing.TrustedKey{Name: "until " + until.Format(time.RFC3339), Key: key, NotAfter: until})
	}
	own := filepath.Join(p.KeysDir(), signingPublic)
	if !exists(own) {
		return keys, nil
	}
	key, err := p.publicKey(own)
	return append(keys, signing.TrustedKey{Name: "this user", Key: key}), err
}

// firstOfEach drops what names a key again. During a rotation the old key is
// listed twice, until the new one takes its file: first with its end.
func firstOfEach(keys []signing.TrustedKey) []signing.TrustedKey {
	var out []signing.TrustedKey
	seen := map[string]bool{}
	for _, key := range keys {
		if id := key.Key.ID(); !seen[id] {
			seen[id] = true
			out = append(out, key)
		}
	}
	return out
}

func (p *Project) trusted(entry TrustConfig) (signing.TrustedKey, error) {
	trusted := signing.TrustedKey{Name: entry.Name, Withdrawn: entry.Withdrawn}
	if entry.Key == "" {
		return trusted, fault.Inputf("it names no key: file")
	}
	if entry.NotAfter != "" {
		at, err := time.Parse(time.RFC3339, entry.NotAfter)
		if err != nil {
			return trusted, fault.Inputf("not-after: %q is no time", entry.NotAfter).WithHint("write it as 2027-01-31T00:00:00Z")
		}
		trusted.NotAfter = at
	}
	key, err := p.publicKey(entry.Key)
	trusted.Key = key
	return trusted, err
}

// makeKeys makes both keys in KeysDir, refusing to replace any. One that was
// interrupted is finished.
func (p *Project) makeKeys(ask Ask) (*NewKeys, error) {
	for _, name := range []string{signingPrivate, openpgpPrivate} {
		if file := filepath.Join(p.KeysDir(), name); exists(file) && !p.rotating() {
			return nil, fault.Inputf("making keys: %s is there already", file).
				WithHint("move it away, or replace it: %s", p.rotateCommand())
		}
	}
	r := &rotation{Project: p, ask: ask, now: time.Now().UTC()}
	for _, step := range r.steps() {
		if err := step(); err != nil {
			return nil, fmt.Errorf("making keys: %w", err)
		}
	}
	return r.done.Keys, nil
}

// generateKeys makes both keys in dir, which is not there yet.
func (p *Project) generateKeys(dir string, ask Ask) (*NewKeys, error) {
	password, kept, err := p.newPassword(ask)
	if err != nil {
		return nil, err
	}
	key, err := signing.GenerateKey()
	if err != nil {
		return nil, err
	}
	pgp, err := signing.GeneratePGPKey("imgbuild", "imgbuild@localhost", time.Now())
	if err != nil {
		return nil, err
	}
	made := &NewKeys{SigningID: key.Public().ID(), OpenPGPFingerprint: pgp.Fingerprint(), Dir: p.KeysDir()}
	if kept {
		// Written first: a key without its password is lost.
		made.PasswordFile = p.passwordFile(made.SigningID)
		if err := writeNew(made.PasswordFile, append(bytes.Clone(password), '\n'), 0o600); err != nil {
			return nil, err
		}
	}
	return made, writeKeys(dir, key, pgp, password)
}

func writeKeys(dir string, key *signing.Key, pgp *signing.PGPKey, password []byte) error {
	sealed, err := key.EncryptedPEM(password)
	if err != nil {
		return err
	}
	sealedPGP, err := pgp.EncryptedArmor(password)
	if err != nil {
		return err
	}
	publicPGP, err := pgp.PublicArmor()
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		text []byte
		mode fs.FileMode
	}{
		{signingPublic, key.Public().PEM(), 0o644}, {openpgpPublic, publicPGP, 0o644},
		{openpgpPrivate, sealedPGP, 0o600}, {signingPrivate, sealed, 0o600},
	} {
		if err := writeNew(filepath.Join(dir, file.name), file.text, file.mode); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that must not exist, with the folders it is in.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	folder := fs.FileMode(0o755)
	if mode&0o077 == 0 {
		folder = 0o700
	}
	if err := os.MkdirAll(filepath.Dir(path), folder); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// replaceFile writes a file whole or not at all, replacing what is there.
func replaceFile(path string, text []byte, mode fs.FileMode) error {
	temporary := path + ".new"
	if err := ignoreMissing(os.Remove(temporary)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := writeNew(temporary, text, mode); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
