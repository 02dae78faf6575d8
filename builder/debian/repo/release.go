package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"imgbuild/builder/debian/deb822"
	"imgbuild/images/fault"
)

// The reasons for which a release is refused. Each is wrapped by an error
// that says more.
var (
	// ErrSignature: no key of the keyring signed the release as it stands.
	ErrSignature = errors.New("no valid signature")
	// ErrExpired: the only signatures are by a key, or themselves, expired.
	ErrExpired = errors.New("the signature or its key has expired")
	// ErrSuite: the release is of another suite than the one asked for.
	ErrSuite = errors.New("wrong suite")
	// ErrOutdated: the release's Valid-Until has passed.
	ErrOutdated = errors.New("the release is out of date")
	// ErrFuture: the release's date has not come yet.
	ErrFuture = errors.New("the release is of the future")
	// ErrDowngrade: the release is older than one seen before.
	ErrDowngrade = errors.New("the release is older than one seen before")
)

// Release is a verified InRelease file.
type Release struct {
	// SHA256 is the digest of the file's bytes, in hex.
	SHA256   string
	Codename string
	Suite    string
	Date     time.Time
	// ValidUntil is zero when the release never goes out of date.
	ValidUntil    time.Time
	Architectures []string
	// ByHash says that files can be had under their digests.
	ByHash bool
	// SplitAll says that packages for all architectures have an index of
	// their own, which the others do not repeat.
	SplitAll bool
	// NotAutomatic says that nothing is taken from here unless asked for, as
	// with Debian's experimental; ButAutomaticUpgrades is what backports add.
	NotAutomatic, ButAutomaticUpgrades bool
	files                              map[string]file
}

type file struct {
	size   int64
	sha256 string
}

// VerifyRelease checks the signature of an InRelease file at the time now and
// returns what it says. It checks neither suite nor dates but the signature's.
func VerifyRelease(inRelease []byte, keys Keyring, now time.Time) (*Release, error) {
	block, rest := decode(inRelease)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fault.Worldf("verifying release").Because(fmt.Errorf("%w: it is no clear-signed file", ErrSignature))
	}
	if err := checkSignatures(block, keys, now); err != nil {
		return nil, fault.Worldf("verifying release").Because(err)
	}
	paragraph, err := deb822.Parse(string(block.Plaintext))
	if err != nil {
		return nil, fault.Worldf("reading release").Because(err)
	}
	release, err := newRelease(paragraph)
	if err != nil {
		return nil, fault.Worldf("reading release").Because(err)
	}
	digest := sha256.Sum256(inRelease)
	release.SHA256 = hex.EncodeToString(digest[:])
	return release, nil
}

// decode splits a clear-signed file that begins with its signed text. The
// library's decoder panics on a text without a line, so that is refused here.
func decode(file []byte) (*clearsign.Block, []byte) {
	if !bytes.HasPrefix(file, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, file
	}
	for head := file; ; {
		line, after, more := bytes.Cut(head, []byte("\n"))
		if !more || bytes.HasPrefix(after, []byte("-----BEGIN PGP SIGNATURE-----")) {
			return nil, file
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return clearsign.Decode(file)
		}
		head = after
	}
}

// checkSignatures wants one good signature by a key of keys, and no bad one;
// signatures by unknown keys do not count, for an archive signs with old and
// new keys at once.
func checkSignatures(block *clearsign.Block, keys Keyring, now time.Time) error {
	config := &packet.Config{Time: func() time.Time { return now }}
	packets := packet.NewReader(block.ArmoredSignature.Body)
	var expired error
	good, unknown := 0, 0
	for {
		p, err := packets.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
		signature, ok := p.(*packet.Signature)
		if !ok {
			return fmt.Errorf("%w: a packet is no signature", ErrSignature)
		}
		var one bytes.Buffer
		if err := signature.Serialize(&one); err != nil {
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
		_, err = openpgp.CheckDetachedSignature(keys.keys, bytes.NewReader(block.Bytes), &one, config)
		switch {
		case err == nil:
			good++
		case errors.Is(err, pgperrors.ErrUnknownIssuer):
			unknown++
		case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired):
			expired = err
		default:
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
	}
	switch {
	case good > 0:
		return nil
	case expired != nil:
		return fmt.Errorf("%w: %w", ErrExpired, expired)
	case unknown > 0:
		return fmt.Errorf("%w: signed by a key that is not in %s", ErrSignature, keys.name)
	}
	return ErrSignature
}

func newRelease(p *deb822.Paragraph) (*Release, error) {
	r := &Release{
		Codename: p.Get("Codename"), Suite: p.Get("Suite"),
		Architectures:        strings.Fields(p.Get("Architectures")),
		ByHash:               p.Get("Acquire-By-Hash") == "yes",
		NotAutomatic:         p.Get("NotAutomatic") == "yes",
		ButAutomaticUpgrades: p.Get("ButAutomaticUpgrades") == "yes",
		files:                map[string]file{},
	}
	for _, arch := range r.Architectures {
		r.SplitAll = r.SplitAll || arch == "all"
	}
	for _, kind := range strings.Fields(p.Get("No-Support-for-Architecture-all")) {
		r.SplitAll = r.SplitAll && kind != "Packages"
	}
	var err error
	if r.Date, err = mail.ParseDate(p.Get("Date")); err != nil {
		return nil, fmt.Errorf("%.60q is no date", p.Get("Date"))
	}
	r.Date = r.Date.UTC()
	if until := p.Get("Valid-Until"); until != "" {
		if r.ValidUntil, err = mail.ParseDate(until); err != nil {
			return nil, fmt.Errorf("%.60q is no date", until)
		}
	}
	for _, line := range p.Lines("SHA256") {
		words := strings.Fields(line)
		if len(words) != 3 || !IsSHA256(words[0]) || !IsCleanPath(words[2]) {
			return nil, fmt.Errorf("%.80q is no line of digest, size and path", line)
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("%.60q is no size", words[1])
		}
		r.files[words[2]] = file{size: size, sha256: words[0]}
	}
	return r, nil
}

// checkSuite wants the release to be of suite, which is either of its names.
func (r *Release) checkSuite(suite string) error {
	if suite == r.Codename || suite == r.Suite {
		return nil
	}
	return fault.Worldf("verifying release").
		Because(fmt.Errorf("%w: asked for %s, it is of %s (%s)", ErrSuite, suite, r.Codename, r.Suite)).
		WithHint("check the mirror's address and the suite's name")
}

// clockSkew is how far ahead of this machine's clock a release may be, as for apt
// (Acquire::Max-FutureTime).
const clockSkew = 10 * time.Second

// checkFresh wants the release to be in date at the time now.
func (r *Release) checkFresh(now time.Time) error {
	if r.Date.After(now.Add(clockSkew)) {
		return fault.Worldf("verifying release").
			Because(fmt.Errorf("%w: it is of %s, this machine's clock says %s", ErrFuture,
				r.Date.Format(time.RFC3339), now.UTC().Format(time.RFC3339))).
			WithHint("check this machine's clock; if it is right, tell who keeps the repository")
	}
	if r.ValidUntil.IsZero() || !now.After(r.ValidUntil) {
		return nil
	}
	return fault.Worldf("verifying release").
		Because(fmt.Errorf("%w: it was valid until %s", ErrOutdated, r.ValidUntil.UTC().Format(time.RFC3339))).
		WithHint("check this machine's clock, or use a mirror that is kept up")
}

// checkNotOlder wants the release not to be older than last.
func (r *Release) checkNotOlder(last *Release) error {
	if last == nil || !r.Date.Before(last.Date) {
		return nil
	}
	return fault.Worldf("verifying release").
		Because(fmt.Errorf("%w: it is of %s, the last one of %s", ErrDowngrade, r.Date.Format(time.RFC3339), last.Date.Format(time.RFC3339))).
		WithHint("the mirror lags or is held back: try again later, or use another one")
}
