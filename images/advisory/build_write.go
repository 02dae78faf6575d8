package advisory

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// Write writes the index and ends the builder.
func (b *Builder) Write(w io.Writer) error {
	if len(b.chunk) > 0 {
		b.compress()
	}
	hot, err := b.hot()
	if err != nil {
		return fmt.Errorf("writing the index of advisories: %w", err)
	}
	if len(hot) > math.MaxUint32 {
		return fmt.Errorf("writing the index of advisories: it would have %d bytes", len(hot))
	}
	sum := sha256.Sum256(hot)
	header := []byte(magic)
	header = binary.LittleEndian.AppendUint64(header, uint64(len(hot)))
	header = binary.LittleEndian.AppendUint64(header, uint64(len(b.cold)))
	header = append(header, sum[:]...)
	for _, part := range [][]byte{header, hot, b.cold} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("writing the index of advisories: %w", err)
		}
	}
	return nil
}

// Index is the index itself, in memory; it ends the builder.
func (b *Builder) Index() (*Index, error) {
	var all bytes.Buffer
	if err := b.Write(&all); err != nil {
		return nil, err
	}
	return Read(bytes.NewReader(all.Bytes()))
}

// hot is all that matching reads: records by id, packages by key,
// vulnerabilities and their names, the words, the chunks of details.
func (b *Builder) hot() (out, error) {
	slices.SortFunc(b.order, func(x, y *packageEntries) int { return cmp.Compare(x.key, y.key) })
	packageNumber := make([]uint32, len(b.order))
	for i, p := range b.order {
		packageNumber[p.number] = uint32(i)
	}
	byID := make([]uint32, len(b.records))
	for i := range byID {
		byID[i] = uint32(i)
	}
	slices.SortStableFunc(byID, func(x, y uint32) int {
		return cmp.Or(cmp.Compare(b.records[x].id, b.records[y].id), cmp.Compare(b.records[x].feed, b.records[y].feed))
	})
	recordNumber := make([]uint32, len(b.records))
	for i, r := range byID {
		recordNumber[r] = uint32(i)
	}
	joined, err := join(b.records)
	if err != nil {
		return nil, err
	}

	records := make([]out, len(byID))
	for i, n := range byID {
		r := b.records[n]
		o := &records[i]
		o.text(r.id)
		o.number(uint64(b.word(r.feed)))
		if len(r.upstream) > 0 {
			o.byte(1) // of a distributor
		} else {
			o.byte(0)
		}
		packages := make([]uint32, 0, len(r.packages))
		for _, p := range r.packages {
			packages = append(packages, packageNumber[p])
		}
		slices.Sort(packages)
		o.ascending(packages)
		o.count(r.chunk)
		o.count(r.at)
	}
	packages := make([]out, len(b.order))
	for i, p := range b.order {
		p.write(&packages[i], recordNumber, joined.about)
		b.order[i] = nil // for the collector: what is written is not needed again
		delete(b.packages, p.key)
	}
	var o, words, unknown out
	o.table(records)
	o.table(packages)
	o.table(joined.vulnerabilities(recordNumber))
	o.table(joined.names())
	words.count(len(b.ordered))
	for _, w := range b.ordered {
		words.text(w)
	}
	o = append(o, words...)
	o.count(len(b.chunks))
	for _, end := range b.chunks {
		o.count(end)
	}
	unknown.count(len(b.unknown))
	for _, name := range slices.Sorted(maps.Keys(b.unknown)) {
		unknown.text(name)
		unknown.count(b.unknown[name])
	}
	return append(o, unknown...), nil
}
