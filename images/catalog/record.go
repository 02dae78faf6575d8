package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// maxRecord is the largest signed record that is read, in bytes.
const maxRecord = 1 << 20

// Signer signs records: it wraps a payload in a DSSE envelope.
type Signer interface {
	Sign(ctx context.Context, payloadType string, payload []byte) (envelope []byte, err error)
}

// Keys signs records with keys at hand.
type Keys []*signing.Key

// Sign implements Signer.
func (k Keys) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	return signing.Sign(ctx, payloadType, payload, k...)
}

// sign makes a signed record, and refuses to make one that this catalog would
// not believe afterwards.
func (c *Catalog) sign(ctx context.Context, signer Signer, payloadType string, record any) ([]byte, error) {
	payload, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("writing record: %w", err)
	}
	envelope, err := signer.Sign(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	if len(envelope) > maxRecord {
		return nil, fmt.Errorf("writing record: it has %d bytes, at most %d are read", len(envelope), maxRecord)
	}
	if _, _, err := signing.Verify(ctx, envelope, payloadType, signedWhen, c.trust); err != nil {
		return nil, fault.Inputf("the key that signs is not one that this catalog trusts").Because(err).
			WithHint("list its public key under trust: in imgbuild.yaml")
	}
	return envelope, nil
}

// open verifies a signed record and decodes it.
func (c *Catalog) open(ctx context.Context, e *Evidence, payloadType string, record any) (signing.Signer, error) {
	raw, err := fetchBytes(ctx, e.repo, e.Blob, maxRecord)
	if err != nil {
		return signing.Signer{}, err
	}
	payload, by, err := signing.Verify(ctx, raw, payloadType, signedWhen, c.trust)
	if err != nil {
		return by, err
	}
	if err := json.Unmarshal(payload, record); err != nil {
		return by, fault.Worldf("reading signed record %s", e.Blob.Digest).Because(err)
	}
	return by, nil
}

// signedWhen reads the date of a record.
func signedWhen(payload []byte) (time.Time, error) {
	var dated struct {
		When time.Time `json:"when"`
	}
	err := json.Unmarshal(payload, &dated)
	return dated.When, err
}
