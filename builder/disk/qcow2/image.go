package qcow2

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The fields and bits of docs/interop/qcow2.txt that this package writes.
const (
	magic             = 0x514649fb // "QFI\xfb"
	version           = 3
	headerLength      = 112
	incompatCompress  = 1 << 3 // the compression type field is not 0
	refcountOrder     = 4      // 16-bit reference counts
	entryCopied       = 1 << 63
	entryCompressed   = 1 << 62
	compressedAtBits  = 62 - (clusterBits - 8)
	l2Entries         = clusterSize / 8
	refcountsPerBlock = clusterSize * 8 / (1 << refcountOrder)
	flushAt           = 4 << 20
)

// image writes one qcow2 file. The header takes the first cluster, clusters of
// data follow in the disk's order, then L2 tables, the L1 table and reference
// counts. Parts are written once each, so nothing is ever copied.
type image struct {
	out         *os.File
	size        int64
	compression Compression

	next    int64    // where the next compressed cluster begins
	pending []byte   // bytes that end at next and are not yet written
	l2      [][]byte // L2 tables in the order of the disk, nil where nothing is allocated
	refs    []uint16 // one for each cluster of the file so far
}

func newImage(out *os.File, size int64, c Compression) *image {
	clusters := (size + clusterSize - 1) >> clusterBits
	im := &image{out: out, size: size, compression: c, next: clusterSize, refs: []uint16{1}}
	im.l2 = make([][]byte, (clusters+l2Entries-1)/l2Entries)
	return im
}

// put stores a cluster; clusters come in ascending order.
func (im *image) put(c cluster) error {
	if !c.compressed {
		at, err := im.allocate(c.data)
		if err != nil {
			return err
		}
		im.entry(c.index, entryCopied|uint64(at))
		return nil
	}
	at := im.next
	if err := im.append(c.data); err != nil {
		return err
	}
	// A reader fetches whole sectors, so the count covers the last one whole.
	sectors := (at&511+int64(len(c.data))+511)/512 - 1
	first, last := at>>clusterBits, (at&^511+(sectors+1)*512-1)>>clusterBits
	for k := first; k <= last; k++ {
		if err := im.refer(k); err != nil {
			return err
		}
	}
	im.entry(c.index, entryCompressed|uint64(sectors)<<compressedAtBits|uint64(at))
	return nil
}

func (im *image) entry(index int64, value uint64) {
	table := &im.l2[index/l2Entries]
	if *table == nil {
		*table = make([]byte, clusterSize)
	}
	binary.BigEndian.PutUint64((*table)[index%l2Entries*8:], value)
}

func (im *image) refer(cluster int64) error {
	for int64(len(im.refs)) <= cluster {
		im.refs = append(im.refs, 0)
	}
	if im.refs[cluster] == 0xffff {
		return fmt.Errorf("cluster %d is shared by too many compressed clusters", cluster)
	}
	im.refs[cluster]++
	return nil
}

func (im *image) append(data []byte) error {
	im.pending = append(im.pending, data...)
	im.next += int64(len(data))
	if len(im.pending) < flushAt {
		return nil
	}
	return im.flush()
}

func (im *image) flush() error {
	at := im.next - int64(len(im.pending))
	if _, err := im.out.WriteAt(im.pending, at); err != nil {
		return err
	}
	// Whoever flushes the finished file has then less to wait for. It is no
	// promise, so it may fail.
	unix.SyncFileRange(int(im.out.Fd()), at, int64(len(im.pending)), unix.SYNC_FILE_RANGE_WRITE)
	im.pending = im.pending[:0]
	return nil
}

// align moves next to a cluster boundary.
func (im *image) align() error {
	rest := -im.next & (clusterSize - 1)
	if rest == 0 {
		return nil
	}
	return im.append(make([]byte, rest))
}

// allocate stores data, padded to whole clusters, at a cluster boundary.
func (im *image) allocate(data []byte) (int64, error) {
	if err := im.align(); err != nil {
		return 0, err
	}
	at := im.next
	if err := im.append(data); err != nil {
		return 0, err
	}
	if err := im.align(); err != nil {
		return 0, err
	}
	for k := at >> clusterBits; k < im.next>>clusterBits; k++ {
		if err := im.refer(k); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// finish writes the tables and, last, the header.
func (im *image) finish() error {
	l1 := make([]byte, len(im.l2)*8)
	for i, table := range im.l2 {
		if table == nil {
			continue
		}
		at, err := im.allocate(table)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint64(l1[i*8:], entryCopied|uint64(at))
	}
	l1At, err := im.allocate(l1)
	if err != nil {
		return err
	}
	if err := im.align(); err != nil {
		return err
	}
	tableAt, tableClusters, err := im.refcounts()
	if err != nil {
		return err
	}
	if err := im.flush(); err != nil {
		return err
	}
	_, err = im.out.WriteAt(im.header(l1At, tableAt, tableClusters), 0)
	return err
}

// refcounts writes the reference count table and its blocks, which count
// themselves too.
func (im *image) refcounts() (at int64, clusters int, err error) {
	used := int64(len(im.refs))
	var blocks, table int64
	for {
		b := (used + blocks + table + refcountsPerBlock - 1) / refcountsPerBlock
		t := (b*8 + clusterSize - 1) / clusterSize
		if b == blocks && t == table {
			break
		}
		blocks, table = b, t
	}
	at = im.next
	for k := range table + blocks {
		if err := im.refer(at>>clusterBits + k); err != nil {
			return 0, 0, err
		}
	}
	entries := make([]byte, table*clusterSize)
	for k := range blocks {
		binary.BigEndian.PutUint64(entries[k*8:], uint64(at+(table+k)*clusterSize))
	}
	counts := make([]byte, blocks*clusterSize)
	for k, n := range im.refs {
		binary.BigEndian.PutUint16(counts[2*k:], n)
	}
	if err := im.append(entries); err != nil {
		return 0, 0, err
	}
	return at, int(table), im.append(counts)
}

func (im *image) header(l1At, tableAt int64, tableClusters int) []byte {
	h := make([]byte, clusterSize)
	be := binary.BigEndian
	be.PutUint32(h[0:], magic)
	be.PutUint32(h[4:], version)
	be.PutUint32(h[20:], clusterBits)
	be.PutUint64(h[24:], uint64(im.size))
	be.PutUint32(h[36:], uint32(len(im.l2)))
	be.PutUint64(h[40:], uint64(l1At))
	be.PutUint64(h[48:], uint64(tableAt))
	be.PutUint32(h[56:], uint32(tableClusters))
	if im.compression == Zstd {
		be.PutUint64(h[72:], incompatCompress)
		h[104] = 1
	}
	be.PutUint32(h[96:], refcountOrder)
	be.PutUint32(h[100:], headerLength)
	return h
}
