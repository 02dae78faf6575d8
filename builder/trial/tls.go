package trial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"imgbuild/images/baseline"
)

// tlsConfig holds a server's certificate to what a probe asks of it: that it is
// valid now and for as long as the probe says, for its name, and, unless it may
// be self-signed, vouched for by an authority that this machine trusts.
func tlsConfig(p *baseline.TLSProbe, now time.Time) *tls.Config {
	return &tls.Config{
		ServerName: p.Name,
		// VerifyConnection does it: a certificate may be self-signed, or for any name.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(p, s.PeerCertificates, now) },
	}
}

func verify(p *baseline.TLSProbe, chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	leaf := chain[0]
	switch until := now.Add(time.Duration(p.ValidFor)); {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("its certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.DateTime))
	case until.After(leaf.NotAfter):
		return fmt.Errorf("its certificate is not valid after %s", leaf.NotAfter.UTC().Format(time.DateTime))
	}
	if p.Name != "" {
		if err := leaf.VerifyHostname(p.Name); err != nil {
			return fmt.Errorf("its certificate: %w", err)
		}
	}
	if p.SelfSigned {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: now}); err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	return nil
}
