package signing

import (
	"fmt"
	"strings"
	"time"

	"imgbuild/images/fault"
)

// Trust says whose signatures count. The zero value trusts nobody.
type Trust struct {
	keys []TrustedKey
}

// TrustedKey is one public key with the limits put on it.
type TrustedKey struct {
	// Name is how people call the key: an owner or a purpose.
	Name string
	Key  PublicKey
	// NotAfter ends a key that was rotated out: signatures dated later are
	// refused. The date is the signer's own word, so a key that somebody else
	// may hold must be withdrawn instead. Zero means no end.
	NotAfter time.Time
	// Withdrawn is the reason why no signature of this key counts any more,
	// whatever its date; empty while the key is good.
	Withdrawn string
}

// Signer is who made an accepted signature.
type Signer struct {
	Name  string
	KeyID string
	// At is the signed date; zero when the payload carries none.
	At time.Time
}

// NewTrust makes a trust of at least one key; names and keys are unique.
func NewTrust(keys ...TrustedKey) (Trust, error) {
	if len(keys) == 0 {
		return Trust{}, fault.Inputf("reading trusted keys: there are none").
			WithHint("list at least one public key under trust: in imgbuild.yaml")
	}
	names, ids := map[string]bool{}, map[string]string{}
	for i, k := range keys {
		switch id := k.Key.ID(); {
		case k.Name == "":
			return Trust{}, fault.Inputf("reading trusted keys: number %d has no name", i+1)
		case k.Key.key == nil:
			return Trust{}, fault.Inputf("reading trusted keys: %q has no public key", k.Name)
		case names[k.Name]:
			return Trust{}, fault.Inputf("reading trusted keys: the name %q is given twice", k.Name)
		case ids[id] != "":
			return Trust{}, fault.Inputf("reading trusted keys: %q and %q are the same key", ids[id], k.Name)
		default:
			names[k.Name], ids[id] = true, k.Name
		}
	}
	return Trust{keys: append([]TrustedKey(nil), keys...)}, nil
}

// Keys returns the keys in the order they were given.
func (t Trust) Keys() []TrustedKey { return append([]TrustedKey(nil), t.keys...) }

// claim is one signature together with the key that it names, if any.
type claim struct {
	keyID string
	sig   []byte
}

// accept finds the first claim that a trusted key made over message and that
// the key's limits allow at the signed date; dated is asked for that date only
// once a trusted key vouches for the message. Without such a claim the error
// says why for each key that did sign, else which keys were looked for.
func (t Trust) accept(message []byte, claims []claim, dated func() (time.Time, error)) (Signer, error) {
	if len(t.keys) == 0 {
		return Signer{}, fault.Inputf("verifying signature: no public key is trusted").
			WithHint("list at least one public key under trust: in imgbuild.yaml")
	}
	var refused, unknown []string
	for _, c := range claims {
		key, ok := t.maker(message, c)
		if !ok {
			unknown = append(unknown, describe(c.keyID))
			continue
		}
		at, err := dated()
		if err != nil {
			return Signer{}, fault.Worldf("verifying signature: reading its date").Because(err)
		}
		if reason := key.refuses(at); reason != "" {
			refused = append(refused, reason)
			continue
		}
		return Signer{Name: key.Name, KeyID: key.Key.ID(), At: at}, nil
	}
	switch {
	case len(refused) > 0:
		return Signer{}, fault.Worldf("verifying signature: %s", strings.Join(refused, "; "))
	case len(unknown) > 0:
		return Signer{}, fault.Worldf("verifying signature: made by %s, not by a trusted key over these bytes (trusted: %s)",
			strings.Join(unknown, ", "), t.names())
	default:
		return Signer{}, fault.Worldf("verifying signature: there is none")
	}
}

// maker returns the trusted key that made a claim. A key id is an unsigned
// hint, and tools number keys differently, so that every key is tried.
func (t Trust) maker(message []byte, c claim) (TrustedKey, bool) {
	for _, k := range t.keys {
		if k.Key.verifies(message, c.sig) {
			return k, true
		}
	}
	return TrustedKey{}, false
}

// refuses says why a signature of this date does not count, or "".
func (k TrustedKey) refuses(at time.Time) string {
	switch {
	case k.Withdrawn != "":
		return fmt.Sprintf("key %q (%s) is withdrawn: %s", k.Name, short(k.Key.ID()), k.Withdrawn)
	case k.NotAfter.IsZero():
		return ""
	case at.IsZero():
		return fmt.Sprintf("key %q (%s) ended %s and the signature carries no date",
			k.Name, short(k.Key.ID()), k.NotAfter.UTC().Format(time.RFC3339))
	case at.After(k.NotAfter):
		return fmt.Sprintf("key %q (%s) ended %s, before the signature of %s",
			k.Name, short(k.Key.ID()), k.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	return ""
}

func (t Trust) names() string {
	var names []string
	for _, k := range t.keys {
		names = append(names, fmt.Sprintf("%s %s", k.Name, short(k.Key.ID())))
	}
	return strings.Join(names, ", ")
}

func describe(keyID string) string {
	if keyID == "" {
		return "an unnamed key"
	}
	return fmt.Sprintf("key %q", short(keyID))
}

// short cuts a key id to what people compare by eye.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
