package project

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"imgbuild/builder/host"
	"imgbuild/images/fault"
)

// MirrorTransport reaches mirrors: by proxy:, else by apt's own proxy, else by
// the environment's; ca: is accepted besides the system's authorities.
func (p *Project) MirrorTransport(ctx context.Context) (*http.Transport, error) {
	proxy := p.Config.Proxy
	if proxy == "" {
		var err error
		if proxy, err = host.AptProxy(ctx); err != nil {
			return nil, err
		}
	}
	return p.transport(proxy)
}

// RegistryTransport reaches registries: by proxy:, else by the environment's.
func (p *Project) RegistryTransport() (*http.Transport, error) { return p.transport(p.Config.Proxy) }

func (p *Project) transport(proxy string) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return nil, fault.Inputf("reading proxy %q", proxy).Because(err)
		}
		transport.Proxy = http.ProxyURL(u)
	}
	if p.Config.CA != "" {
		text, err := os.ReadFile(p.Config.CA)
		if err != nil {
			return nil, fault.Inputf("reading ca").Because(err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("reading the system's certificate authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fault.Inputf("reading ca: %s holds no certificate in PEM", p.Config.CA)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return transport, nil
}
