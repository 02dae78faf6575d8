package records

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// most is how many records there may be.
	most int
	// Roster says whose signatures count.
	Roster *roster.Roster
	// Now is the clock that records are dated by.
	Now func() time.Time
}

// Open returns the records of the archive in a directory. Nothing is made before the
// first record.
func Open(archive string, who *roster.Roster, now func() time.Time) *Store {
	return &Store{dir: filepath.Join(archive, Dir), most: maxRecords, Roster: who, Now: now}
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
	if len(digests) > s.most {
		return nil, s.full(len(digests))
	}
	return digests, nil
}

func (s *Store) full(records int) error {
	return fault.Worldf("%d records of updates are here or would come, the limit is %d", records, s.most).
		WithHint("keep this archive, and go on in a new one: archive.dir, then imgbuild updates approve --locked BASELINE for each lock")
}

// Path is where the record with a digest lies.
func (s *Store) Path(digest string) string { return filepath.Join(s.dir, digest+suffix) }

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
	if err := s.sweep(); err != nil {
		return "", err
	}
	history, err := s.OwnHistory(ctx)
	if err != nil {
		return "", err
	}
	r, err := choose(history)
	if r == nil || err != nil {
		return "", err
	}
	// One too many would end every later command.
	if digests, err := s.Digests(); err != nil || len(digests) >= s.most {
		return "", cmp.Or(err, s.full(len(digests)+1))
	}
	if err := s.prepare(history, r, key); err != nil {
		return "", err
	}
	envelope, digest, err := seal(ctx, r, key)
	if err != nil {
		return "", err
	}
	// A wrong signature, as of an agent that has another key, would end every command
	// from then on.
	if _, err := open(ctx, envelope, s.Roster); err != nil {
		return "", fault.Failedf("signing record: what the key signed does not hold").Because(err).WithHint("see which key signs: ssh-add -l")
	}
	if err := s.put(digest, envelope); err != nil {
		return digest, err
	}
	return digest, s.syncDir()
}

func (s *Store) prepare(history *life.History, r *life.Record, key Key) error {
	now := s.Now().UTC().Truncate(time.Second)
	r.Format, r.When = life.RecordFormat, now
	known, err := history.Known(r)
	if err != nil {
		return err
	}
	r.After = known
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

// put writes an envelope under its name, whole or not at all. syncDir makes the name
// durable.
func (s *Store) put(digest string, envelope []byte) (err error) {
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
	return os.Rename(f.Name(), s.Path(digest))
}

// syncDir makes names durable.
func (s *Store) syncDir() error {
	d, err := os.Open(s.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("adding a record of updates: %w", err)
	}
	return nil
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
