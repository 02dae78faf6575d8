package advisory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"imgbuild/images/control"
)

// Limits on an index that is opened, in bytes, and on a part of its details
// once unpacked.
const (
	maxHot   = 1 << 30
	maxCold  = 4 << 30
	maxChunk = 64 << 20
)

// Index finds the advisories of a package, and the packages of an advisory. It
// is opened with one read of what matching needs, some 20 MB for all that is
// known of Debian; the details of a record are read when it is asked for. It may
// be used by several goroutines at once.
type Index struct {
	records, packages, vulnerabilities, names table
	words                                     []string
	// ends are where the chunks of details end in the file, of which details
	// begins at start.
	ends    []int
	file    io.ReaderAt
	start   int64
	close   func() error
	unknown map[string]int
}

// Open opens an index that lies on disk.
func Open(name string) (*Index, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the index of advisories: %w", err)
	}
	x, err := Read(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", name, err), f.Close())
	}
	x.close = f.Close
	return x, nil
}

// Read opens an index. Its details are read from r later.
func Read(r io.ReaderAt) (*Index, error) {
	header := make([]byte, headerSize)
	if n, err := r.ReadAt(header, 0); n < len(header) {
		return nil, fmt.Errorf("reading the index of advisories: its header: %w", err)
	}
	if !bytes.HasPrefix(header, []byte(magic)) {
		return nil, errors.New("reading the index of advisories: it is none, or of another version: build it again")
	}
	hot, cold := binary.LittleEndian.Uint64(header[len(magic):]), binary.LittleEndian.Uint64(header[len(magic)+8:])
	if hot > maxHot || cold > maxCold {
		return nil, fmt.Errorf("reading the index of advisories: it says that it has %d and %d bytes, the limits are %d and %d", hot, cold, maxHot, maxCold)
	}
	var text strings.Builder
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(grown(&text, r, int64(hot)), sum), io.NewSectionReader(r, int64(headerSize), int64(hot)))
	if err != nil {
		return nil, fmt.Errorf("reading the index of advisories: %w", err)
	}
	if n != int64(hot) || !bytes.Equal(sum.Sum(nil), header[len(magic)+16:]) {
		return nil, errors.New("reading the index of advisories: it is damaged: build it again")
	}
	x := &Index{file: r, start: int64(headerSize) + int64(hot), unknown: map[string]int{}, close: func() error { return nil }}
	rest := in{rest: text.String()}
	x.records, x.packages, x.vulnerabilities, x.names = rest.table(), rest.table(), rest.table(), rest.table()
	x.words = rest.texts()
	x.ends = make([]int, rest.count())
	for i := range x.ends {
		x.ends[i] = int(rest.number())
	}
	for range rest.count() {
		name := rest.text()
		x.unknown[name] = int(rest.number())
	}
	if rest.failed || len(x.words) == 0 && x.records.n > 0 {
		return nil, errIndex
	}
	return x, nil
}

// grown makes room for what is known to be there, so that a header that lies
// costs nothing.
func grown(text *strings.Builder, r io.ReaderAt, size int64) io.Writer {
	var last [1]byte
	if size > 0 {
		if n, _ := r.ReadAt(last[:], int64(headerSize)+size-1); n == 1 {
			text.Grow(int(size))
		}
	}
	return text
}

// Close closes the file that the index was opened from.
func (x *Index) Close() error { return x.close() }

// Records is how many records there are.
func (x *Index) Records() int { return x.records.n }

// Unknown are the ecosystems that records speak of and whose order of versions
// is not known, with the number of packages: nothing is said of those.
func (x *Index) Unknown() map[string]int { return x.unknown }

func (x *Index) word(n uint64) string {
	if n >= uint64(len(x.words)) {
		return ""
	}
	return x.words[n]
}

// record is what is looked up of a record: the numbers of its packages, and
// where its details are.
type record struct {
	id        string
	packages  []uint32
	chunk, at int
}

func (x *Index) record(n int) (record, error) {
	part := x.records.part(n)
	r := record{id: part.text()}
	part.number() // its feed
	part.byte()   // whether it is of a distributor
	r.packages = part.ascending()
	r.chunk, r.at = int(part.number()), int(part.number())
	if part.failed {
		return record{}, errIndex
	}
	return r, nil
}

// vulnerability is one, however many records are about it. What part has left
// are the numbers of those.
type vulnerability struct {
	id       string
	severity control.Severity
	names    []string
	part     in
}

func (x *Index) vulnerability(n uint32) (vulnerability, error) {
	part := x.vulnerabilities.part(int(n))
	v := vulnerability{id: part.text(), severity: valueOf(severities, part.byte()), names: part.texts()}
	if part.failed {
		return vulnerability{}, errIndex
	}
	v.part = part
	return v, nil
}

// Named are the records that a name leads to: those with the id, and all about
// the vulnerability that has the name. They are sorted by id, and by feed; their
// Affected is nil, for [Index.Packages] has it. Nil is a name that nobody knows.
func (x *Index) Named(name string) ([]*Record, error) {
	numbers, err := x.named(name)
	if err != nil {
		return nil, err
	}
	var list []*Record
	for _, n := range numbers {
		r, err := x.details(int(n))
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// details reads a record whole.
func (x *Index) details(n int) (*Record, error) {
	r, err := x.record(n)
	if err != nil {
		return nil, err
	}
	if r.chunk < 0 || r.chunk >= len(x.ends) {
		return nil, errIndex
	}
	from := 0
	if r.chunk > 0 {
		from = x.ends[r.chunk-1]
	}
	to := x.ends[r.chunk]
	if from > to || to-from > maxChunk {
		return nil, errIndex
	}
	packed := make([]byte, to-from)
	if _, err := x.file.ReadAt(packed, x.start+int64(from)); err != nil {
		return nil, fmt.Errorf("reading the details of %s: %w", r.id, err)
	}
	decode, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxChunk))
	if err != nil {
		return nil, err
	}
	defer decode.Close()
	text, err := decode.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the details of %s: %w", r.id, err)
	}
	chunk := in{rest: string(text)}
	list := chunk.table()
	part := list.part(r.at)
	if chunk.failed || part.failed {
		return nil, errIndex
	}
	var whole Record
	if err := json.Unmarshal([]byte(part.rest), &whole); err != nil {
		return nil, fmt.Errorf("reading the details of %s: %w", r.id, err)
	}
	return &whole, nil
}
