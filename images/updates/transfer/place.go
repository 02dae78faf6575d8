package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Placed is a lock of a bundle with the one whose place it takes.
type Placed struct {
	Path string
	// Was is nil where none was there.
	Was, Is *updates.Lock
}

// replaces is the digest of the lock whose place it takes.
func (p Placed) replaces() string {
	if p.Was == nil {
		return updates.NoLock
	}
	return p.Was.Digest()
}

// place sorts the locks by whether they are here. Another lock under one of their
// names is a person's to judge.
func (i Import) place(done *Imported, locks map[string]*updates.Lock) error {
	var other, newer []string
	for _, l := range done.Locks {
		path := filepath.Join(i.LocksDir, l.Name+".lock")
		p := Placed{Path: path, Is: locks[path]}
		done.Baselines = append(done.Baselines, p.Is.Baseline)
		text, err := present(path)
		if err != nil {
			return err
		}
		switch {
		case text == nil:
			done.NewLocks = append(done.NewLocks, p)
			continue
		case bytes.Equal(text, p.Is.Marshal()):
			done.SameLocks = append(done.SameLocks, path)
			continue
		case !i.Replace:
			other = append(other, path)
			continue
		}
		if p.Was, err = updates.ParseLock(text); err != nil {
			return fault.Inputf("the lock %s, which is here, cannot be read", path).Because(err).WithHint("bring it back from your version control, or remove it")
		}
		if p.Was.Epoch > p.Is.Epoch && !i.Older {
			newer = append(newer, fmt.Sprintf("%s is of %s", path, time.Unix(p.Was.Epoch, 0).UTC().Format(time.DateOnly)))
		}
		done.NewLocks = append(done.NewLocks, p)
	}
	switch {
	case len(other) > 0:
		return fault.Inputf("other locks are here under its names: %s", strings.Join(other, ", ")).
			WithHint("keep them in version control, and take those of the bundle instead with --replace-locks")
	case len(newer) > 0:
		return fault.Worldf("it is older than what is here, as of %s: %s", done.AsOf.Format(time.DateOnly), strings.Join(newer, ", ")).
			WithHint("get a newer bundle; to go back on purpose, with the vulnerabilities of that day: --replace-locks --older")
	}
	return nil
}

// writeLocks asks for the approval of every lock, and then writes them.
func (i Import) writeLocks(ctx context.Context, done *Imported) error {
	if i.Approve != nil {
		for _, p := range done.NewLocks {
			if err := i.Approve(ctx, p.Was, p.Is); err != nil {
				return err
			}
		}
	}
	for _, p := range done.NewLocks {
		if err := p.Is.Replace(ctx, p.Path, p.replaces()); err != nil {
			return err
		}
	}
	return nil
}

// present reads the lock that is here; nil where none is.
func present(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lock that is here: %w", err)
	}
	return append([]byte{}, text...), nil
}
