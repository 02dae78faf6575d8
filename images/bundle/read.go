package bundle

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/unzip"
)

// Unsigned says whether a bundle that nobody has signed will do.
type Unsigned bool

// The answers to that.
const (
	RefuseUnsigned Unsigned = false
	AcceptUnsigned Unsigned = true
)

// Bundle is one that was opened. Its manifest is believed as far as its signer is,
// and of the other entries nothing but their names and sizes has been looked at.
type Bundle struct {
	Manifest []byte
	// Signer is empty when nobody has signed it.
	Signer signing.Signer
	files  map[string]*zip.File
	// named counts the entries that a manifest has asked for.
	named map[string]bool
}

// Is says whether a zip archive is a bundle of the form.
func (f *Form) Is(archive *zip.Reader) bool {
	return len(archive.File) > 0 && (archive.File[0].Name == f.Plain || archive.File[0].Name == f.Signed)
}

// Read opens a bundle. One that is signed must be so by a key of trust; an error
// says what to do when it is not.
func (f *Form) Read(ctx context.Context, file io.ReaderAt, size int64, trust signing.Trust, unsigned Unsigned) (*Bundle, error) {
	if size > f.MaxBytes {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", size, f.MaxBytes)
	}
	archive, err := unzip.Open(file, size)
	if err != nil {
		return nil, err
	}
	b := &Bundle{files: map[string]*zip.File{}, named: map[string]bool{}}
	for _, entry := range archive.File {
		if b.files[entry.Name] != nil {
			return nil, fmt.Errorf("the entry %.200q is there twice", entry.Name)
		}
		if err := unzip.CheckPlain(entry); err != nil {
			return nil, err
		}
		b.files[entry.Name] = entry
	}
	plain, signed := b.files[f.Plain], b.files[f.Signed]
	switch {
	case plain == nil && signed == nil:
		return nil, fault.Inputf("it is no %s: it has no manifest", f.What).WithHint("%s", f.Hints.Other)
	case plain != nil && signed != nil:
		return nil, errors.New("it has two manifests")
	case plain != nil && unsigned == RefuseUnsigned:
		return nil, fault.Inputf("nobody has signed it").WithHint("%s", f.Hints.Unsigned)
	case signed != nil:
		plain = signed
	}
	b.named[plain.Name] = true
	if b.Manifest, err = readManifest(plain, f.MaxManifest); err != nil {
		return nil, fmt.Errorf("reading its manifest: %w", err)
	}
	if signed == nil {
		return b, nil
	}
	if b.Manifest, b.Signer, err = signing.Verify(ctx, b.Manifest, f.Type, f.Made, trust); err != nil {
		return nil, fault.Worldf("it cannot be believed").Because(err).WithHint("%s", f.Hints.Untrusted)
	}
	return b, nil
}

func readManifest(entry *zip.File, limit int64) ([]byte, error) {
	r, err := unzip.OpenFile(entry, limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Name says that the manifest names an entry of so many bytes, which must be
// there.
func (b *Bundle) Name(name string, size int64) error {
	entry := b.files[name]
	if entry == nil {
		return fmt.Errorf("%s is not in it", name)
	}
	if entry.UncompressedSize64 != uint64(size) {
		return fmt.Errorf("%s has %d bytes in it, and should have %d", name, entry.UncompressedSize64, size)
	}
	b.named[name] = true
	return nil
}

// Complete refuses a bundle with entries that its manifest does not name.
func (b *Bundle) Complete() error {
	for name := range b.files {
		if !b.named[name] {
			return fmt.Errorf("the entry %.200q is not in its manifest", name)
		}
	}
	return nil
}

// Open opens an entry. It gives no more bytes than [Bundle.Name] was told; what they
// are its reader verifies.
func (b *Bundle) Open(name string) (io.ReadCloser, error) {
	entry := b.files[name]
	if entry == nil {
		return nil, fmt.Errorf("opening %.200q of a bundle: %w", name, fs.ErrNotExist)
	}
	return entry.Open()
}

// Verify reads an entry and compares its digest, in lower-case hex; a difference
// is a World fault. It may be called from several goroutines.
func (b *Bundle) Verify(ctx context.Context, name, sha256Hex string) error {
	r, err := b.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	counted := &counter{ctx: ctx, from: r}
	if _, err := io.Copy(sum, counted); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fault.Worldf("%s is damaged in the bundle", name).Because(err).WithHint("copy the bundle again")
	}
	if found := hex.EncodeToString(sum.Sum(nil)); found != sha256Hex {
		return fault.Worldf("%s is not the file that the bundle's manifest names: its sha256 is %s, expected %s", name, found, sha256Hex).
			WithHint("copy the bundle again; if it stays so, somebody has changed it")
	}
	return nil
}
