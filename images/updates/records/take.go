package records

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/updates/life"
)

// Peek reads what an envelope says without believing any of it: no signature is
// looked at.
func Peek(envelope []byte) (*life.Record, error) {
	if len(envelope) > MaxEnvelope {
		return nil, fault.Worldf("reading a record of updates: it has more than %d bytes", MaxEnvelope)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return nil, fault.Worldf("reading a record of updates: it is no envelope").Because(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || e.PayloadType != PayloadType {
		return nil, fault.Worldf("reading a record of updates: it holds %.80q, expected %q in base 64", e.PayloadType, PayloadType)
	}
	record, err := life.Decode(payload)
	if err != nil {
		return nil, fault.Worldf("reading a record of updates").Because(err)
	}
	return record, nil
}

// Read returns an envelope as it lies here. One that is not what its name says is a
// World fault.
func (s *Store) Read(digest string) ([]byte, error) {
	envelope, err := s.read(digest)
	if err == nil && digestOf(envelope) != digest {
		err = fault.Worldf("record %s is not what its name says", s.Path(digest))
	}
	return envelope, err
}

// Arrival is a set of records that were made elsewhere, in an order in which each
// comes after those that it stands on.
type Arrival struct {
	digests []string
	read    func(digest string) ([]byte, error)
}

// Arrive judges records that were made elsewhere by what they are and what they
// stand on, which must be among them or here; their signatures are judged by whoever
// reads them. read gives a record's envelope by its digest. Nothing is added yet.
func (s *Store) Arrive(digests []string, read func(digest string) ([]byte, error)) (*Arrival, error) {
	here, err := s.Digests()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, digest := range here {
		known[digest] = true
	}
	a := &Arrival{read: read}
	follows, waits := map[string][]string{}, map[string]int{}
	var ready []string
	coming := map[string]bool{}
	for _, digest := range digests {
		coming[digest] = !known[digest]
	}
	for _, digest := range digests {
		if known[digest] {
			continue
		}
		envelope, err := read(digest)
		if err != nil {
			return nil, err
		}
		record, err := Peek(envelope)
		if err == nil && digestOf(envelope) != digest {
			err = fault.Worldf("it is not what its name says")
		}
		if err != nil {
			return nil, fmt.Errorf("record %.12s: %w", digest, err)
		}
		for _, before := range record.After {
			switch {
			case coming[before]:
				follows[before] = append(follows[before], digest)
				waits[digest]++
			case !known[before]:
				return nil, fault.Worldf("record %.12s stands on record %.12s, which is neither here nor among those that come", digest, before)
			}
		}
		if waits[digest] == 0 {
			ready = append(ready, digest)
		}
	}
	for len(ready) > 0 {
		digest := ready[0]
		ready = ready[1:]
		a.digests = append(a.digests, digest)
		for _, next := range follows[digest] {
			if waits[next]--; waits[next] == 0 {
				ready = append(ready, next)
			}
		}
	}
	return a, nil
}

// Take adds the records of an arrival, while nobody else adds any, and says how many
// it was. One that is interrupted leaves a history that is whole, and is finished by
// another.
func (s *Store) Take(ctx context.Context, a *Arrival) (int, error) {
	if len(a.digests) == 0 {
		return 0, nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return 0, fmt.Errorf("adding records of updates: %w", err)
	}
	held, err := hold.File(ctx, filepath.Join(s.dir, lockName), hold.Exclusive)
	if err != nil {
		return 0, fmt.Errorf("adding records of updates: %w", err)
	}
	defer held.Close()
	for i, digest := range a.digests {
		if err := context.Cause(ctx); err != nil {
			return i, err
		}
		envelope, err := a.read(digest)
		if err != nil {
			return i, err
		}
		if digestOf(envelope) != digest {
			return i, fault.Worldf("record %.12s has changed while it was read", digest)
		}
		if err := s.put(digest, envelope); err != nil {
			return i, err
		}
	}
	return len(a.digests), nil
}
