package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/bundle"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
	"imgbuild/images/updates/records"
)

// Import is where a bundle goes to.
type Import struct {
	Archive  *updates.Store
	Records  *records.Store
	LocksDir string
	// Trust says whose bundles count.
	Trust signing.Trust
	// Replace takes a lock of the bundle in the place of another one here.
	Replace bool
	// Older lets that be one of an earlier epoch.
	Older bool
	// Approve, which may be nil, is asked of every lock before any is written, and
	// when the records are in; was is nil for one that is new here.
	Approve func(ctx context.Context, was, is *updates.Lock) error
	// Start, which may be nil, is told how many bytes there are, and gives what is
	// told of them: once as they are verified, and once as they are taken in.
	Start func(name string, total int64) (done func(bytes int64))
}

// Imported says what came of it.
type Imported struct {
	*Manifest
	Signer signing.Signer
	// Baselines are those of the locks, in their order.
	Baselines []string
	// Added counts the packages that were not here, Bytes theirs.
	Added int
	Bytes int64
	// NewRecords counts the records that were not here.
	NewRecords int
	// NewLocks are the locks that were written, and SameLocks the paths of those that
	// were here already.
	NewLocks  []Placed
	SameLocks []string
}

// Read takes a bundle in. It verifies the signature, every digest and every lock
// first; then packages enter the archive, records join the records, and at last
// locks appear. One that is interrupted is finished by taking it in again.
func (i Import) Read(ctx context.Context, path string) (*Imported, error) {
	done, err := i.read(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("importing %s: %w", path, err)
	}
	return done, nil
}

func (i Import) read(ctx context.Context, path string) (*Imported, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Inputf("it cannot be read").Because(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, fault.Inputf("it cannot be read").Because(err)
	}
	b, err := form.Read(ctx, file, info.Size(), i.Trust, bundle.RefuseUnsigned)
	if err != nil && ctx.Err() == nil && fault.KindOf(err) == fault.Failed {
		err = fault.Worldf("it is no whole %s", form.What).Because(err).WithHint("copy it again; %s", form.Hints.Other)
	}
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(b.Manifest)
	if err != nil {
		return nil, err
	}
	done := &Imported{Manifest: m, Signer: b.Signer}
	entries, err := named(b, m)
	if err != nil {
		return nil, err
	}
	locks, err := i.locks(b, m)
	if err != nil {
		return nil, err
	}
	if err := i.place(done, locks); err != nil {
		return nil, err
	}
	if err := i.verify(ctx, b, entries); err != nil {
		return nil, err
	}
	arrival, err := i.arrival(ctx, b, m)
	if err != nil {
		return nil, err
	}
	used, err := i.Archive.Use(ctx)
	if err != nil {
		return nil, err
	}
	defer used.Close()
	if err := i.takePackages(ctx, b, done); err != nil {
		return nil, err
	}
	if done.NewRecords, err = i.Records.Take(ctx, arrival); err != nil {
		return nil, err
	}
	return done, i.writeLocks(ctx, done)
}

// named are the files that a manifest names, by entry. Each must be there, and
// nothing else.
func named(b *bundle.Bundle, m *Manifest) (map[string]File, error) {
	entries := map[string]File{}
	for _, l := range m.Locks {
		entries[l.entry()] = l.File
	}
	for _, f := range m.Records {
		entries[recordEntry(f)] = f
	}
	for _, f := range m.Packages {
		entries[packageEntry(f)] = f
	}
	for name, f := range entries {
		if err := b.Name(name, f.Bytes); err != nil {
			return nil, fault.Worldf("it is not whole").Because(err).WithHint("copy the bundle again")
		}
	}
	if err := b.Complete(); err != nil {
		return nil, fault.Worldf("it is not what was signed").Because(err)
	}
	return entries, nil
}

// locks reads the locks, by where they go to. The bundle must have every package
// of theirs, and no other: what an archive has, a lock may take.
func (i Import) locks(b *bundle.Bundle, m *Manifest) (map[string]*updates.Lock, error) {
	sizes := map[string]int64{} // by digest
	for _, f := range m.Packages {
		sizes[f.SHA256] = f.Bytes
	}
	locks, unnamed := map[string]*updates.Lock{}, maps.Clone(sizes)
	for _, l := range m.Locks {
		lock, err := readLock(b, l)
		if err != nil {
			return nil, fault.Worldf("lock %s is wrong", l.Name).Because(err)
		}
		for _, p := range lock.Packages {
			if sizes[p.SHA256] != p.Size {
				return nil, fault.Worldf("lock %s is wrong: the bundle does not have its %s %s", l.Name, p.Name, p.Version)
			}
			delete(unnamed, p.SHA256)
		}
		locks[filepath.Join(i.LocksDir, l.Name+".lock")] = lock
	}
	for digest := range unnamed {
		return nil, fault.Worldf("it has package %.12s, which none of its locks names", digest)
	}
	return locks, nil
}

// verify reads all of a bundle, several files at once.
func (i Import) verify(ctx context.Context, b *bundle.Bundle, entries map[string]File) error {
	var total int64
	for _, f := range entries {
		total += f.Bytes
	}
	tell := i.start("verify bundle", total)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for name, f := range entries {
		group.Go(func() error {
			if err := context.Cause(within); err != nil {
				return err
			}
			err := b.Verify(within, name, f.SHA256)
			tell(f.Bytes)
			return err
		})
	}
	return group.Wait()
}

func (i Import) start(name string, total int64) func(int64) {
	if i.Start == nil {
		return func(int64) {}
	}
	return i.Start(name, total)
}

func readLock(b *bundle.Bundle, l Lock) (*updates.Lock, error) {
	text, err := readAll(b, l.entry(), l.File)
	if err != nil {
		return nil, err
	}
	lock, err := updates.ParseLock(text)
	if err != nil {
		return nil, err
	}
	if l.Name != lock.Baseline && l.Name != lock.Baseline+"."+lock.Architecture {
		return nil, fmt.Errorf("it is one of %s for %s", lock.Baseline, lock.Architecture)
	}
	return lock, nil
}

// readAll reads a small entry and compares it once more.
func readAll(b *bundle.Bundle, name string, f File) ([]byte, error) {
	r, err := b.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if fileOf(data) != f {
		return nil, fault.Worldf("%s is not the file that the bundle's manifest names", name).WithHint("copy the bundle again; if it stays so, somebody has changed it")
	}
	return data, nil
}

// takePackages puts what is not here, or not whole, into the archive.
func (i Import) takePackages(ctx context.Context, b *bundle.Bundle, done *Imported) error {
	var total int64
	for _, f := range done.Packages {
		total += f.Bytes
	}
	tell := i.start("import packages", total)
	for _, f := range done.Packages {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		added, err := i.takePackage(ctx, b, f)
		if err != nil {
			return err
		}
		if added {
			done.Added++
			done.Bytes += f.Bytes
		}
		tell(f.Bytes)
	}
	return nil
}

func (i Import) takePackage(ctx context.Context, b *bundle.Bundle, f File) (added bool, err error) {
	if i.Archive.Has(f.SHA256) {
		if err := i.Archive.Verify(ctx, f.SHA256); err == nil {
			return false, nil
		}
		if _, err := i.Archive.Quarantine(ctx, f.SHA256); err != nil {
			return false, err
		}
	}
	r, err := b.Open(packageEntry(f))
	if err != nil {
		return false, err
	}
	defer r.Close()
	return true, i.Archive.Put(ctx, f.SHA256, f.Bytes, r)
}

// arrival judges the records of a bundle.
func (i Import) arrival(ctx context.Context, b *bundle.Bundle, m *Manifest) (*records.Arrival, error) {
	files := map[string]File{}
	var digests []string
	for _, f := range m.Records {
		files[f.SHA256] = f
		digests = append(digests, f.SHA256)
	}
	return i.Records.Arrive(ctx, digests, func(digest string) ([]byte, error) {
		return readAll(b, recordEntry(files[digest]), files[digest])
	})
}
