package project

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"imgbuild/builder/host"
	"imgbuild/images/fault"
)

// ReachMirrors sets up a client for mirrors: proxy:, else apt's own proxy, else
// the environment's; ca:, else apt's own authorities, are accepted besides the
// system's.
func (p *Project) ReachMirrors(ctx context.Context, client *http.Client) error {
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		return fmt.Errorf("reaching mirrors: a transport of type %T takes no proxy", client.Transport)
	}
	if err := p.ReachRegistries(transport); err != nil {
		return err
	}
	if p.Config.Proxy != "" && p.Config.CA != "" {
		return nil
	}
	apt, err := host.ReadAptNetwork(ctx)
	if err != nil {
		return err
	}
	if p.Config.Proxy == "" {
		transport.Proxy = aptProxy(apt, transport.Proxy)
	}
	if p.Config.CA != "" {
		return nil
	}
	all, hosts := apt.Authorities()
	if all != "" {
		if err := accept(transport, "apt's Acquire::https::CaInfo", all); err != nil {
			return err
		}
	}
	own := map[string]http.RoundTripper{}
	for name, file := range hosts {
		t := transport.Clone()
		if err := accept(t, "apt's Acquire::https::"+name+"::CaInfo", file); err != nil {
			return err
		}
		own[name] = t
	}
	if len(own) > 0 {
		client.Transport = byHost{own: own, others: transport}
	}
	return nil
}

// ReachRegistries sets up a transport for registries: proxy:, else the
// environment's; ca: as for mirrors.
func (p *Project) ReachRegistries(transport *http.Transport) error {
	if p.Config.Proxy != "" {
		u, err := url.Parse(p.Config.Proxy)
		if err != nil {
			return fault.Inputf("reading proxy %q", p.Config.Proxy).Because(err)
		}
		transport.Proxy = http.ProxyURL(u)
	}
	if p.Config.CA != "" {
		return accept(transport, "ca", p.Config.CA)
	}
	return nil
}

// aptProxy chooses as apt does, and as environment does where apt leaves it to
// that.
func aptProxy(apt host.AptNetwork, environment func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		proxy, configured := apt.Proxy(r.URL)
		if !configured && environment != nil {
			return environment(r)
		}
		if proxy == "" {
			return nil, nil
		}
		u, err := url.Parse(proxy)
		if err != nil {
			return nil, fault.Inputf("reading apt's proxy %q", proxy).Because(err)
		}
		return u, nil
	}
}

// accept has a transport accept the authorities of a file besides the
// system's; setting is what names the file.
func accept(transport *http.Transport, setting, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fault.Inputf("reading %s", setting).Because(err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return fmt.Errorf("reading the system's certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return fault.Inputf("reading %s: %s holds no certificate in PEM", setting, file)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return nil
}

// byHost has transports for some hosts.
type byHost struct {
	own    map[string]http.RoundTripper
	others http.RoundTripper
}

func (t byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if own, ok := t.own[strings.ToLower(r.URL.Hostname())]; ok {
		return own.RoundTrip(r)
	}
	return t.others.RoundTrip(r)
}
