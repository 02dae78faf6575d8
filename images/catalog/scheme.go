package catalog

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"

	"imgbuild/images/fault"
)

// plain reports whether the registry is spoken to without TLS: never, but for
// a registry on this machine that shows by its answer that it knows no TLS.
// Nothing secret is sent to find out, and what was found holds for the life of
// the connection, so that a registry with TLS is never spoken to without.
func (c *connection) plain(ctx context.Context) (bool, error) {
	if !isLoopback(c.host) {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plainHTTP != nil {
		return *c.plainHTTP, nil
	}
	plain, err := knowsNoTLS(ctx, c.transport, c.host)
	if err != nil {
		return false, fault.Failedf("reaching the registry on %s", c.host).Because(err).
			WithHint("start it, or set catalog: to where it is")
	}
	c.plainHTTP = &plain
	return plain, nil
}

// knowsNoTLS asks for the registry's root over TLS. A certificate that is not
// trusted is no reason to do without TLS: the next request says what is wrong.
func knowsNoTLS(ctx context.Context, transport http.RoundTripper, host string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return false, err
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		return false, resp.Body.Close()
	}
	var notTLS tls.RecordHeaderError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &notTLS):
		return true, nil
	case errors.As(err, &untrusted):
		return false, nil
	}
	return false, err
}

// isLoopback reports whether plain HTTP to the host stays on this machine.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reaching is the transport for a host. A proxy's loopback is not this
// machine's, so that what is here is reached without one.
func reaching(host string, transport http.RoundTripper) http.RoundTripper {
	if transport == nil {
		transport = http.DefaultTransport
	}
	if t, ok := transport.(*http.Transport); ok && isLoopback(host) {
		direct := t.Clone()
		direct.Proxy = nil
		return direct
	}
	return transport
}
