package records

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// Arrival is a set of records that were made elsewhere, in an order in which each
// comes after those that it stands on.
type Arrival struct {
	digests []string
	read    func(digest string) ([]byte, error)
}

// Arrive judges records that were made elsewhere as a reading would: one that is
// forged would end every command from then on. What they stand on must be among
// them or here. read gives a record's envelope by its digest. Nothing is added yet.
func (s *Store) Arrive(ctx context.Context, digests []string, read func(digest string) ([]byte, error)) (*Arrival, error) {
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
	all := maps.Clone(known)
	for _, digest := range digests {
		coming[digest], all[digest] = !known[digest], true
	}
	if len(all) > s.most {
		return nil, s.full(len(all))
	}
	for _, digest := range digests {
		if known[digest] {
			continue
		}
		envelope, err := read(digest)
		if err != nil {
			return nil, err
		}
		r, err := open(ctx, envelope, s.Roster)
		if err == nil && digestOf(envelope) != digest {
			err = fault.Worldf("it is not what its name says")
		}
		if err != nil {
			return nil, fmt.Errorf("record %.12s: %w", digest, err)
		}
		for _, before := range r.record.After {
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
	if err := s.sweep(); err != nil {
		return 0, err
	}
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
	return len(a.digests), s.syncDir()
}
