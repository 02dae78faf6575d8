package deb

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/s2"
)

// Unpacked is a package read and decompressed, as the Cache keeps it: one file
// with the content of the package's files in S2 streams (chunks), which cost
// little to write and to read, the index, and a footer of the index's offset
// and length and the magic.
type Unpacked struct {
	// Control holds the control files.
	Control Control
	// Entries are the entries of the data archive, in its order.
	Entries []Entry
	// Chunks hold the content of the entries that are Files.
	Chunks []Chunk

	path string
	// again makes the file at path again, of the same bytes.
	again func() error
}

// Chunk is a run of entries whose contents are compressed together.
type Chunk struct {
	// First and End bound the entries: Entries[First:End]. Those that are no
	// File or that are empty have no bytes in the chunk.
	First, End int
	// Size is the length of the contents in bytes.
	Size int64

	Offset, Length int64 // of the stream in the cache's file
}

const (
	// unpackedMagic names the format; another format has another number.
	unpackedMagic = "imgunp02"
	footerSize    = 24
	// chunkSize is how many bytes of small files share a chunk. A larger file
	// has a chunk of its own.
	chunkSize = 4 << 20
	// maxIndex is the most bytes of an index.
	maxIndex = 1 << 30
)

// readUnpacked reads the index of the cache's file at path.
func readUnpacked(path string) (*Unpacked, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var footer [footerSize]byte
	if _, err := f.ReadAt(footer[:], st.Size()-footerSize); err != nil {
		return nil, fmt.Errorf("reading footer: %w", unexpected(err))
	}
	offset, length := binary.LittleEndian.Uint64(footer[:]), binary.LittleEndian.Uint64(footer[8:])
	if string(footer[16:]) != unpackedMagic || length > maxIndex || offset+length != uint64(st.Size()-footerSize) {
		return nil, errors.New("file is damaged")
	}
	u := &Unpacked{path: path}
	if err := gob.NewDecoder(s2.NewReader(io.NewSectionReader(f, int64(offset), int64(length)), s2.ReaderAllocBlock(64<<10))).Decode(u); err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	return u, nil
}

// Decoder reads chunks. It keeps its memory from one chunk to the next, so a
// worker has one; it is not for use by several at once.
type Decoder struct{ stream *s2.Reader }

// NewDecoder returns a Decoder.
func NewDecoder() *Decoder { return &Decoder{s2.NewReader(nil)} }

// Chunk gives every File of the chunk, as its index in u.Entries, with its
// content to visit, in order. visit has to read the content to its end.
func (d *Decoder) Chunk(u *Unpacked, c Chunk, visit func(index int, content io.Reader) error) error {
	f, err := os.Open(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = u.again(); err == nil {
			f, err = os.Open(u.path)
		}
	}
	if err != nil {
		return fmt.Errorf("opening unpacked package: %w", err)
	}
	defer f.Close()
	d.stream.Reset(io.NewSectionReader(f, c.Offset, c.Length))
	for i := c.First; i < c.End; i++ {
		e := &u.Entries[i]
		if e.Type != File {
			continue
		}
		content := io.LimitedReader{R: d.stream, N: e.Size}
		if err = visit(i, &content); err == nil && content.N > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	// What is behind the last file is read too: a damaged end shows.
	if rest, err := io.Copy(io.Discard, d.stream); err != nil || rest > 0 {
		return fmt.Errorf("reading unpacked package %s: %d bytes too many: %w", u.path, rest, err)
	}
	return nil
}
