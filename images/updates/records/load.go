package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/roster"
)

// Load reads and verifies every record. One that is damaged, that is forged or that
// stands on one which is not there is refused: the error is a World fault that names
// all such, and nothing is returned. One that is signed by nobody in the roster, or
// by a key that did not count, is returned as void.
func (s *Store) Load(ctx context.Context) ([]life.Signed, error) {
	digests, err := s.Digests()
	if err != nil {
		return nil, err
	}
	l := &loading{store: s, loaded: map[string]bool{}}
	return l.finish(l.load(ctx, digests))
}

// History is what all records come to.
func (s *Store) History(ctx context.Context) (*life.History, error) {
	records, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	return life.Replay(records)
}

// OwnHistory is what the records come to that are signed with keys of the roster, with
// those that they stand on. Records of strangers change no state: in an archive that
// several projects share they are the others' own, and are not read here.
func (s *Store) OwnHistory(ctx context.Context) (*life.History, error) {
	l, err := s.own(ctx)
	if err != nil {
		return nil, err
	}
	records, err := l.finish(nil)
	if err != nil {
		return nil, err
	}
	return life.Replay(records)
}

// OwnDigests are the digests of the records that OwnHistory is made of, sorted.
func (s *Store) OwnDigests(ctx context.Context) ([]string, error) {
	l, err := s.own(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := l.finish(nil); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(l.loaded)), nil
}

func (s *Store) own(ctx context.Context) (*loading, error) {
	digests, err := s.Digests()
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	var own []string
	for _, digest := range digests {
		there[digest] = true
		known, err := s.isOwn(digest)
		if err != nil {
			return nil, err
		}
		if known {
			own = append(own, digest)
		}
	}
	l := &loading{store: s, loaded: map[string]bool{}}
	for len(own) > 0 {
		first := len(l.records)
		if err := l.load(ctx, own); err != nil {
			return nil, err
		}
		own = nil
		for _, r := range l.records[first:] {
			for _, known := range r.Record.After {
				if there[known] && !l.loaded[known] {
					own = append(own, known)
				}
			}
		}
	}
	return l, nil
}

// loading reads some records.
type loading struct {
	store   *Store
	loaded  map[string]bool
	records []life.Signed
	found   []*roster.Found
	refused []string
}

func (l *loading) load(ctx context.Context, digests []string) error {
	for _, digest := range digests {
		if l.loaded[digest] {
			continue
		}
		l.loaded[digest] = true
		if err := context.Cause(ctx); err != nil {
			return err
		}
		envelope, err := l.store.read(digest)
		if err != nil {
			return err
		}
		r, err := open(ctx, envelope, l.store.Roster)
		if digestOf(envelope) != digest {
			err = fault.Worldf("it is not what its name says")
		}
		if err != nil {
			l.refused = append(l.refused, fmt.Sprintf("%s: %v", l.store.Path(digest), err))
			continue
		}
		l.records = append(l.records, life.Signed{Digest: digest, Payload: r.payload, Record: r.record, By: life.Signer{Key: r.keyID}})
		l.found = append(l.found, r.by)
	}
	return nil
}

// finish judges what was read, unless err or something of it was refused.
func (l *loading) finish(err error) ([]life.Signed, error) {
	if err != nil {
		return nil, err
	}
	if len(l.refused) > 0 {
		return nil, fault.Worldf("reading the records of updates: refused %d of %d:\n  %s", len(l.refused), len(l.loaded), strings.Join(l.refused[:min(20, len(l.refused))], "\n  ")).
			WithHint("bring the files back by a backup, or see who changed them; a file that was never a record of yours can be moved away")
	}
	roster.Judge(l.records, l.found)
	return l.records, nil
}

// tail is how many bytes of the end of an envelope hold its signature.
const tail = 2 << 10

// isOwn tells whether a record may be signed with a key of the roster, by the end of
// its file. What does not look like the files that are written here is read whole.
func (s *Store) isOwn(digest string) (bool, error) {
	f, info, err := s.open(digest)
	if err != nil {
		return false, err
	}
	defer f.Close()
	end := make([]byte, min(tail, info.Size()))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return false, fmt.Errorf("reading a record of updates: %w", err)
	}
	_, rest, ok := strings.Cut(string(end), `"signatures":[{"keyid":"`)
	id, _, closed := strings.Cut(rest, `"`)
	return !ok || !closed || strings.Contains(id, `\`) || s.Roster.Knows(id), nil
}

// open opens a record's file; a pipe of that name, which nobody ever writes to, must
// not hold up every command.
func (s *Store) open(digest string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(s.Path(digest), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a record of updates: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.Worldf("record %s is no regular file", s.Path(digest)).WithHint("see who put it there, and move it away")
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func (s *Store) read(digest string) ([]byte, error) {
	f, _, err := s.open(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxEnvelope+1))
	if err != nil {
		return nil, fmt.Errorf("reading a record of updates: %w", err)
	}
	if len(data) > MaxEnvelope {
		return nil, fault.Worldf("record %s has more than %d bytes", s.Path(digest), MaxEnvelope)
	}
	return data, nil
}
