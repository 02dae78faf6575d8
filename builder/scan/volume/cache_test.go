package volume_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"imgbuild/builder/scan/volume"
)

// counted counts the reads of each cluster.
type counted struct {
	data  []byte
	reads []atomic.Int32
	bad   int64
}

const testCluster = 512

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	c.reads[at/testCluster].Add(1)
	if at/testCluster == c.bad {
		return 0, errors.New("unreadable")
	}
	return bytes.NewReader(c.data).ReadAt(p, at)
}

func source(size int) *counted {
	c := &counted{data: make([]byte, size), reads: make([]atomic.Int32, size/testCluster+1), bad: -1}
	random := rand.NewChaCha8([32]byte{7})
	random.Read(c.data)
	return c
}

func TestNoClusterIsReadTwiceInSequence(t *testing.T) {
	c := source(100*testCluster + 77)
	r := volume.NewCache(c, int64(len(c.data)), testCluster, 10*testCluster)
	got, err := io.ReadAll(io.NewSectionReader(r, 0, int64(len(c.data))))
	if err != nil || !bytes.Equal(got, c.data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	var wg sync.WaitGroup // many at once want the same
	for range 8 {
		wg.Go(func() {
			buf := make([]byte, 100)
			for at := 5 * testCluster; at < 9*testCluster; at += 10 {
				if _, err := r.ReadAt(buf, int64(at)); err != nil || !bytes.Equal(buf, c.data[at:at+100]) {
					t.Errorf("at %d: %v", at, err)
				}
			}
		})
	}
	wg.Wait()
	for k := range c.reads {
		want := int32(1)
		if k >= 5 && k <= 9 {
			want = 2
		}
		if n := c.reads[k].Load(); n != want {
			t.Errorf("cluster %d was read %d times", k, n)
		}
	}
}

func TestTheCacheHoldsInParallel(t *testing.T) {
	c := source(200 * testCluster)
	r := volume.NewCache(c, int64(len(c.data)), testCluster, 5*testCluster)
	var wg sync.WaitGroup
	for seed := range uint64(8) { // more readers than clusters fit
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 2000 {
				at := random.IntN(len(c.data))
				buf := make([]byte, random.IntN(4*testCluster))
				n, err := r.ReadAt(buf, int64(at))
				want := c.data[at:min(at+len(buf), len(c.data))]
				if !bytes.Equal(buf[:n], want) || (err == io.EOF) != (n < len(buf)) {
					t.Errorf("%d of %d bytes at %d: %v", n, len(buf), at, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAnUnreadableClusterIsAnError(t *testing.T) {
	c := source(10 * testCluster)
	c.bad = 4
	r := volume.NewCache(c, int64(len(c.data)), testCluster, 5*testCluster)
	for range 2 {
		if n, err := r.ReadAt(make([]byte, 2*testCluster), 3*testCluster+1); n != testCluster-1 || err == nil || err == io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	short := volume.NewCache(c, int64(len(c.data))+testCluster, testCluster, 5*testCluster)
	if _, err := short.ReadAt(make([]byte, 1), int64(len(c.data))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an image that ends too soon: %v", err)
	}
}
