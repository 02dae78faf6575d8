package bundle

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The limits on a zip archive: how many entries it may have, and how many bytes
// the list of them.
const (
	MaxEntries   = 500_000
	maxDirectory = 64 << 20
)

// OpenZip reads a zip archive's list of entries, within bounds. An archive that is
// cut short, or in which another one lies, is an error that wraps
// io.ErrUnexpectedEOF. Entries' names and sizes are not judged.
func OpenZip(file io.ReaderAt, size int64) (*zip.Reader, error) {
	list := &directory{ReaderAt: file, left: maxDirectory}
	archive, err := zip.NewReader(list, size)
	if errors.Is(err, zip.ErrFormat) {
		// The list is at the end.
		return nil, fmt.Errorf("the archive is cut short, or is no zip archive: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	if len(archive.File) > MaxEntries {
		return nil, fmt.Errorf("the archive has %d entries, the limit is %d", len(archive.File), MaxEntries)
	}
	list.read = true
	return archive, beginsWith(file, archive)
}

// beginsWith makes sure that an archive is the file, and not one that lies in
// what is left of another: the list of entries is looked for from the end.
func beginsWith(file io.ReaderAt, archive *zip.Reader) error {
	if len(archive.File) == 0 {
		return nil
	}
	// A local file header (APPNOTE.TXT of PKWARE, section 4.3.7).
	header := make([]byte, 30)
	if _, err := file.ReadAt(header, 0); err != nil {
		return fmt.Errorf("the archive is cut short: %w", io.ErrUnexpectedEOF)
	}
	data := int64(30) + int64(binary.LittleEndian.Uint16(header[26:])) + int64(binary.LittleEndian.Uint16(header[28:]))
	for _, f := range archive.File {
		if at, err := f.DataOffset(); err == nil && at == data {
			return nil
		}
	}
	return fmt.Errorf("the archive is cut short, or another one lies in it: %w", io.ErrUnexpectedEOF)
}

// directory fails when the list of an archive's entries is too long.
type directory struct {
	io.ReaderAt
	left int64
	read bool
}

func (d *directory) ReadAt(p []byte, off int64) (int, error) {
	if !d.read {
		if d.left -= int64(len(p)); d.left < 0 {
			return 0, fmt.Errorf("the archive's list of entries has more than %d bytes", maxDirectory)
		}
	}
	return d.ReaderAt.ReadAt(p, off)
}
