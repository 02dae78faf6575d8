// Package unzip opens zip archives of anybody's making: published records, and what
// is carried to machines without a network. What an archive takes is bounded before
// it is given out: its list of entries, which is held in memory, where a name may
// lead, and what a file unpacks to. The package never writes a file.
package unzip

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// The limits on an archive: how many entries it may have, and how many bytes the
// list of them.
const (
	MaxEntries = 500_000
	maxList    = 64 << 20
)

// Open reads an archive's list of entries, within bounds. An archive that is cut
// short, or in which another one lies, is an error that wraps io.ErrUnexpectedEOF.
// Its entries are not judged.
func Open(file io.ReaderAt, size int64) (*zip.Reader, error) {
	list := &list{ReaderAt: file, left: maxList}
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

// list fails when the list of an archive's entries is too long.
type list struct {
	io.ReaderAt
	left int64
	read bool
}

func (l *list) ReadAt(p []byte, off int64) (int, error) {
	if !l.read {
		if l.left -= int64(len(p)); l.left < 0 {
			return 0, fmt.Errorf("the archive's list of entries has more than %d bytes", maxList)
		}
	}
	return l.ReaderAt.ReadAt(p, off)
}

// CheckPlain refuses an entry that is no regular file, or whose name would lead out of
// the folder that the archive is.
func CheckPlain(entry *zip.File) error {
	if !fs.ValidPath(entry.Name) || strings.Contains(entry.Name, `\`) || !entry.Mode().IsRegular() {
		return fmt.Errorf("the archive has an entry %.200q, which is no plain file below it", entry.Name)
	}
	return nil
}

// Files are an archive's files, in its order. Folders are passed over; anything
// else that is not plain is an error.
func Files(archive *zip.Reader) ([]*zip.File, error) {
	var files []*zip.File
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if err := CheckPlain(f); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// OpenFile opens a file of at most limit bytes. One that is longer than the list
// says is an error when so much of it is read: the library holds a file to its
// size and checksum.
func OpenFile(f *zip.File, limit int64) (io.ReadCloser, error) {
	if f.UncompressedSize64 > uint64(limit) {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", f.UncompressedSize64, limit)
	}
	return f.Open()
}
