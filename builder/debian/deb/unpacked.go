package deb

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// Unpacked is a package read and decompressed, as the Cache keeps it: one
// file with the content of the package's files in zstd frames (chunks), the
// index, and a footer of the index's offset and length and the magic.
type Unpacked struct {
	// Control holds the control files.
	Control Control
	// Entries are the entries of the data archive, in its order.
	Entries []Entry
	// Chunks hold the content of the entries that are Files.
	Chunks []Chunk

	path string
}

// Chunk is a run of entries whose contents are compressed together.
type Chunk struct {
	// First and End bound the entries: Entries[First:End]. Those that are no
	// File or that are empty have no bytes in the chunk.
	First, End int
	// Size is the length of the contents in bytes.
	Size int64

	Offset, Length int64 // of the frame in the cache's file
}

const (
	// unpackedMagic names the format; another format has another number.
	unpackedMagic = "imgunp01"
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
	z, err := zstd.NewReader(io.NewSectionReader(f, int64(offset), int64(length)), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	u := &Unpacked{path: path}
	if err := gob.NewDecoder(z).Decode(u); err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	return u, nil
}

// Decoder reads chunks. It keeps its memory from one chunk to the next, so a
// worker has one; it is not for use by several at once. Close frees it.
type Decoder struct {
	z           *zstd.Decoder
	packed, raw []byte
}

// NewDecoder returns a Decoder.
func NewDecoder() (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &Decoder{z: z}, nil
}

// Close frees the decoder's memory.
func (d *Decoder) Close() { d.z.Close() }

// Chunk gives every File of the chunk, as its index in u.Entries, with its
// content to visit, in order. visit has to read the content to its end.
func (d *Decoder) Chunk(u *Unpacked, c Chunk, visit func(index int, content io.Reader) error) error {
	f, err := os.Open(u.path)
	if err != nil {
		return fmt.Errorf("opening unpacked package: %w", err)
	}
	defer f.Close()
	var contents io.Reader
	if c.Size <= chunkSize {
		contents, err = d.whole(f, c)
	} else {
		contents, err = d.z, d.z.Reset(io.NewSectionReader(f, c.Offset, c.Length))
	}
	if err != nil {
		return fmt.Errorf("reading unpacked package %s: %w", u.path, err)
	}
	for i := c.First; i < c.End; i++ {
		e := &u.Entries[i]
		if e.Type != File {
			continue
		}
		content := io.LimitedReader{R: contents, N: e.Size}
		if buffered, ok := contents.(*bytes.Buffer); ok {
			err = visit(i, bytes.NewReader(buffered.Next(int(e.Size))))
		} else if err = visit(i, &content); err == nil && content.N > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	// The frame's checksum is checked where the frame ends.
	if rest, err := io.Copy(io.Discard, contents); err != nil || rest > 0 {
		return fmt.Errorf("reading unpacked package %s: %d bytes too many: %w", u.path, rest, err)
	}
	return nil
}

func (d *Decoder) whole(f *os.File, c Chunk) (io.Reader, error) {
	if int64(cap(d.packed)) < c.Length {
		d.packed = make([]byte, c.Length)
	}
	d.packed = d.packed[:c.Length]
	if _, err := f.ReadAt(d.packed, c.Offset); err != nil {
		return nil, unexpected(err)
	}
	if d.raw == nil {
		d.raw = make([]byte, 0, chunkSize)
	}
	raw, err := d.z.DecodeAll(d.packed, d.raw[:0])
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) != c.Size {
		return nil, errors.New("file is damaged")
	}
	return bytes.NewBuffer(raw), nil
}
