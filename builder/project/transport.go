package project

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"imgbuild/builder/host"
	"imgbuild/images/fault"
)

// ReachMirrors sets up a transport for mirrors: proxy:, else apt's own proxy,
// else the environment's; ca: is accepted besides the system's authorities.
func (p *Project) ReachMirrors(ctx context.Context, transport *http.Transport) error {
	proxy := p.Config.Proxy
	if proxy == "" {
		var err error
		if proxy, err = host.AptProxy(ctx); err != nil {
			return err
		}
	}
	return p.reach(transport, proxy)
}

// ReachRegistries sets up a transport for registries: proxy:, else the
// environment's; ca: as for mirrors.
func (p *Project) ReachRegistries(transport *http.Transport) error {
	return p.reach(transport, p.Config.Proxy)
}

func (p *Project) reach(transport *http.Transport, proxy string) error {
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return fault.Inputf("reading proxy %q", proxy).Because(err)
		}
		transport.Proxy = http.ProxyURL(u)
	}
	if p.Config.CA != "" {
		text, err := os.ReadFile(p.Config.CA)
		if err != nil {
			return fault.Inputf("reading ca").Because(err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			return fmt.Errorf("reading the system's certificate authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return fault.Inputf("reading ca: %s holds no certificate in PEM", p.Config.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return nil
}
