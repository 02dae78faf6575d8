package publish_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// door is a listener at which clients come from where a test says.
type door struct {
	come   chan net.Conn
	closed chan struct{}
	close  func()
}

func newDoor() *door {
	closed := make(chan struct{})
	return &door{make(chan net.Conn), closed, sync.OnceFunc(func() { close(closed) })}
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.come:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error   { d.close(); return nil }
func (d *door) Addr() net.Addr { return &net.TCPAddr{} }

type from struct {
	net.Conn
	address net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.address }

// enter is one more client of an address.
func (d *door) enter(t *testing.T, address string) net.Conn {
	t.Helper()
	mine, theirs := net.Pipe()
	t.Cleanup(func() { mine.Close() })
	d.come <- from{theirs, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
	return mine
}

// One address cannot take all places: its next client is hung up on, and another
// address is answered.
func TestOneAddressKeepsNobodyOut(t *testing.T) {
	key, s := newKey(t), newShop(t)
	site, ctx := s.show(t, key, 0), t.Context()
	ctx, stop := context.WithCancel(ctx)
	d, ended := newDoor(), make(chan error, 1)
	go func() { ended <- site.Serve(ctx, d) }()
	var idle []net.Conn
	for range 64 {
		idle = append(idle, d.enter(t, "192.0.2.1"))
	}
	if _, err := d.enter(t, "192.0.2.1").Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one more of that address: %v", err)
	}
	answered := func(conn net.Conn) {
		t.Helper()
		if _, err := io.WriteString(conn, "GET /key.asc HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if all, err := io.ReadAll(conn); err != nil || !strings.Contains(string(all), "BEGIN PGP PUBLIC KEY BLOCK") {
			t.Errorf("%v\n%s", err, all)
		}
	}
	answered(d.enter(t, "192.0.2.2"))
	answered(idle[0])
	answered(d.enter(t, "192.0.2.1")) // in the place of the first
	for _, conn := range idle {
		conn.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
