package feeds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"imgbuild/images/advisory"
	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// Basis is what an index of advisories was made of, and what of the feeds cannot
// be relied on.
type Basis struct {
	// Sources are the feeds whose records are in it.
	Sources []Source `json:"sources"`
	// Alarms are by the name of the feed. While there is one, that the index knows
	// nothing of a package is no fact.
	Alarms map[string][]Alarm `json:"alarms,omitempty"`
	// Told is what was known of each feed when the index was opened, in their order.
	Told []Report `json:"-"`
	// Built is that it was made now, and not before.
	Built bool `json:"-"`
}

// Source is one feed of an index.
type Source struct {
	Feed    string `json:"feed"`
	Kind    Kind   `json:"kind"`
	Digest  string `json:"digest"`
	Records int    `json:"records"`
	// Releases are those that it is to speak of; none means all.
	Releases []string `json:"releases,omitempty"`
}

// Complete says whether what the index does not say is a fact: there are feeds,
// and none is in alarm.
func (b *Basis) Complete() bool { return len(b.Sources) > 0 && len(b.Alarms) == 0 }

// Published tells whether a feed of the kind has records of packages.
func (k Kind) Published() bool {
	switch k {
	case OSV, DebianTracker, DebianAdvisories, CSAF, MSRC:
		return true
	}
	return false
}

// Open opens the index of all that is kept of the feeds, and reads what they say of
// vulnerabilities and systems that others publish. Both, and what is told of the
// feeds, are of one moment: no feed is read again before it returns.
func (s *Store) Open(ctx context.Context, list []*Feed) (*advisory.Index, *Facts, *Basis, error) {
	for _, f := range list {
		lock, err := s.hold(ctx, f.Name, "lock", hold.Shared)
		if err != nil {
			return nil, nil, nil, err
		}
		defer lock.Close()
	}
	facts, err := s.facts(ctx, list)
	if err != nil {
		return nil, nil, nil, err
	}
	index, basis, err := s.Index(ctx, list)
	return index, facts, basis, err
}

// Index opens the index of all that is kept of the feeds. It is made where none
// was made of the very same files before; records go into it one by one. Feeds in
// alarm are in it as far as they are kept: what they say holds, what they do not
// say does not.
func (s *Store) Index(ctx context.Context, list []*Feed) (*advisory.Index, *Basis, error) {
	basis := &Basis{Alarms: map[string][]Alarm{}}
	for _, f := range list {
		// What the index is made of stays until it is made.
		lock, err := s.hold(ctx, f.Name, "lock", hold.Shared)
		if err != nil {
			return nil, nil, err
		}
		defer lock.Close()
		state, err := s.State(f)
		if err != nil {
			return nil, nil, err
		}
		told := Tell(f, state, s.Now())
		basis.Told = append(basis.Told, told)
		if !told.Fresh {
			basis.Alarms[f.Name] = told.Alarms
		}
		if state.Kept() && f.Kind.Published() {
			basis.Sources = append(basis.Sources, Source{f.Name, f.Kind, state.Digest, state.Records, f.Releases})
		}
	}
	kept := indexes{dir: filepath.Join(s.Dir, ".index"), most: 1, reporter: s.reporter()}
	index, built, err := kept.open(ctx, indexKey{indexFormat, s.Program, basis.Sources}, func(each func(*advisory.Record) error) (total int, err error) {
		for _, f := range list {
			if !f.Kind.Published() {
				continue
			}
			n, err := s.Read(ctx, f, each)
			if errors.Is(err, advisory.ErrTooLarge) {
				return 0, fault.Worldf("the feed %s does not go into one index with %s", f.Name, othersOf(basis.Sources, f.Name)).Because(err).
					WithHint("take feeds that no image needs out of the list, or have them speak of your releases alone, by releases: [Debian:12] in %s", FileName)
			}
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("making the index of advisories: %w", err)
	}
	basis.Built = built
	return index, basis, nil
}

// othersOf names the feeds of an index but for one.
func othersOf(sources []Source, feed string) string {
	var names []string
	for _, one := range sources {
		if one.Feed != feed {
			names = append(names, one.Feed)
		}
	}
	return cmp.Or(strings.Join(names, ", "), "all that it says")
}

// Read gives the records of what is kept of a feed, one after the other, and
// says how many there were; 0 when nothing is kept. Files that are not what was
// read are an error that says so.
func (s *Store) Read(ctx context.Context, f *Feed, each func(*advisory.Record) error) (int, error) {
	found, err := s.kept(ctx, f, each)
	if err != nil {
		return 0, err
	}
	return found.records, nil
}

// contents are the kept files of a feed, verified, and held until done is called.
func (s *Store) contents(ctx context.Context, f *Feed) (files []stored, done func() error, err error) {
	lock, err := s.hold(ctx, f.Name, "lock", hold.Shared)
	if err != nil {
		return nil, nil, err
	}
	state, err := s.State(f)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	for _, one := range state.Files {
		if err := s.verify(f.Name, one); err != nil {
			return nil, nil, errors.Join(inAlarm(f.Name, Alarm{
				What: Damaged, Reason: fmt.Sprintf("what is kept of %s is not what was read: %v", one.Name, err),
				Mend: "read it again: imgbuild feeds check --now " + f.Name,
			}), lock.Close())
		}
		files = append(files, stored{one.Name, s.dataPath(f.Name, one.SHA256)})
	}
	return files, lock.Close, nil
}
