package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Form is a kind of bundle.
type Form struct {
	// What it is called, for messages: "bundle of feeds".
	What string
	// Plain and Signed name the manifest's entry, without and with a signature.
	Plain, Signed string
	// Type is the payload type of the signature.
	Type string
	// MaxManifest and MaxBytes are the most bytes of the manifest, signed or not,
	// and of the bundle.
	MaxManifest, MaxBytes int64
	// Made reads the date out of a manifest.
	Made signing.Dated
	// Hints say what to do about a file that is no bundle of the form, about one
	// that nobody has signed, and about one whose signer is not trusted.
	Hints struct{ Other, Unsigned, Untrusted string }
}

// Entry is a file that is put into a bundle.
type Entry struct {
	// Name is its path in the bundle.
	Name string
	// SHA256, in lower-case hex, and Size in bytes are what the manifest says; a
	// file that is another one ends the writing.
	SHA256 string
	Size   int64
	// Packed files are compressed already, and are not once more.
	Packed bool
	Open   func() (io.ReadCloser, error)
}

// Write writes a bundle, signed where there is a key. Files are read once.
func (f *Form) Write(ctx context.Context, w io.Writer, manifest []byte, key *signing.Key, entries iter.Seq[Entry]) error {
	name := f.Plain
	if key != nil {
		name = f.Signed
		var err error
		if manifest, err = signing.Sign(ctx, f.Type, manifest, key); err != nil {
			return err
		}
	}
	if int64(len(manifest)) > f.MaxManifest {
		return fault.Inputf("its manifest has %d bytes, the limit is %d", len(manifest), f.MaxManifest).WithHint("make several bundles of less")
	}
	archive := zip.NewWriter(w)
	if err := add(archive, name, zip.Deflate, bytes.NewReader(manifest)); err != nil {
		return err
	}
	for e := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := e.write(ctx, archive); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return archive.Close()
}

func (e Entry) write(ctx context.Context, archive *zip.Writer) error {
	from, err := e.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	method := zip.Deflate
	if e.Packed {
		method = zip.Store
	}
	sum := sha256.New()
	counted := &counter{ctx: ctx, from: io.LimitReader(from, e.Size+1)}
	if err := add(archive, e.Name, method, io.TeeReader(counted, sum)); err != nil {
		return err
	}
	if found := hex.EncodeToString(sum.Sum(nil)); counted.n != e.Size || found != e.SHA256 {
		return fault.Worldf("what is kept of it is damaged: it should have %d bytes and the sha256 %s", e.Size, e.SHA256)
	}
	return nil
}

// counter counts bytes, and fails when ctx ends.
type counter struct {
	ctx  context.Context
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// add writes an entry without a time, so that the same files give the same bytes.
func add(archive *zip.Writer, name string, method uint16, from io.Reader) error {
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: method})
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, from)
	return err
}

// Create makes a file that is not there yet, whole or not at all.
func Create(path string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fault.Inputf("%s is there already", path).WithHint("choose another name, or remove it")
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".bundle-*")
	if err != nil {
		return fault.Inputf("it cannot be written").Because(err)
	}
	defer func() {
		if err == nil {
			return
		}
		// It may be closed, or have its name, by now.
		_ = out.Close()
		if gone := os.Remove(out.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := write(out); err != nil {
		return err
	}
	if err := errors.Join(out.Chmod(0o644), out.Sync()); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	// A link does not replace what has come there meanwhile.
	err = os.Link(out.Name(), path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fault.Inputf("%s is there already", path).WithHint("choose another name, or remove it")
	case errors.Is(err, unix.EPERM), errors.Is(err, errors.ErrUnsupported):
		return os.Rename(out.Name(), path) // a file system without links
	case err != nil:
		return err
	}
	return os.Remove(out.Name())
}
