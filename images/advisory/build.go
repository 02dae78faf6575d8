package advisory

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/control"
)

// magic begins an index; its last byte is the version of the layout.
const magic = "imgbuild advisories\x00\x01"

// headerSize is of the magic, the two lengths and the digest.
const headerSize = len(magic) + 8 + 8 + sha256.Size

// manyVersions is from where on a package's versions are found by a map.
const manyVersions = 4096

// mostHeld is how many bytes a builder holds, so that a feed that is made to be
// large ends with an error and not with the memory of the machine. The process
// takes some two and a half times as much: what was decoded is there as well, and
// what is written.
const mostHeld = 160 << 20

// ErrTooLarge is that the records of an index take more memory than it may have.
var ErrTooLarge = errors.New("all records together take too much memory")

// What things cost beside their texts: headers, places in lists and maps, and what
// is made of them when the index is written.
const (
	heldRecord  = 256
	heldPackage = 512
	heldName    = 160
	heldVersion = 36
	heldNumber  = 48
)

// chunkSize is about how many bytes of records are compressed together.
const chunkSize = 128 << 10

// Builder gathers records of all feeds and writes the index of them. The same
// records in the same order give the same bytes.
type Builder struct {
	records  []*recordEntry
	packages map[string]*packageEntries
	order    []*packageEntries
	words    map[string]uint32
	ordered  []string
	// cold is what is compressed already, chunks are where its parts end.
	cold   []byte
	chunks []int
	chunk  []out
	plain  out
	filled int
	encode *zstd.Encoder
	// unknown counts packages of ecosystems without a known order.
	unknown map[string]int
	// held is about how many bytes all of that takes.
	held int
}

// recordEntry is what is held of a record: its details are compressed.
type recordEntry struct {
	id, feed          string
	aliases, upstream []string
	severity          control.Severity
	packages          []uint32
	chunk, at         int
}

// packageEntries are what all records say of one package.
type packageEntries struct {
	key    string
	number uint32
	of     *ecosystem.Distribution
	// versions are in the order in which they came, and byText are their numbers
	// by their text: a map of them would take three times the memory. It is made
	// where there are so many that keeping them sorted would take long.
	versions []string
	byText   []uint32
	numbers  map[string]uint32
	// entries are n of them, written: there are hundreds of thousands.
	entries out
	n       int
}

// entryOf is one Affected, with versions by their number in the package.
type entryOf struct {
	record                        uint32
	ecosystem, urgency            uint32
	status, disposition, severity byte
	note, unreadable              string
	ranges                        [][]eventOf
	versions                      []uint32
}

type eventOf struct {
	kind    eventKind
	version uint32
}

// always stands for the versions "0" and "*", which no table has; other numbers
// begin with 1.
const always = 0

type eventKind uint8

const (
	introduced eventKind = iota
	fixed
	lastAffected
	limit
)

// NewBuilder is a builder of an empty index.
func NewBuilder() (*Builder, error) {
	encode, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(2*chunkSize))
	if err != nil {
		return nil, err
	}
	return &Builder{packages: map[string]*packageEntries{}, words: map[string]uint32{}, unknown: map[string]int{}, encode: encode}, nil
}

// Add takes a record up. One that is withdrawn is left out, one that is beyond
// the limits is refused; when it is one too many for the memory, with ErrTooLarge.
func (b *Builder) Add(r *Record) error {
	if err := r.Check(); err != nil {
		return fmt.Errorf("adding an advisory: %w", err)
	}
	if !r.Withdrawn.IsZero() {
		return nil
	}
	if len(b.records) == math.MaxInt32 {
		return fmt.Errorf("adding an advisory: there are %d already", len(b.records))
	}
	e := &recordEntry{id: r.ID, feed: r.Feed, aliases: r.Aliases, upstream: r.Upstream, severity: r.Severity}
	details := *r
	details.Affected = nil
	text, err := json.Marshal(&details)
	if err != nil {
		return fmt.Errorf("adding advisory %s: %w", r.ID, err)
	}
	e.chunk, e.at = len(b.chunks), len(b.chunk)
	b.chunk = append(b.chunk, text)
	if b.filled += len(text); b.filled >= chunkSize {
		b.compress()
	}
	b.held += heldRecord + len(r.ID)
	for _, names := range [][]string{r.Aliases, r.Upstream} {
		for _, name := range names {
			b.held += heldName + len(name)
		}
	}
	number := uint32(len(b.records))
	b.records = append(b.records, e)
	for i := range r.Affected {
		if p := b.affected(number, &r.Affected[i]); p != nil {
			e.packages = append(e.packages, p.number)
		}
	}
	slices.Sort(e.packages)
	e.packages = slices.Clip(slices.Compact(e.packages))
	if b.held += 4 * len(e.packages); b.held > mostHeld {
		return fmt.Errorf("adding advisory %s: %w: the limit is %d MiB", r.ID, ErrTooLarge, mostHeld>>20)
	}
	return nil
}

func (b *Builder) compress() {
	b.plain = b.plain[:0]
	b.plain.table(b.chunk)
	before := len(b.cold)
	b.cold = b.encode.EncodeAll(b.plain, b.cold)
	b.held += len(b.cold) - before
	b.chunks = append(b.chunks, len(b.cold))
	b.chunk, b.filled = b.chunk[:0], 0
}

// affected notes what a record says of a package; nil when the package's
// ecosystem is not known.
func (b *Builder) affected(record uint32, a *Affected) *packageEntries {
	of, err := ecosystem.Of(a.Ecosystem)
	if err != nil {
		if b.unknown[a.Ecosystem]++; b.unknown[a.Ecosystem] == 1 {
			b.held += heldName + len(a.Ecosystem)
		}
		return nil
	}
	p := b.packageOf(of, a)
	before, versions := len(p.entries), len(p.versions)
	e := entryOf{
		record: record, ecosystem: b.word(a.Ecosystem), urgency: b.word(a.Urgency),
		status: statusByte(a.Status), disposition: dispositionByte(a.Disposition), severity: severityByte(a.Severity), note: Line(a.Note),
	}
	for _, r := range a.Ranges {
		var events []eventOf
		for _, event := range r.Events {
			one, version := kindOf(event)
			if !unbounded(one, version) && !of.Order.Valid(version) {
				e.unreadable = version
			}
			events = append(events, eventOf{one, p.version(version, one)})
		}
		e.ranges = append(e.ranges, events)
	}
	listed := make([]string, 0, len(a.Versions))
	for _, v := range a.Versions {
		switch {
		case of.Order.Valid(v):
			listed = append(listed, v)
		case a.Status != StatusAffected:
			// What is said of it alone must not be said of all versions.
			e.unreadable = v
		default:
			// What is no version here is none that could be installed.
		}
	}
	if e.unreadable == "" {
		listed = outside(of.Order, a.Ranges, listed)
	}
	for _, v := range listed {
		e.versions = append(e.versions, p.version(v, fixed))
	}
	p.n++
	e.write(&p.entries)
	// They are there three times when the package is written.
	b.held += 3 * (len(p.entries) - before)
	for _, v := range p.versions[versions:] {
		if b.held += heldVersion + len(v); p.numbers != nil {
			b.held += heldNumber
		}
	}
	return p
}

func kindOf(e Event) (eventKind, string) {
	switch {
	case e.Introduced != "":
		return introduced, e.Introduced
	case e.Fixed != "":
		return fixed, e.Fixed
	case e.LastAffected != "":
		return lastAffected, e.LastAffected
	}
	return limit, e.Limit
}

// packageKey is the key of a package in the index.
func packageKey(release, name string) string { return release + "\x00" + name }

func (b *Builder) packageOf(of *ecosystem.Distribution, a *Affected) *packageEntries {
	key := packageKey(ecosystem.Release(a.Ecosystem), a.Package)
	p, ok := b.packages[key]
	if !ok {
		p = &packageEntries{key: key, of: of, number: uint32(len(b.order))}
		b.packages[key] = p
		b.held += heldPackage + len(key)
		b.order = append(b.order, p)
	}
	return p
}

// version is the number of a version.
func (p *packageEntries) version(v string, kind eventKind) uint32 {
	if unbounded(kind, v) {
		return always
	}
	if p.numbers != nil {
		n, ok := p.numbers[v]
		if !ok {
			n = uint32(len(p.versions))
			p.numbers[v] = n
			p.versions = append(p.versions, v)
		}
		return n + 1
	}
	if len(p.versions) >= manyVersions {
		p.numbers = make(map[string]uint32, 2*manyVersions)
		for n, known := range p.versions {
			p.numbers[known] = uint32(n)
		}
		return p.version(v, kind)
	}
	at, ok := slices.BinarySearchFunc(p.byText, v, func(n uint32, v string) int { return cmp.Compare(p.versions[n], v) })
	if !ok {
		p.byText = slices.Insert(p.byText, at, uint32(len(p.versions)))
		p.versions = append(p.versions, v)
	}
	return p.byText[at] + 1
}

// word is the number of a word that many entries have.
func (b *Builder) word(w string) uint32 {
	n, ok := b.words[w]
	if !ok {
		n = uint32(len(b.ordered))
		b.held += heldName + len(w)
		b.words[w] = n
		b.ordered = append(b.ordered, w)
	}
	return n
}
