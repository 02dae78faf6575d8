package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Site shows snapshots:
//
//	/snapshots/NAME/           what the lock of that name says now
//	/snapshots/NAME-LOCK/      the same by the first digits of its lock's digest
//	/key.asc                   the public key that signed them
//
// Nothing else of the archive can be had from it, and it can only be read. What it
// shows changes at once for all who ask; what a client is in the middle of stays:
// the address with digits has one lock's packages for ever, and the other one has
// the packages and, by their digests, the indexes of its earlier locks as well.
type Site struct {
	key    *signing.PGPKey
	public []byte
	valid  time.Duration
	shown  atomic.Pointer[shown]
}

// shown is what a site shows at one moment; nothing changes in it.
type shown struct {
	begin    time.Time // of the term that it is signed for
	editions map[string]*Edition
	// history are the snapshots of a name, the newest first.
	history map[string][]*Snapshot
	about   string
}

// lockDigits is how much of a lock's digest is in an address.
const lockDigits = 12

// kept is how many snapshots of one name are shown, each at its own address. The
// indexes of one are about a megabyte.
const kept = 16

// Exact is the name under which a snapshot stays the same: another lock of that
// name has another one.
func (s *Snapshot) Exact() string { return s.Name + "-" + s.Lock[:lockDigits] }

// NewSite makes a site that shows nothing yet. Key signs what it shows, for valid
// each time; 0 means for ever.
func NewSite(key *signing.PGPKey, valid time.Duration) (*Site, error) {
	public, err := key.PublicArmor()
	if err != nil {
		return nil, err
	}
	site := &Site{key: key, public: public, valid: valid}
	site.shown.Store(&shown{})
	return site, nil
}

// Update shows what locks say now, by name. Of one that cannot be published the
// error says why, and what was shown of it stays; so it does of a name that is not
// among the requests any more. What has not changed is not read again, and what has
// an end is signed anew when it is time. It is not for two callers at once.
func (site *Site) Update(ctx context.Context, at time.Time, requests ...Request) error {
	old, term := site.shown.Load(), Term{At: at, Valid: site.valid}
	history := maps.Clone(old.history)
	if history == nil {
		history = map[string][]*Snapshot{}
	}
	var failed []error
	named := map[string]bool{}
	for _, r := range requests {
		if named[r.Name] {
			failed = append(failed, fault.Inputf("two snapshots are called %s", r.Name).WithHint("serve one of them, or rename a lock's file"))
			continue
		}
		named[r.Name] = true
		s, err := site.snapshot(ctx, r)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			failed = append(failed, err)
			continue
		}
		others := slices.DeleteFunc(slices.Clone(history[r.Name]), func(o *Snapshot) bool { return o.Lock == s.Lock })
		history[r.Name] = slices.Insert(others, 0, s)
		if len(history[r.Name]) > kept {
			history[r.Name] = history[r.Name][:kept]
		}
	}
	next, err := site.show(term, old, history)
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	site.shown.Store(next)
	return errors.Join(failed...)
}

// Due says whether something that is shown has to be signed anew.
func (site *Site) Due(at time.Time) bool {
	return !site.shown.Load().begin.Equal(Term{At: at, Valid: site.valid}.begin())
}

// snapshot is that of a request: the one that is shown, if it is of the same lock.
func (site *Site) snapshot(ctx context.Context, r Request) (*Snapshot, error) {
	for _, s := range site.shown.Load().history[r.Name] {
		if s.Lock == r.Lock.Digest() {
			return s, nil
		}
	}
	return Make(ctx, r)
}

// show signs what is not signed for this term.
func (site *Site) show(term Term, old *shown, history map[string][]*Snapshot) (*shown, error) {
	next := &shown{begin: term.begin(), editions: map[string]*Edition{}, history: history}
	add := func(name string, s *Snapshot) error {
		if next.editions[name] != nil {
			return fault.Inputf("two snapshots are called %s", name).WithHint("serve one of them, or rename a lock's file")
		}
		e := old.editions[name]
		if e == nil || e.Snapshot != s || !old.begin.Equal(next.begin) {
			var err error
			if e, err = s.Sign(site.key, name, term); err != nil {
				return fmt.Errorf("publishing %s: %w", name, err)
			}
		}
		next.editions[name] = e
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(history)) {
		for i, s := range history[name] {
			if i == 0 {
				if err := add(name, s); err != nil {
					return nil, err
				}
				next.about += fmt.Sprintf("/snapshots/%s/ %s %s, %d packages, as /snapshots/%s/\n", name, s.Codename, s.Architecture, s.Packages, s.Exact())
			}
			if err := add(s.Exact(), s); err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

// Edition is what is shown under a name; nil when nothing is.
func (site *Site) Edition(name string) *Edition { return site.shown.Load().editions[name] }
