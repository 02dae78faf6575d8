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
	envelope, err = json.Marshal(dsse.Envelope{
		PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(payload),
		Signatures: []dsse.Signature{{KeyID: id, Sig: base64.StdEncoding.EncodeToString(signature)}},
	})
	if err != nil {
		return nil, "", fmt.Errorf("signing record: %w", err)
	}
	envelope = append(envelope, '\n')
	if len(envelope) > MaxEnvelope {
		return nil, "", fault.Failedf("signing record: it has %d bytes, the limit is %d", len(envelope), MaxEnvelope)
	}
	return envelope, digestOf(envelope), nil
}

func digestOf(envelope []byte) string {
	sum := sha256.Sum256(envelope)
	return hex.EncodeToString(sum[:])
}

// open takes an envelope apart and verifies it; found is nil when the key that it
// names is nobody's in the roster.
func open(ctx context.Context, envelope []byte, who *roster.Roster) (*life.Record, roster.Signature, *roster.Found, error) {
	fail := func(err error) (*life.Record, roster.Signature, *roster.Found, error) {
		return nil, roster.Signature{}, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(envelope))
	d.DisallowUnknownFields()
	var e dsse.Envelope
	if err := d.Decode(&e); err != nil {
		return fail(fault.Worldf("it is no envelope").Because(err))
	}
	if e.PayloadType != PayloadType || len(e.Signatures) != 1 {
		return fail(fault.Worldf("it holds %.80q with %d signatures, expected %q with one", e.PayloadType, len(e.Signatures), PayloadType))
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return fail(fault.Worldf("its payload is not in base 64").Because(err))
	}
	bytes, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		return fail(fault.Worldf("its signature is not in base 64").Because(err))
	}
	signature := roster.Signature{KeyID: e.Signatures[0].KeyID, Bytes: bytes}
	if len(signature.KeyID) > 200 || signature.KeyID == "" {
		return fail(fault.Worldf("its signature names no key"))
	}
	found, err := who.Verify(ctx, envelope, PayloadType, dsse.PAE(PayloadType, payload), signature)
	if err != nil {
		return fail(err)
	}
	record, err := life.Decode(payload)
	if err != nil {
		return fail(fault.Worldf("it is signed, but is no record").Because(err))
	}
	return record, signature, found, nil
}
