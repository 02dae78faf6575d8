package advisory

import (
	"encoding/binary"
	"errors"
	"slices"
)

// An index is written in the forms of this file: unsigned numbers as varints
// (encoding/binary), texts as their length and their bytes, and tables of
// 32-bit offsets, so that one thing of many is found without reading the
// others.

// errIndex is what an index says that does not hold together. Its bytes are
// covered by a digest, so it is not what a disk does to a file.
var errIndex = errors.New("the index of advisories does not hold together")

// out is what is written.
type out []byte

func (o *out) number(n uint64) { *o = binary.AppendUvarint(*o, n) }

func (o *out) count(n int) { o.number(uint64(n)) }

func (o *out) text(s string) {
	o.count(len(s))
	*o = append(*o, s...)
}

func (o *out) byte(b byte) { *o = append(*o, b) }

// ascending are numbers that grow, as their differences.
func (o *out) ascending(numbers []uint32) {
	o.count(len(numbers))
	last := uint32(0)
	for _, n := range numbers {
		o.number(uint64(n - last))
		last = n
	}
}

// table is a table of parts: how many, where each begins, and the parts.
func (o *out) table(parts []out) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	*o = slices.Grow(*o, size+4*len(parts)+8)
	o.fixed(len(parts))
	at := 0
	for _, p := range parts {
		o.fixed(at)
		at += len(p)
	}
	o.fixed(at)
	for _, p := range parts {
		*o = append(*o, p...)
	}
}

func (o *out) fixed(n int) { *o = binary.LittleEndian.AppendUint32(*o, uint32(n)) }

// in is what is read. After the first failure it has failed and gives zeros.
type in struct {
	rest   string
	failed bool
}

func (i *in) fail() {
	i.rest, i.failed = "", true
}

func (i *in) number() uint64 {
	// As binary.Uvarint, of a string.
	var n uint64
	for at, shift := 0, 0; at < len(i.rest) && shift < 64; at, shift = at+1, shift+7 {
		b := i.rest[at]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			i.rest = i.rest[at+1:]
			return n
		}
	}
	i.fail()
	return 0
}

// count is a number of things that take a byte each at least.
func (i *in) count() int {
	n := i.number()
	if n > uint64(len(i.rest)) {
		i.fail()
		return 0
	}
	return int(n)
}

func (i *in) byte() byte {
	if i.rest == "" {
		i.fail()
		return 0
	}
	b := i.rest[0]
	i.rest = i.rest[1:]
	return b
}

func (i *in) text() string {
	n := i.count()
	s := i.rest[:n]
	i.rest = i.rest[n:]
	return s
}

func (i *in) texts() []string {
	n := i.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for at := range list {
		list[at] = i.text()
	}
	return list
}

func (i *in) ascending() []uint32 {
	n := i.count()
	if n == 0 {
		return nil
	}
	numbers, last := make([]uint32, n), uint32(0)
	for at := range numbers {
		last += uint32(i.number())
		numbers[at] = last
	}
	return numbers
}

// table is a table of parts that is read.
type table struct {
	n       int
	offsets string
	parts   string
}

func (i *in) fixed() int {
	if len(i.rest) < 4 {
		i.fail()
		return 0
	}
	n := fixedAt(i.rest, 0)
	i.rest = i.rest[4:]
	return n
}

func fixedAt(s string, at int) int {
	s = s[4*at : 4*at+4]
	return int(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
}

func (i *in) table() table {
	n := i.fixed()
	if i.failed || (n+1)*4 > len(i.rest) {
		i.fail()
		return table{}
	}
	t := table{n: n, offsets: i.rest[:(n+1)*4]}
	i.rest = i.rest[(n+1)*4:]
	size := fixedAt(t.offsets, n)
	if size > len(i.rest) {
		i.fail()
		return table{}
	}
	t.parts, i.rest = i.rest[:size], i.rest[size:]
	return t
}

// part is one part; what is beyond the table has failed.
func (t table) part(at int) in {
	if at < 0 || at >= t.n {
		return in{failed: true}
	}
	from, to := fixedAt(t.offsets, at), fixedAt(t.offsets, at+1)
	if from > to || to > len(t.parts) {
		return in{failed: true}
	}
	return in{rest: t.parts[from:to]}
}

// atLeast is the first part that begins with a text that is not before key, of
// parts that are sorted by it.
func (t table) atLeast(key string) int {
	low, high := 0, t.n
	for low < high {
		middle := int(uint(low+high) >> 1)
		part := t.part(middle)
		if part.text() < key {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// find is where a part begins with a text, or -1.
func (t table) find(key string) int {
	at := t.atLeast(key)
	if part := t.part(at); part.text() == key && at < t.n {
		return at
	}
	return -1
}
