package roster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates/life"
)

// WithProject adds the project's own keys, which whoever bakes and locks signs with.
// Beside a written roster they are pipelines: they find facts and approve by the
// policy alone. Without one, whoever has them decides. A key that the roster gives to
// somebody stays theirs.
func (r *Roster) WithProject(trust signing.Trust) *Roster {
	role := life.Approver
	if r.Written {
		role = life.Pipeline
	}
	out := &Roster{members: slices.Clone(r.members), found: map[string]*Found{}, Written: r.Written}
	maps.Copy(out.found, r.found)
	for _, t := range trust.Keys() {
		id := t.Key.ID()
		if r.Knows(id) {
			continue
		}
		key := &Key{own: &t.Key, Until: Moment{t.NotAfter}, Revoked: t.Withdrawn}
		m := &Member{Handle: t.Name, Role: role, Keys: []*Key{key}}
		out.members, out.found[id] = append(out.members, m), &Found{m, key}
	}
	return out
}

// Knows tells whether a key is somebody's in the roster.
func (r *Roster) Knows(keyID string) bool { return r.found[keyID] != nil }

// Signature is one signature of a payload, with the key that it names.
type Signature struct {
	KeyID string
	// Bytes are the signature: of an SSH key, what is between the armour.
	Bytes []byte
}

// Found is whose a signature is.
type Found struct {
	member *Member
	key    *Key
}

// Verify finds whose signature of a DSSE envelope's payload it is. Found is nil, and
// there is no error, when nobody in the roster has the key that it names: what such
// a record says is neither proved nor disproved. A signature that names a key of the
// roster and was not made by it is a World fault: somebody has forged or changed
// the record. envelope is the whole, message what the signature is over.
func (r *Roster) Verify(ctx context.Context, envelope []byte, payloadType string, message []byte, s Signature) (*Found, error) {
	found := r.found[s.KeyID]
	if found == nil {
		return nil, nil
	}
	m, k := found.member, found.key
	if k.ssh != nil {
		if err := k.ssh.Verify(message, s.Bytes); err != nil {
			return nil, forged(m, k, err)
		}
		return found, nil
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: m.Handle, Key: *k.own})
	if err != nil {
		return nil, err
	}
	if _, _, err := signing.Verify(ctx, envelope, payloadType, signing.Undated, trust); err != nil {
		return nil, forged(m, k, err)
	}
	return found, nil
}

func forged(m *Member, k *Key, err error) error {
	return fault.Worldf("it names key %s of %s, whose signature it does not have", k.ID(), m.Handle).Because(err)
}

// Signer is who the signature counts as.
func (f *Found) Signer() life.Signer {
	return life.Signer{Name: f.member.Handle, Role: f.member.Role, Key: f.key.ID()}
}

// SignerOf is who a key's signatures count as at a time, or in words why they count
// for nothing: before something is signed that nobody would heed.
func (r *Roster) SignerOf(keyID string, now time.Time) (life.Signer, string) {
	f := r.found[keyID]
	if f == nil {
		return life.Signer{Key: keyID}, stranger(keyID)
	}
	void := f.void(now)
	if void == "" && f.key.Last != "" {
		void = fmt.Sprintf("key %s of %s has gone: the roster names the last record that counts of it", keyID, f.member.Handle)
	}
	return f.Signer(), void
}

func stranger(keyID string) string {
	return fmt.Sprintf("key %s is nobody's in the roster", keyID)
}

// Void says why what a key signed at a time does not count, or "". The time is the
// signer's own word. That of a key with Last is not needed: such a record counts when
// it is among what Last stands on.
func (f *Found) void(at time.Time) string {
	m, k := f.member, f.key
	switch {
	case k.Revoked != "":
		return fmt.Sprintf("key %s of %s is revoked: %s", k.ID(), m.Handle, k.Revoked)
	case !within(at, m.From, m.Until):
		return fmt.Sprintf("%s was not in the roster on %s: %s", m.Handle, at.Format(time.RFC3339), span(m.From, m.Until))
	case !within(at, k.From, k.Until):
		return fmt.Sprintf("key %s of %s did not count on %s: %s", k.ID(), m.Handle, at.Format(time.RFC3339), span(k.From, k.Until))
	}
	return ""
}

func span(from, until Moment) string {
	words := "it counts"
	if !from.IsZero() {
		words += " from " + from.Format(time.RFC3339)
	}
	if !until.IsZero() {
		words += " until " + until.Format(time.RFC3339)
	}
	return words
}

// Judge sets who signed each record and which count for nothing. found has an entry
// for each record, nil for a stranger's, whose key is in its By.
func Judge(records []life.Signed, found []*Found) {
	ancestries := map[string]map[string]bool{}
	for i := range records {
		r, f := &records[i], found[i]
		if f == nil {
			r.Void, r.Stranger = stranger(r.By.Key), true
			continue
		}
		r.By = f.Signer()
		if r.Void = f.void(r.Record.When); r.Void != "" || f.key.Last == "" {
			continue
		}
		last := f.key.Last
		if ancestries[last] == nil {
			ancestries[last] = life.Ancestry(records, last)
		}
		if !ancestries[last][r.Digest] {
			r.Void = fmt.Sprintf("key %s of %s has gone, and the record is not among those up to %s, its last one by the roster", f.key.ID(), f.member.Handle, last[:12])
		}
	}
}
