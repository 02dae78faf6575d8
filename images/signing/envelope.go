package signing

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"imgbuild/images/fault"
)

// EnvelopeMediaType is the media type of a DSSE envelope in JSON.
const EnvelopeMediaType = "application/vnd.dsse.envelope.v1+json"

const (
	// maxEnvelope is the largest envelope in bytes; an SBOM of ten thousand
	// packages stays well below it.
	maxEnvelope = 64 << 20
	// maxSignatures is the largest number of signatures of one payload.
	maxSignatures = 16
)

// Dated reads the date out of a signed payload; it returns the zero time for
// a payload that carries none.
type Dated func(payload []byte) (time.Time, error)

// Undated is the Dated of payloads that carry no date: a key with an end does
// not verify them.
func Undated([]byte) (time.Time, error) { return time.Time{}, nil }

// Sign wraps a payload in a DSSE envelope (JSON) with one signature of each
// key. The result depends on its arguments alone.
func Sign(ctx context.Context, payloadType string, payload []byte, keys ...*Key) ([]byte, error) {
	signers := make([]dsse.Signer, len(keys))
	for i, k := range keys {
		signers[i] = k
	}
	signer, err := dsse.NewEnvelopeSigner(signers...)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", payloadType, err)
	}
	envelope, err := signer.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", payloadType, err)
	}
	out, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("signing %s: encoding envelope: %w", payloadType, err)
	}
	return append(out, '\n'), nil
}

// Verify opens a DSSE envelope: its payload type must be the one given, and a
// trusted key must have signed it, allowed at the date that dated finds.
// Nothing of the payload is returned otherwise.
func Verify(ctx context.Context, envelope []byte, payloadType string, dated Dated, trust Trust) ([]byte, Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, Signer{}, err
	}
	payload, claims, err := openEnvelope(envelope, payloadType)
	if err != nil {
		return nil, Signer{}, err
	}
	message := dsse.PAE(payloadType, payload)
	signer, err := trust.accept(message, claims, func() (time.Time, error) { return dated(payload) })
	if err != nil {
		return nil, Signer{}, err
	}
	return payload, signer, nil
}

// openEnvelope takes an envelope apart without believing any of it.
func openEnvelope(envelope []byte, payloadType string) ([]byte, []claim, error) {
	if len(envelope) > maxEnvelope {
		return nil, nil, fault.Worldf("reading signed envelope: it has %d bytes, the limit is %d", len(envelope), maxEnvelope)
	}
	var e dsse.Envelope
	if err := json.NewDecoder(bytes.NewReader(envelope)).Decode(&e); err != nil {
		return nil, nil, fault.Worldf("reading signed envelope").Because(err)
	}
	if e.PayloadType != payloadType {
		return nil, nil, fault.Worldf("reading signed envelope: it holds %q, expected %q", e.PayloadType, payloadType)
	}
	if len(e.Signatures) > maxSignatures {
		return nil, nil, fault.Worldf("reading signed envelope: it has %d signatures, the limit is %d", len(e.Signatures), maxSignatures)
	}
	payload, err := e.DecodeB64Payload()
	if err != nil {
		return nil, nil, fault.Worldf("reading signed envelope").Because(err)
	}
	claims := make([]claim, 0, len(e.Signatures))
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			return nil, nil, fault.Worldf("reading signed envelope: decoding signature").Because(err)
		}
		claims = append(claims, claim{keyID: s.KeyID, sig: sig})
	}
	return payload, claims, nil
}
