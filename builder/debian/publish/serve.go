package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// The bounds on who asks: how long a client may take to send its question, and to
// take any part of its answer or all of it; how long it may be idle; how many may be
// there at once, and how many of them from one address.
const (
	askingTime  = 10 * time.Second
	stallTime   = 30 * time.Second
	takingTime  = time.Hour
	idleTime    = time.Minute
	mostAsking  = 256
	mostFromOne = mostAsking / 4
)

// Serve answers until ctx ends, and then finishes what is under way.
func (site *Site) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: steady(site.Handler()), ReadTimeout: askingTime, WriteTimeout: takingTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(&crowd{netutil.LimitListener(listener, mostAsking), sync.Mutex{}, map[string]int{}})
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		_ = server.Close() // a client that will not end
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// crowd hangs up on those of an address that has its share of all: nobody keeps all
// others out. This machine's own, such as a proxy that does TLS, has no share.
type crowd struct {
	net.Listener
	mu   sync.Mutex
	from map[string]int
}

// Accept gives the next client that may stay.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok || at.IP.IsLoopback() {
			return conn, nil
		}
		host := at.IP.String()
		if c.enter(host) {
			return &guest{Conn: conn, leave: sync.OnceFunc(func() { c.exit(host) })}, nil
		}
		_ = conn.Close() // it is told nothing, and may ask again
	}
}

func (c *crowd) enter(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[host] >= mostFromOne {
		return false
	}
	c.from[host]++
	return true
}

func (c *crowd) exit(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[host]--; c.from[host] == 0 {
		delete(c.from, host)
	}
}

// guest is one client of a crowd.
type guest struct {
	net.Conn
	leave func()
}

// Close lets the next one in.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}

// steady ends an answer of which a client takes nothing for a while.
func steady(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&pieces{ResponseWriter: w, control: http.NewResponseController(w), end: time.Now().Add(takingTime)}, r)
	})
}

// pieces gives each piece of an answer its own time.
type pieces struct {
	http.ResponseWriter
	control *http.ResponseController
	end     time.Time
}

// Write sends data while its client takes it.
func (p *pieces) Write(data []byte) (int, error) {
	by := time.Now().Add(stallTime)
	if by.After(p.end) {
		by = p.end
	}
	if err := p.control.SetWriteDeadline(by); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(data)
}
