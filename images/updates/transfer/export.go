package transfer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"time"

	"imgbuild/images/bundle"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
	"imgbuild/images/updates/records"
)

// Export is what goes into a bundle.
type Export struct {
	// Locks are by the names of their files, without the suffix.
	Locks map[string]*updates.Lock
	// Archive has the packages, and Records the records, which may be none.
	Archive *updates.Store
	Records *records.Store
	// Key signs the bundle.
	Key *signing.Key
	// Start, which may be nil, is told how many bytes there are before any is
	// written, and gives what is told of them as they are.
	Start func(total int64) (written func(bytes int64))
}

// AsOf is the newest epoch of the locks.
func (e Export) AsOf() time.Time {
	var newest int64
	for _, lock := range e.Locks {
		newest = max(newest, lock.Epoch)
	}
	return time.Unix(newest, 0).UTC()
}

// Write writes a bundle to a file that is not there yet, whole or not at all. A
// package that is missing or damaged is a World fault.
func (e Export) Write(ctx context.Context, path string) (*Manifest, error) {
	fail := func(err error) (*Manifest, error) { return nil, fmt.Errorf("exporting updates: %w", err) }
	m, locks, err := e.manifest(ctx)
	if err != nil {
		return fail(err)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fail(err)
	}
	if _, err := ParseManifest(text); err != nil {
		return fail(err) // nobody could read it
	}
	err = bundle.Create(path, func(w io.Writer) error {
		if e.Start != nil {
			w = telling{w, e.Start(m.total())}
		}
		return form.Write(ctx, w, text, e.Key, e.entries(m, locks))
	})
	if err != nil {
		return fail(err)
	}
	return m, nil
}

// telling tells of the bytes that are written.
type telling struct {
	io.Writer
	written func(int64)
}

func (t telling) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	t.written(int64(n))
	return n, err
}

// manifest lists what there is; locks are the texts of the locks by name.
func (e Export) manifest(ctx context.Context) (m *Manifest, locks map[string][]byte, err error) {
	m, locks = &Manifest{Version: manifestVersion, AsOf: e.AsOf(), Locks: []Lock{}, Packages: []File{}}, map[string][]byte{}
	packages := map[string]File{}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(e.Locks)) {
		lock := e.Locks[name]
		if err := lock.Check(); err != nil {
			return nil, nil, fault.Inputf("lock %s", name).Because(err)
		}
		locks[name] = lock.Marshal()
		m.Locks = append(m.Locks, Lock{name, fileOf(locks[name])})
		for _, p := range lock.Packages {
			if _, seen := packages[p.SHA256]; !seen && !e.Archive.HasSized(p.SHA256, p.Size) {
				missing = append(missing, p.Name+" "+p.Version)
			}
			packages[p.SHA256] = File{p.SHA256, p.Size}
		}
	}
	if len(missing) > 0 {
		return nil, nil, fault.Worldf("%d of %d packages are not in the archive, among them %s", len(missing), len(packages), missing[0]).
			WithHint("fetch them: imgbuild updates verify --repair")
	}
	m.Packages = slices.SortedFunc(maps.Values(packages), byDigest)
	m.Records, err = e.records(ctx)
	return m, locks, err
}

func byDigest(a, b File) int { return cmp.Compare(a.SHA256, b.SHA256) }

func fileOf(data []byte) File {
	sum := sha256.Sum256(data)
	return File{hex.EncodeToString(sum[:]), int64(len(data))}
}

// records lists the project's records, and what they stand on: those of others in an
// archive that several share are not for everybody.
func (e Export) records(ctx context.Context) ([]File, error) {
	digests, err := e.Records.OwnDigests(ctx)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, digest := range digests {
		info, err := os.Stat(e.Records.Path(digest))
		if err != nil {
			return nil, fmt.Errorf("listing records: %w", err)
		}
		files = append(files, File{digest, info.Size()})
	}
	return files, nil
}

// entries are the files in the order of the manifest.
func (e Export) entries(m *Manifest, locks map[string][]byte) iter.Seq[bundle.Entry] {
	return func(yield func(bundle.Entry) bool) {
		for _, l := range m.Locks {
			data := locks[l.Name]
			if !yield(bundle.Entry{Name: l.entry(), SHA256: l.SHA256, Size: l.Bytes, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(data)), nil
			}}) {
				return
			}
		}
		for _, f := range m.Records {
			if !yield(bundle.Entry{Name: recordEntry(f), SHA256: f.SHA256, Size: f.Bytes, Open: func() (io.ReadCloser, error) {
				return os.Open(e.Records.Path(f.SHA256))
			}}) {
				return
			}
		}
		for _, f := range m.Packages {
			if !yield(bundle.Entry{Name: packageEntry(f), SHA256: f.SHA256, Size: f.Bytes, Packed: true, Open: func() (io.ReadCloser, error) {
				return e.Archive.OpenFile(f.SHA256)
			}}) {
				return
			}
		}
	}
}
