package updates

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// ErrPresent is what Store.Partial returns when the store has the file by
// now: there is nothing left to download.
var ErrPresent = errors.New("already in the archive")

// Partial is a file on its way into the store: a download that can be broken
// off at any byte and continued by a later process. Its holder is the only
// one on this machine. It must be closed; Close keeps the bytes, Commit makes
// the file part of the store. It is not for use by several goroutines.
type Partial struct {
	store  *Store
	file   *os.File
	sum    string
	size   int64
	offset int64
	hash   hash.Hash
}

// Partial opens the unfinished file with this digest and length in bytes, and
// waits while another holder has it. It returns ErrPresent when the store has
// the file, which may be what the other holder did in the meantime.
func (s *Store) Partial(ctx context.Context, sum string, size int64) (*Partial, error) {
	if !validSum(sum) {
		return nil, fault.Inputf("%q is not a SHA-256 digest", sum)
	}
	if size < 0 {
		return nil, fault.Inputf("the length of %s is not known", short(sum))
	}
	f, err := s.lockPartial(ctx, sum)
	if err != nil {
		return nil, fmt.Errorf("opening partial download %s: %w", short(sum), err)
	}
	p := &Partial{store: s, file: f, sum: sum, size: size, hash: sha256.New()}
	if s.HasSized(sum, size) {
		return nil, errors.Join(ErrPresent, p.Discard())
	}
	p.offset, err = io.Copy(p.hash, bounded(ctx, f, size))
	if err == nil && p.offset > size {
		err = p.Restart()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading partial download %s: %w", short(sum), err), p.Close())
	}
	return p, nil
}

// lockPartial opens and locks the partial file that is in the directory when
// the lock is held: the previous holder may have renamed or removed the one
// that was opened.
func (s *Store) lockPartial(ctx context.Context, sum string) (*os.File, error) {
	path := filepath.Join(s.dir, "partial", sum)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = hold.Wait(ctx, f, hold.Exclusive)
		if err == nil && hold.Names(path, f) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// Offset is how many bytes there are already.
func (p *Partial) Offset() int64 { return p.offset }

// Write appends b. A file that would grow past its size is refused as a World
// fault and keeps the bytes it had.
func (p *Partial) Write(b []byte) (int, error) {
	if int64(len(b)) > p.size-p.offset {
		return 0, wrongSize(p.size, p.offset+int64(len(b)))
	}
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.offset += int64(n)
	return n, err
}

// Restart throws away the bytes there are.
func (p *Partial) Restart() error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.hash.Reset()
	p.offset = 0
	return nil
}

// Commit verifies length and digest of the whole file, makes it part of the
// store and closes p. Wrong bytes are refused as a World fault; p then stays
// open, to be restarted, closed or discarded.
func (p *Partial) Commit() error {
	if err := check(p.sum, p.size, p.hash, p.offset); err != nil {
		return err
	}
	if err := p.store.install(p.file, p.sum); err != nil {
		return fmt.Errorf("storing %s: %w", short(p.sum), err)
	}
	return p.file.Close()
}

// Close lets go of p and keeps its bytes for a later attempt.
func (p *Partial) Close() error {
	if err := p.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Discard removes the bytes and closes p.
func (p *Partial) Discard() error {
	return errors.Join(os.Remove(p.file.Name()), p.Close())
}
