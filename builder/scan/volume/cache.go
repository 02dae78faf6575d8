package volume

import (
	"container/list"
	"fmt"
	"io"
	"sync"
)

// cacheSize is how many bytes of clusters are kept. A little more is taken while
// more goroutines read than clusters fit.
const cacheSize = 8 << 20

// cache keeps the clusters of an image that were read last, so that none is
// decompressed twice for neighbours. A cluster that several ask for at once is
// read once.
type cache struct {
	source  io.ReaderAt
	size    int64 // of the disk
	cluster int64 // bytes of a cluster
	limit   int   // clusters

	mu    sync.Mutex
	slots map[int64]*slot
	order *list.List // of slots, the one used last in front
	reads int        // clusters read, for the test
}

// slot holds one cluster. refs and place belong to the cache's lock; data and
// err are for who has waited for ready.
type slot struct {
	index int64
	data  []byte
	err   error
	ready chan struct{}
	refs  int
	place *list.Element
}

func newCache(source io.ReaderAt, size, cluster int64, bytes int) *cache {
	return &cache{source: source, size: size, cluster: cluster, limit: max(int(int64(bytes)/cluster), 4), slots: map[int64]*slot{}, order: list.New()}
}

// ReadAt implements io.ReaderAt.
func (c *cache) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, fmt.Errorf("reading the disk at %d", at)
	}
	for n < len(p) {
		if at >= c.size {
			return n, io.EOF
		}
		s := c.get(at / c.cluster)
		<-s.ready
		if err := s.err; err != nil {
			c.release(s)
			return n, err
		}
		k := copy(p[n:], s.data[at%c.cluster:])
		c.release(s)
		n, at = n+k, at+int64(k)
	}
	return n, nil
}

// get finds a cluster or begins to read it; the caller releases it.
func (c *cache) get(index int64) *slot {
	c.mu.Lock()
	if s, ok := c.slots[index]; ok {
		s.refs++
		c.order.MoveToFront(s.place)
		c.mu.Unlock()
		return s
	}
	s := &slot{index: index, ready: make(chan struct{}), refs: 1, data: c.makeRoom()}
	s.place = c.order.PushFront(s)
	c.slots[index] = s
	c.reads++
	c.mu.Unlock()
	defer close(s.ready)
	s.data = s.data[:min(c.cluster, c.size-index*c.cluster)]
	if n, err := c.source.ReadAt(s.data, index*c.cluster); n < len(s.data) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		s.err = fmt.Errorf("reading the disk at %d: %w", index*c.cluster, err)
	}
	return s
}

// makeRoom gives the place of a cluster, if possible of one that nobody uses.
func (c *cache) makeRoom() []byte {
	for e := c.order.Back(); e != nil && len(c.slots) >= c.limit; e = e.Prev() {
		if old := e.Value.(*slot); old.refs == 0 {
			c.order.Remove(e)
			delete(c.slots, old.index)
			return old.data[:c.cluster]
		}
	}
	return make([]byte, c.cluster)
}

func (c *cache) release(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.refs--
}
