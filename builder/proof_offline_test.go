package builder_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// TestBakesTouchNoNetwork bakes from lock and archive where any connection to
// a mirror, a proxy or an archive's further source would be counted, and then
// where there is no interface to make one by.
func TestBakesTouchNoNetwork(t *testing.T) {
	t.Parallel()
	counted, place := countingServer(t)
	s := newShop(t, inMemory(t), "proof-all")
	s.namespaces = 0
	s.env = []string{
		"IMGBUILD_MIRROR=http://" + place, "IMGBUILD_SECURITY_MIRROR=http://" + place, "IMGBUILD_SNAPSHOT=http://" + place,
		"IMGBUILD_PROXY=http://" + place, "IMGBUILD_ARCHIVE_SOURCES=http://" + place,
		"http_proxy=http://" + place, "https_proxy=http://" + place, "all_proxy=socks5://" + place,
	}
	first := s.bake(t)
	if first.Known {
		t.Error("the first bake claims that nothing changed")
	}
	if n := counted.Load(); n != 0 {
		t.Errorf("a bake whose packages are all in the archive made %d connections", n)
	}

	t.Run("none of it needs an interface", func(t *testing.T) {
		requireRoot(t)
		isolated := newShop(t, inMemory(t), "proof-all")
		if got := isolated.bake(t); got.Container != first.Container {
			t.Errorf("the container is %s without a network, %s with one", got.Container, first.Container)
		}
	})
	t.Run("a second bake says that nothing changed", func(t *testing.T) {
		again := s.bake(t)
		if !again.Known || again.Version != first.Version || again.Digest != first.Digest {
			t.Errorf("got %+v, want %s again", again, first.Version)
		}
		said, err := s.run(t.Context(), "bake", s.baseline)
		if err != nil || !strings.HasPrefix(string(said), "nothing changed: this is "+first.Version+"\n") {
			t.Errorf("got %q, %v", said, err)
		}
		if n := len(s.wholeCatalog(t)); n != 1 {
			t.Errorf("the catalog has %d versions of one image", n)
		}
	})
	t.Run("a missing package is what the network is asked for", func(t *testing.T) {
		bare := newShop(t, inMemory(t), "proof-all")
		bare.namespaces, bare.env = 0, s.env
		bare.archive = bare.dir + "/archive"
		bare.mustFail(t, 1)
		if counted.Load() == 0 {
			t.Error("no connection was counted: the server of this test does not see what it should")
		}
	})
}

// countingServer counts connections and ends them.
func countingServer(t *testing.T) (*atomic.Int64, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	counted := &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			counted.Add(1)
			c.Close()
		}
	}()
	return counted, l.Addr().String()
}
