package container

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// cache keeps compressed layers by the digest of the entries they were made
// from, so that an unchanged layer is neither archived nor compressed again.
// A layer is two files: KEY.blob, and KEY.json, written last.
type cache struct{ dir string }

// record is the content of KEY.json.
type record struct {
	DiffID digest.Digest `json:"diffID"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// key is the digest of everything that a layer's bytes depend on.
func key(p *part, c Compression) string {
	h := sha256.New()
	str := func(values ...string) {
		for _, v := range values {
			number(h, int64(len(v)))
			h.Write([]byte(v)) // never fails
		}
	}
	str(LayerFormat, string(c))
	for i := range p.entries {
		e := &p.entries[i]
		str(e.Path, e.SHA256, e.Target, e.HardLink)
		number(h, int64(e.Mode), int64(e.UID), int64(e.GID), e.Size, e.ModTime,
			int64(e.Major), int64(e.Minor), int64(len(e.Xattrs)))
		for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
			str(name, e.Xattrs[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func number(h hash.Hash, values ...int64) {
	var b [8]byte
	for _, v := range values {
		binary.LittleEndian.PutUint64(b[:], uint64(v))
		h.Write(b[:]) // never fails
	}
}

// find returns the cached layer, or nil. A record that cannot be read, or a
// blob of another size, is as good as none.
func (c cache) find(p *part, how Compression) *Layer {
	mediaType, err := how.MediaType()
	if err != nil {
		return nil
	}
	base := filepath.Join(c.dir, key(p, how))
	raw, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil
	}
	var r record
	if json.Unmarshal(raw, &r) != nil || r.DiffID.Validate() != nil || r.Digest.Validate() != nil {
		return nil
	}
	info, err := os.Stat(base + ".blob")
	if err != nil || info.Size() != r.Size {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(base+".json", now, now) // only makes it younger to Prune
	l := &Layer{Name: p.name, DiffID: r.DiffID, path: base + ".blob"}
	l.Blob.MediaType, l.Blob.Digest, l.Blob.Size = mediaType, r.Digest, r.Size
	return l
}

// intact reports whether the cached blob is what its record says.
func (l *Layer) intact() bool {
	f, err := os.Open(l.path)
	if err != nil {
		return false
	}
	defer f.Close()
	verifier := l.Blob.Digest.Verifier()
	n, err := io.Copy(verifier, f)
	return err == nil && n == l.Blob.Size && verifier.Verified()
}

// make compresses the part into the cache.
func (c cache) make(ctx context.Context, root string, p *part, with *compressors) (*Layer, error) {
	f, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	defer f.Close()
	l, err := with.write(ctx, f, root, p)
	if err != nil {
		return nil, fmt.Errorf("writing layer %s: %w", p.name, err)
	}
	if err := f.Chmod(0o444); err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	base := filepath.Join(c.dir, key(p, with.how))
	l.path = base + ".blob"
	if err := os.Rename(f.Name(), l.path); err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	raw, err := json.Marshal(record{l.DiffID, l.Blob.Digest, l.Blob.Size})
	if err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	if err := os.WriteFile(f.Name()+".json", raw, 0o644); err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	if err := os.Rename(f.Name()+".json", base+".json"); err != nil {
		return nil, fmt.Errorf("keeping layer: %w", err)
	}
	return l, nil
}

// drop forgets a layer whose blob turned out not to be what its record says.
func (c cache) drop(p *part, how Compression) error {
	if err := os.Remove(filepath.Join(c.dir, key(p, how)) + ".json"); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("dropping damaged layer: %w", err)
	}
	return nil
}
