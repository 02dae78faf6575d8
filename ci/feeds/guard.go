package feeds

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// maxRedirects is how often a server may send on to another address.
const maxRedirects = 5

var (
	// shared are addresses of carriers' inner networks (RFC 6598).
	shared = netip.MustParsePrefix("100.64.0.0/10")
	// translated are IPv4 addresses as a network with IPv6 alone reaches them (RFC
	// 6052).
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// IsPrivate says whether an address with its port is one of this machine or of
// an inner network. What is no address is none.
func IsPrivate(address string) bool {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	ip := at.Addr().Unmap()
	if translated.Contains(ip) {
		all := ip.As16()
		ip = netip.AddrFrom4([4]byte(all[12:]))
	}
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() || shared.Contains(ip)
}

// guard follows one request from server to server. A server outside may not
// send on to one inside: whoever changes what it answers could otherwise ask
// things of the inner network by way of this machine.
type guard struct {
	private func(string) bool
	proxy   func(*http.Request) (*url.URL, error)

	mu sync.Mutex // a name with two addresses is dialled twice at once
	// proxied is that the request at hand goes to a proxy, which connects itself.
	proxied bool
	// outside is that a server outside is asked, barred that one has sent on.
	outside, barred bool
}

// client makes the client of one request.
func (d *download) client(r *http.Request) *http.Client {
	base := d.Transport
	if base == nil {
		base = http.DefaultTransport.(*http.Transport)
	}
	t := base.Clone()
	// As it is sent: what was not asked to be packed is not unpacked.
	t.DisableCompression, t.DisableKeepAlives = true, true
	g := &guard{private: d.Private, proxy: t.Proxy}
	if g.private == nil {
		g.private = IsPrivate
	}
	g.proxied = g.byProxy(r)
	dialer := &net.Dialer{Timeout: min(d.Patience.Silence, 30*time.Second), Control: g.control}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	return &http.Client{Transport: t, CheckRedirect: g.redirect}
}

func (g *guard) byProxy(r *http.Request) bool {
	if g.proxy == nil {
		return false
	}
	to, err := g.proxy(r)
	return err == nil && to != nil
}

// control looks at the address itself, whatever name led to it, before anything
// is connected.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	g.mu.Lock()
	proxied := g.proxied
	g.mu.Unlock()
	if proxied {
		return nil
	}
	return g.step(address)
}

func (g *guard) step(address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.private(address) {
		g.outside = true
		return nil
	}
	if g.barred {
		return &Alarm{
			What: Refused, Reason: fmt.Sprintf("a server outside sends on to %s, which is of an inner network", address),
			Mend: "see what the server does; if it is meant, write the inner address as url:",
		}
	}
	return nil
}

// redirect is asked before each step but the first.
func (g *guard) redirect(r *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || via[0].URL.Scheme != "http") {
		return &Alarm{
			What: Refused, Reason: fmt.Sprintf("%s sends on to %s, which is not https", from.Redacted(), r.URL.Redacted()),
			Mend: "see what the server does; write the address that it should be as url:",
		}
	}
	if len(via) > maxRedirects {
		return &Alarm{What: Refused, Reason: fmt.Sprintf("%s sends on more than %d times", via[0].URL.Redacted(), maxRedirects), Mend: "write the last address as url:"}
	}
	if g.proxied {
		// The proxy connected: what is written as an address can be judged here.
		if err := g.step(address(from)); err != nil {
			return err
		}
	}
	proxied := g.byProxy(r)
	g.mu.Lock()
	g.barred, g.proxied = g.barred || g.outside, proxied
	g.mu.Unlock()
	if proxied {
		return g.step(address(r.URL))
	}
	return nil
}

// address is the host of a URL with its port.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
