package tlspolicy_test

import (
	"context"
	"testing"

	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/tlspolicy"
)

// FuzzExpand works any string out: an error, or suites without repetition.
func FuzzExpand(f *testing.F) {
	for _, text := range wellKnown {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := tlspolicy.Expand(text)
		seen := map[string]bool{}
		for _, name := range list {
			if err != nil || seen[name] {
				t.Fatalf("%q: %v, %v", text, list, err)
			}
			seen[name] = true
		}
	})
}

// FuzzOpenSSL hardens whatever is taken for an openssl.cnf: either that is an
// error, or the policy holds afterwards and a second time changes nothing.
func FuzzOpenSSL(f *testing.F) {
	f.Add("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv1 # x\nCipherString = \"ALL\"\n")
	f.Add(".include /etc/ssl/openssl.d\nHOME=.\n[ a ] # b\nx = 'y' \\\n z")
	f.Fuzz(func(t *testing.T, text string) {
		ctx := context.Background()
		sys := files(t, map[string]string{opensslCnf: text})
		p := policy(t, `{versions: [TLSv1.2, TLSv1.3], ciphers: HIGH, for: [openssl]}`)
		if _, err := p.Apply(ctx, sys); err != nil {
			return
		}
		edittest.Settled(t, p, sys)
	})
}
