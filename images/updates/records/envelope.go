// Package records keeps the records of updates in an archive: each a signed envelope
// in a file named by its own digest, added and never changed. Every reading verifies
// every record.
//
//	<archive>/records/abcdef….json   a DSSE envelope with one signature
//	<archive>/records/lock           held by who adds one
package records

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"imgbuild/images/fault"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/roster"
)

// PayloadType is the DSSE payload type of a record.
const PayloadType = "application/vnd.imgbuild.update.v1+json"

// MaxEnvelope is the largest envelope in bytes.
const MaxEnvelope = 32 << 20

// Key signs: a signing.Key, or an sshsig.Key.
type Key interface {
	Sign(ctx context.Context, message []byte) ([]byte, error)
	KeyID() (string, error)
}

// seal signs a record and returns the envelope with its digest.
func seal(ctx context.Context, r *life.Record, key Key) (envelope []byte, digest string, err error) {
	payload, err := r.Encode()
	if err != nil {
		return nil, "", err
	}
	id, err := key.KeyID()
	if err != nil {
		return nil, "", fmt.Errorf("signing record: %w", err)
	}
	signature, err := key.Sign(ctx, dsse.PAE(PayloadType, payload))
	if err != nil {
		return nil, "", fmt.Errorf("signing record: %w", err)
	}
	if envelope, err = marshal(payload, roster.Signature{KeyID: id, Bytes: signature}); err != nil {
		return nil, "", fmt.Errorf("signing record: %w", err)
	}
	if len(envelope) > MaxEnvelope {
		return nil, "", fault.Failedf("signing record: it has %d bytes, the limit is %d", len(envelope), MaxEnvelope)
	}
	return envelope, digestOf(envelope), nil
}

// marshal is the one way to write an envelope: written otherwise, the same record
// would have another name.
func marshal(payload []byte, s roster.Signature) ([]byte, error) {
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(payload),
		Signatures: []dsse.Signature{{KeyID: s.KeyID, Sig: base64.StdEncoding.EncodeToString(s.Bytes)}},
	})
	return append(envelope, '\n'), err
}

func digestOf(envelope []byte) string {
	sum := sha256.Sum256(envelope)
	return hex.EncodeToString(sum[:])
}

// opened is a record with whose signature it has.
type opened struct {
	record *life.Record
	// payload is the digest of what is signed, keyID the key that is named.
	payload, keyID string
	// by is nil when that key is nobody's in the roster.
	by *roster.Found
}

// open takes an envelope apart and verifies it.
func open(ctx context.Context, envelope []byte, who *roster.Roster) (*opened, error) {
	payload, signature, err := parse(envelope)
	if err != nil {
		return nil, err
	}
	found, err := who.Verify(ctx, envelope, PayloadType, dsse.PAE(PayloadType, payload), signature)
	if err != nil {
		return nil, err
	}
	record, err := life.Decode(payload)
	if err != nil {
		return nil, fault.Worldf("it is signed, but is no record").Because(err)
	}
	return &opened{record, digestOf(payload), signature.KeyID, found}, nil
}

// parse takes apart what marshal has written, and nothing else.
func parse(envelope []byte) (payload []byte, s roster.Signature, err error) {
	fail := func(err error) ([]byte, roster.Signature, error) { return nil, roster.Signature{}, err }
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return fail(fault.Worldf("it is no envelope").Because(err))
	}
	if e.PayloadType != PayloadType || len(e.Signatures) != 1 {
		return fail(fault.Worldf("it holds %.80q with %d signatures, expected %q with one", e.PayloadType, len(e.Signatures), PayloadType))
	}
	if payload, err = base64.StdEncoding.DecodeString(e.Payload); err != nil {
		return fail(fault.Worldf("its payload is not in base 64").Because(err))
	}
	s.KeyID = e.Signatures[0].KeyID
	if s.Bytes, err = base64.StdEncoding.DecodeString(e.Signatures[0].Sig); err != nil {
		return fail(fault.Worldf("its signature is not in base 64").Because(err))
	}
	if len(s.KeyID) > 200 || s.KeyID == "" {
		return fail(fault.Worldf("its signature names no key"))
	}
	if written, err := marshal(payload, s); err != nil || !bytes.Equal(written, envelope) {
		return fail(fault.Worldf("it is not written as records are: somebody has copied one under another name"))
	}
	return payload, s, nil
}
