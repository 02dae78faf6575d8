package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/roster"
)

const (
	// Dir is the folder of an archive that holds records.
	Dir = "records"
	// maxRecords is how many records an archive may have.
	maxRecords = 200_000
	suffix     = ".json"
	lockName   = "lock"
	draftName  = ".draft-"
)

// Store is the records of one archive. Any number of processes may use it at once:
// who reads sees each record whole or not at all, and who adds one waits for others
// that do.
type Store struct {
	dir string
	// Roster says whose signatures count.
	Roster *roster.Roster
	// Now is the clock that records are dated by.
	Now func() time.Time
}

// Open returns the records of the archive in a directory. Nothing is made before the
// first record.
func Open(archive string, who *roster.Roster, now func() time.Time) *Store {
	return &Store{dir: filepath.Join(archive, Dir), Roster: who, Now: now}
}

var nameForm = regexp.MustCompile(`^[0-9a-f]{64}\.json$`)

// Digests are the digests of all records, sorted. Nothing is read.
func (s *Store) Digests() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the records of updates: %w", err)
	}
	var digests []string
	for _, e := range entries {
		if nameForm.MatchString(e.Name()) {
			digests = append(digests, strings.TrimSuffix(e.Name(), suffix))
		}
	}
	if len(digests) > maxRecords {
		return nil, fault.Worldf("the archive has %d records of updates, the limit is %d", len(digests), maxRecords)
	}
	return digests, nil
}

// Path is where the record with a digest lies.
func (s *Store) Path(digest string) string { return filepath.Join(s.dir, digest+suffix) }

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
	records, err := l.finish(nil)
	if err != nil {
		return nil, err
	}
	return life.Replay(records)
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
		record, signature, by, err := open(ctx, envelope, l.store.Roster)
		if digestOf(envelope) != digest {
			err = fault.Worldf("it is not what its name says")
		}
		if err != nil {
			l.refused = append(l.refused, fmt.Sprintf("%s: %v", l.store.Path(digest), err))
			continue
		}
		l.records = append(l.records, life.Signed{Digest: digest, Record: record, By: life.Signer{Key: signature.KeyID}})
		l.found = append(l.found, by)
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
	f, err := os.Open(s.Path(digest))
	if err != nil {
		return false, fmt.Errorf("reading a record of updates: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("reading a record of updates: %w", err)
	}
	end := make([]byte, min(tail, info.Size()))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return false, fmt.Errorf("reading a record of updates: %w", err)
	}
	_, rest, ok := strings.Cut(string(end), `"signatures":[{"keyid":"`)
	id, _, closed := strings.Cut(rest, `"`)
	return !ok || !closed || strings.Contains(id, `\`) || s.Roster.Knows(id), nil
}

func (s *Store) read(digest string) ([]byte, error) {
	f, err := os.Open(s.Path(digest))
	if err != nil {
		return nil, fmt.Errorf("reading a record of updates: %w", err)
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

// Add signs a record and adds it; its format, time and what it stands on are filled
// in. A step that is not possible, and one by a key that would count for nothing,
// is refused in words before anything is signed. The digest is the record's name.
func (s *Store) Add(ctx context.Context, r life.Record, key Key) (digest string, err error) {
	return s.AddWhere(ctx, key, func(*life.History) (*life.Record, error) { return &r, nil })
}

// AddWhere is Add of a record that depends on what there is: choose is given the
// history as it is while nobody else adds to it. It adds nothing when choose returns
// nil.
func (s *Store) AddWhere(ctx context.Context, key Key, choose func(*life.History) (*life.Record, error)) (digest string, err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", fmt.Errorf("adding a record of updates: %w", err)
	}
	held, err := hold.File(ctx, filepath.Join(s.dir, lockName), hold.Exclusive)
	if err != nil {
		return "", fmt.Errorf("adding a record of updates: %w", err)
	}
	defer held.Close()
	history, err := s.OwnHistory(ctx)
	if err != nil {
		return "", err
	}
	r, err := choose(history)
	if r == nil || err != nil {
		return "", err
	}
	if err := s.prepare(history, r, key); err != nil {
		return "", err
	}
	envelope, digest, err := seal(ctx, r, key)
	if err != nil {
		return "", err
	}
	return digest, s.put(digest, envelope)
}

func (s *Store) prepare(history *life.History, r *life.Record, key Key) error {
	now := s.Now().UTC().Truncate(time.Second)
	r.Format, r.When, r.After = life.RecordFormat, now, history.Heads
	if len(r.After) > life.MaxAfter {
		r.After = r.After[:life.MaxAfter]
	}
	id, err := key.KeyID()
	if err != nil {
		return fmt.Errorf("signing record: %w", err)
	}
	by, void := s.Roster.SignerOf(id, now)
	if void != "" {
		return fault.Inputf("a record by you would count for nothing: %s", void).
			WithHint("have yourself entered in %s, or use a key that is: imgbuild updates roster", roster.FileName)
	}
	return life.CheckStep(history, r, by)
}

// put writes an envelope under its name, whole or not at all.
func (s *Store) put(digest string, envelope []byte) (err error) {
	if err := s.sweep(); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, draftName)
	if err != nil {
		return fmt.Errorf("adding a record of updates: %w", err)
	}
	defer func() {
		if err != nil {
			// A draft that stays is swept away by the next record.
			_ = os.Remove(f.Name())
			err = fmt.Errorf("adding a record of updates: %w", err)
		}
	}()
	_, err = f.Write(envelope)
	if err = errors.Join(err, f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.Path(digest)); err != nil {
		return err
	}
	return s.syncDir()
}

// syncDir makes names durable.
func (s *Store) syncDir() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep takes away drafts of processes that were killed. Who adds holds the lock, so
// nobody else has one.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("adding a record of updates: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), draftName) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
			return fmt.Errorf("adding a record of updates: %w", err)
		}
	}
	return nil
}
