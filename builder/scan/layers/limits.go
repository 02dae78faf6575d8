package layers

import (
	"cmp"
	"sync/atomic"

	"imgbuild/images/fault"
)

// Limits bound what an image may cost us; they hold for all its layers
// together. A limit of 0 is that of DefaultLimits.
type Limits struct {
	// Entries is how many entries the layers may have.
	Entries int64
	// Bytes is how large the layers may be when decompressed, and how large the
	// contents of their files, the holes of sparse ones included.
	Bytes int64
	// Metadata is how many bytes the names, the targets of links and the
	// extended attributes may have.
	Metadata int64
	// Lookups is how many parts of names may have to be looked up to apply the
	// layers: forty links can make any name lead through eighty thousand parts.
	Lookups int64
}

// DefaultLimits are far above those of any image that is meant well: a server
// with a desktop and every language has half a million files.
func DefaultLimits() Limits {
	return Limits{Entries: 1 << 20, Bytes: 32 << 30, Metadata: 128 << 20, Lookups: 1 << 25}
}

const (
	// maxDocument is the largest index, manifest or configuration, in bytes; the
	// OCI distribution specification asks registries to take 4 MiB.
	maxDocument = 4 << 20
	// maxManifests is how many manifests the indexes of one image may name, and
	// maxNesting how many indexes may lie within each other.
	maxManifests = 1000
	maxNesting   = 4
	// maxLayers is how many an image may have; overlayfs takes 500.
	maxLayers = 500
	// maxWindow is how much of its output a zstd decoder may have to remember, in
	// bytes; zstd uses 8 MiB up to level 19.
	maxWindow = 64 << 20

	// What Linux can hold: limits.h, xattr(7).
	maxName       = 255
	maxPath       = 4095
	maxXattrName  = 255
	maxXattrValue = 64 << 10
)

// budget is what is left of the limits. It is for several goroutines.
type budget struct {
	limits                            Limits
	entries, bytes, spooled, metadata atomic.Int64
}

func newBudget(l Limits) *budget {
	d := DefaultLimits()
	return &budget{limits: Limits{
		Entries: cmp.Or(l.Entries, d.Entries), Bytes: cmp.Or(l.Bytes, d.Bytes), Metadata: cmp.Or(l.Metadata, d.Metadata),
		Lookups: cmp.Or(l.Lookups, d.Lookups),
	}}
}

// entry takes one entry with so many bytes of metadata.
func (b *budget) entry(metadata int) error {
	if b.entries.Add(1) > b.limits.Entries {
		return tooLarge("it has more than %d entries", b.limits.Entries)
	}
	if b.metadata.Add(int64(metadata)) > b.limits.Metadata {
		return tooLarge("its names, links and attributes have more than %d bytes", b.limits.Metadata)
	}
	return nil
}

// stream takes bytes of a decompressed layer.
func (b *budget) stream(n int) error {
	if b.bytes.Add(int64(n)) > b.limits.Bytes {
		return tooLarge("its layers have more than %d bytes when decompressed", b.limits.Bytes)
	}
	return nil
}

// content takes the content of a file. What a hostile entry says of its size
// must not overflow the sum.
func (b *budget) content(n int64) error {
	if n < 0 || n > b.limits.Bytes || b.spooled.Add(n) > b.limits.Bytes {
		return tooLarge("its files have more than %d bytes", b.limits.Bytes)
	}
	return nil
}

func tooLarge(format string, limit int64) error {
	return fault.Worldf("the image is larger than what is read of one: "+format, limit)
}
