package feeds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// Store keeps feeds in a directory: for each a folder by its name with
//
//	state.json    what is known of it
//	data/DIGEST   its files, by their SHA-256
//	incoming/     what is on its way; nothing refers to it
//	filling       held by who reads the source
//	lock          held by who uses the data, and by who puts new data in its place
//
// Data comes before the state that refers to it, and goes after: whenever a
// process or the machine stops, the state and its data are both there.
type Store struct {
	// Dir is made when needed.
	Dir string
	// Now is the time against which feeds are judged.
	Now func() time.Time
	// Progress shows what is read; nil shows nothing.
	Progress progress.Reporter
	// Fetch is how URLs are read.
	Fetch Fetch
	// Program is the version of the program that reads feeds; another one builds
	// the index anew.
	Program string
}

func (s *Store) reporter() progress.Reporter {
	if s.Progress == nil {
		return progress.Discard
	}
	return s.Progress
}

func (s *Store) folder(feed string) string { return filepath.Join(s.Dir, feed) }

func (s *Store) statePath(feed string) string { return filepath.Join(s.folder(feed), "state.json") }

func (s *Store) dataPath(feed, sum string) string {
	return filepath.Join(s.folder(feed), "data", sum)
}

func (s *Store) incoming(feed string) string { return filepath.Join(s.folder(feed), "incoming") }

// State is what is known of a feed. One that was never tried has a state that
// says nothing. It asks nobody and waits for nobody.
func (s *Store) State(f *Feed) (*State, error) {
	none := &State{Version: stateVersion, Feed: f.Name, Kind: f.Kind}
	file, err := os.Open(s.statePath(f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of feed %s: %w", f.Name, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("reading the state of feed %s: %w", f.Name, err)
	}
	state, err := ParseState(data)
	if err == nil && state.Feed != f.Name {
		err = fmt.Errorf("it is that of %q", state.Feed)
	}
	if err != nil {
		// Nothing in it can be believed, so there is nothing; and it says so.
		none.Alarms = []Alarm{{What: Damaged, Reason: fmt.Sprintf("what was known of it cannot be read: %v", err), Mend: "read it again: imgbuild feeds check --now " + f.Name}}
		return none, nil
	}
	if state.Kind != f.Kind {
		// The name is used for another thing now.
		return none, nil
	}
	return state, nil
}

// open opens a file of a feed that is kept. Whoever does holds the feed.
func (s *Store) open(feed string, of File) (*os.File, error) {
	f, err := os.Open(s.dataPath(feed, of.SHA256))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != of.Bytes {
		err = fmt.Errorf("it has %d bytes instead of %d", info.Size(), of.Bytes)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// verify reads a kept file to its end and compares its digest.
func (s *Store) verify(feed string, of File) error {
	f, err := s.open(feed, of)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != of.SHA256 {
		return errors.New("its digest is another one")
	}
	return nil
}

// hold holds a file of a feed's folder until it is closed.
func (s *Store) hold(ctx context.Context, feed, name string, kind hold.Kind) (*os.File, error) {
	if err := os.MkdirAll(s.folder(feed), 0o755); err != nil {
		return nil, fmt.Errorf("holding feed %s: %w", feed, err)
	}
	return hold.File(ctx, filepath.Join(s.folder(feed), name), kind)
}

// commit moves files from incoming to data, has the state refer to them, and
// takes away what no state refers to. Whoever calls it fills the feed.
func (s *Store) commit(ctx context.Context, feed string, state *State, fresh map[string]string) error {
	if err := os.MkdirAll(filepath.Join(s.folder(feed), "data"), 0o755); err != nil {
		return fmt.Errorf("keeping feed %s: %w", feed, err)
	}
	for sum, path := range fresh {
		if err := move(path, s.dataPath(feed, sum)); err != nil {
			return fmt.Errorf("keeping feed %s: %w", feed, err)
		}
	}
	// Whoever holds the feed reads what the state said when that began.
	lock, err := s.hold(ctx, feed, "lock", hold.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := writeState(s.statePath(feed), state); err != nil {
		return err
	}
	return s.sweep(feed, state)
}

// sweep removes data that the state does not refer to, and what came in.
func (s *Store) sweep(feed string, state *State) error {
	kept := map[string]bool{}
	for _, f := range state.Files {
		kept[f.SHA256] = true
	}
	entries, err := os.ReadDir(filepath.Join(s.folder(feed), "data"))
	if err != nil {
		return fmt.Errorf("taking away old data of feed %s: %w", feed, err)
	}
	for _, e := range entries {
		if !kept[e.Name()] {
			if err := os.Remove(s.dataPath(feed, e.Name())); err != nil {
				return fmt.Errorf("taking away old data of feed %s: %w", feed, err)
			}
		}
	}
	if err := os.RemoveAll(s.incoming(feed)); err != nil {
		return fmt.Errorf("taking away what came in for feed %s: %w", feed, err)
	}
	return nil
}

// move renames a file and has the disk know of it.
func move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// take writes what a reader has into incoming, with its digest; more than limit
// bytes is an alarm.
func (s *Store) take(feed, name string, r io.Reader, limit int64) (file File, path string, err error) {
	if err := os.MkdirAll(s.incoming(feed), 0o755); err != nil {
		return File{}, "", fmt.Errorf("receiving for feed %s: %w", feed, err)
	}
	f, err := os.CreateTemp(s.incoming(feed), "file-*")
	if err != nil {
		return File{}, "", fmt.Errorf("receiving for feed %s: %w", feed, err)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, limit+1))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil && n > limit {
		err = tooLarge(name, limit)
	}
	if err == nil && n == 0 {
		err = emptyFile(name)
	}
	if err != nil {
		return File{}, "", errors.Join(err, os.Remove(f.Name()))
	}
	return File{Name: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: n}, f.Name(), nil
}

func tooLarge(name string, limit int64) *Alarm {
	return &Alarm{
		What: Refused, Reason: fmt.Sprintf("%s has more than %d bytes, the limit of its kind", name, limit),
		Mend: "see what the source sends: it is no feed of this kind, or it is made to be large",
	}
}

func emptyFile(name string) *Alarm {
	return &Alarm{What: Empty, Reason: name + " is empty", Mend: "see what the source sends; what was kept before stays"}
}

// inAlarm is the fault of a source that a person has to look at.
func inAlarm(name string, a Alarm) error {
	return fault.Worldf("feed %s: %s", name, a.Reason).WithHint("%s", a.Mend)
}
