package updates

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// NoLock is the digest of a lock that is not there.
const NoLock = ""

// DigestAt is the digest of the lock at path, as Lock.Digest has it however the file
// is formatted; NoLock where there is none. Of a file that is no lock it is the SHA-256.
func DigestAt(path string) (string, error) {
	_, digest, err := lockAt(path)
	return digest, err
}

// lockAt reads what is at path; the lock is nil where that is none.
func lockAt(path string) (*Lock, string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, NoLock, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading lock: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading lock: %w", err)
	}
	if l, err := ParseLock(data); err == nil {
		return l, l.Digest(), nil
	}
	sum := sha256.Sum256(data)
	return nil, hex.EncodeToString(sum[:]), nil
}

// Write writes the lock file at path, whole or not at all, whatever is there. The same
// lock always gives the same bytes. Who has read what is there uses Replace.
func (l *Lock) Write(path string) error {
	if err := l.write(path); err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	return nil
}

// Replace is Write in the place of the lock that the caller has read, by its digest, or
// where there was none of NoLock. It waits for others that write locks in the same
// folder; where one of them has come first, it is a World fault, and theirs stays.
func (l *Lock) Replace(ctx context.Context, path, was string) error {
	return l.replace(ctx, path, func(_ *Lock, now string) (bool, error) {
		if now != was && now != l.Digest() {
			return false, changed(path)
		}
		return now == was, nil
	})
}

// Complete is Replace by a bake, which has entered numbers of accounts. Nothing is
// written where another bake of the same packages has entered these and more.
func (l *Lock) Complete(ctx context.Context, path, was string) error {
	return l.replace(ctx, path, func(there *Lock, now string) (bool, error) {
		switch {
		case now == was || there != nil && l.furtherThan(there):
			return true, nil
		case there != nil && there.furtherThan(l):
			return false, nil
		}
		return false, changed(path)
	})
}

// furtherThan says whether a lock is another one with more accounts, or none more.
func (l *Lock) furtherThan(m *Lock) bool {
	bare, other := *l, *m
	bare.Accounts, other.Accounts = nil, nil
	return bare.Digest() == other.Digest() && !slices.ContainsFunc(m.Accounts, func(a Account) bool {
		return !slices.ContainsFunc(l.Accounts, a.Equal)
	})
}

// Still is a World fault where the lock at path is not the one with a digest any more.
func Still(path, digest string) error {
	if now, err := DigestAt(path); err != nil || now == digest {
		return err
	}
	return changed(path)
}

func changed(path string) error {
	return fault.Worldf("%s was changed meanwhile", path).WithHint("run the same command again: it starts from what is locked now")
}

// replace writes the lock where may says so of what is there, while nobody else
// replaces one.
func (l *Lock) replace(ctx context.Context, path string, may func(there *Lock, now string) (bool, error)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing lock: %w", err)
		}
	}()
	held, err := holdFolder(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	there, now, err := lockAt(path)
	if err != nil {
		return err
	}
	if write, err := may(there, now); !write || err != nil {
		return err
	}
	return l.write(path)
}

// holdFolder holds a folder of locks: a file to be held would lie among what is
// reviewed.
func holdFolder(ctx context.Context, dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// On NFS no folder can be held; the comparison is then all there is.
	if err := hold.Wait(ctx, f, hold.Exclusive); err != nil && !errors.Is(err, unix.EBADF) && !errors.Is(err, unix.ENOLCK) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (l *Lock) write(path string) (err error) {
	if err := l.Check(); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".lock-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	_, err = f.Write(l.Marshal())
	if err = cmp.Or(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names of files in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
