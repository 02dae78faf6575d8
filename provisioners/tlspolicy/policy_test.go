package tlspolicy_test

import (
	"context"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tlspolicy"
)

func try(text string) (*tlspolicy.Policy, error) {
	n, err := node.Parse("t.yaml", nil, "t.yaml", []byte("server: "+text))
	if err != nil {
		return nil, err
	}
	return tlspolicy.New(n.Entries[0])
}

func policy(t testing.TB, text string) *tlspolicy.Policy {
	t.Helper()
	p, err := try(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func files(t testing.TB, list map[string]string) *system.Memory {
	t.Helper()
	sys := system.NewMemory()
	for name, text := range list {
		if err := system.MkdirAll(sys, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := sys.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

const (
	nginxConf  = "/etc/nginx/nginx.conf"
	httpdConf  = "/etc/apache2/apache2.conf"
	opensslCnf = "/etc/ssl/openssl.cnf"
	loadSSL    = "LoadModule ssl_module x.so\n"
)

func TestPolicyIsWrittenWhereItIsNotMet(t *testing.T) {
	const both = `{versions: [TLSv1.2, TLSv1.3], ciphers: "ECDHE+AESGCM"}`
	for _, c := range []struct{ name, policy, file, have, want string }{
		{"nginx", both, nginxConf, "http {\n\tssl_protocols TLSv1 TLSv1.2;\n\tssl_ciphers HIGH;\n\tserver { ssl_ciphers AES; }\n}\n",
			"http {\n\tssl_protocols TLSv1.2 TLSv1.3;\n\tssl_ciphers ECDHE+AESGCM;\n\tserver { ssl_ciphers ECDHE+AESGCM; }\n}\n"},
		{"nginx goes past it", both, nginxConf, "http {\n\tssl_protocols TLSv1.3;\n\tssl_ciphers ECDHE+AESGCM+aRSA;\n\tssl_conf_command MinProtocol TLSv1;\n}\n",
			"http {\n\tssl_protocols TLSv1.3;\n\tssl_ciphers ECDHE+AESGCM+aRSA;\n}\n"},
		{"apache", both, httpdConf, loadSSL + "SSLProtocol all -SSLv3\n", loadSSL + "SSLProtocol -all +TLSv1.2 +TLSv1.3\nSSLCipherSuite ECDHE+AESGCM\n"},
		{"apache overrides", both, httpdConf, loadSSL + "SSLCipherSuite ECDHE+AESGCM:eNULL\nSSLProtocol TLSv1.2 TLSv1.1\n",
			loadSSL + "SSLCipherSuite ECDHE+AESGCM:eNULL\nSSLProtocol -all +TLSv1.2 +TLSv1.3\n"},
		{"openssl", `{versions: [TLSv1.2, TLSv1.3], ciphers: "HIGH:!aNULL", for: [openssl]}`, opensslCnf,
			"HOME = .\nopenssl_conf = start # here\n[start]\nssl_conf=ssl\n[ ssl ]\nsystem_default = d\n[d]\nMinProtocol = TLSv1.1 # old\nCipherString = \\\n ALL\n",
			"HOME = .\nopenssl_conf = start # here\n[start]\nssl_conf=ssl\n[ ssl ]\nsystem_default = d\n[d]\nMinProtocol = TLSv1.2 # old\nCipherString = HIGH:!aNULL\n"},
		{"openssl from nothing", `{versions: [TLSv1.2], for: [openssl]}`, opensslCnf, "openssl_conf = openssl_init\n[openssl_init]\n[ca]\n",
			"openssl_conf = openssl_init\n[openssl_init]\nssl_conf = ssl_sect\n[ca]\n\n[ssl_sect]\nsystem_default = system_default_sect\n\n[system_default_sect]\nMaxProtocol = TLSv1.2\nMinProtocol = TLSv1.2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			sys := files(t, map[string]string{c.file: c.have})
			p := policy(t, c.policy)
			if d, err := p.Check(ctx, sys); err != nil || len(d) == 0 {
				t.Fatalf("before: %v, %v", d, err)
			}
			if changed, err := p.Apply(ctx, sys); err != nil || !changed {
				t.Fatalf("apply: %v, %v", changed, err)
			}
			got, err := system.ReadFile(sys, c.file, 1<<20)
			if err != nil || string(got) != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
			edittest.Settled(t, p, sys)
		})
	}
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	for name, list := range map[string]map[string]string{
		"nginx":    {nginxConf: "http { ssl_ciphers HIGH:NEWEST; }"},
		"apache":   {httpdConf: loadSSL + "SSLProtocol all -TLSv9\n"},
		"httpd 13": {httpdConf: loadSSL + "SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256\n"},
		"none":     {"/etc/motd": ""},
	} {
		if d, err := policy(t, `{versions: [TLSv1.3], ciphers: HIGH}`).Check(context.Background(), files(t, list)); err == nil {
			t.Errorf("%s: no error, but %v", name, d)
		}
	}
	for _, text := range []string{"no assignment\n", ".include relative.cnf\n", ".include /etc/ssl/openssl.cnf\n", "openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nMinProtocol=$x\n"} {
		p := policy(t, `{versions: [TLSv1.3], for: [openssl]}`)
		if d, err := p.Check(context.Background(), files(t, map[string]string{opensslCnf: text})); err == nil {
			t.Errorf("%q: no error, but %v", text, d)
		}
	}
	for text, want := range map[string]string{
		`{versions: [TLSv1.3, TLSv1.2]}`:              "ascending order",
		`{versions: [TLSv1.1, TLSv1.3]}`:              "without a gap",
		`{versions: []}`:                              "without a gap",
		`{versions: [SSLv3]}`:                         `unknown value "SSLv3"`,
		`{versions: [TLSv1.3], ciphers: "HIGH:FAST"}`: `"FAST", which is no suite`,
		`{versions: [TLSv1.3], ciphers: "HIGH; a b"}`: `":" between`,
		`{versions: [TLSv1.3], ciphers: "AES:-AES"}`:  "leaves no suite",
		`{versions: [TLSv1.3], for: [exim]}`:          `unknown value "exim"`,
	} {
		if _, err := try(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestOpenSSLReadsWhatIsWritten hardens Debian's openssl.cnf and asks the
// library itself what that leaves of its default.
func TestOpenSSLReadsWhatIsWritten(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	stock, err := os.ReadFile(opensslCnf)
	if err != nil {
		t.Skip("there is no openssl.cnf")
	}
	sys := files(t, map[string]string{opensslCnf: string(stock)})
	p := policy(t, `{versions: [TLSv1.2, TLSv1.3], ciphers: "ECDHE+AESGCM", for: [openssl]}`)
	if _, err := p.Apply(context.Background(), sys); err != nil {
		t.Fatal(err)
	}
	written, err := system.ReadFile(sys, opensslCnf, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "openssl.cnf")
	if err := os.WriteFile(name, written, 0o644); err != nil {
		t.Fatal(err)
	}
	ciphers := func(config string) string {
		cmd := exec.Command(openssl, "ciphers", "-s")
		cmd.Env = []string{"OPENSSL_CONF=" + config}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if before := ciphers(opensslCnf); !strings.Contains(before, ":AES128-SHA") {
		t.Skipf("the system's OpenSSL is hardened already: %s", before)
	}
	allowed, err := tlspolicy.Expand("ECDHE+AESGCM")
	if err != nil {
		t.Fatal(err)
	}
	for suite := range strings.SplitSeq(ciphers(name), ":") {
		if !strings.HasPrefix(suite, "TLS_") && !strings.Contains(strings.Join(allowed, " "), suite) {
			t.Errorf("OpenSSL still offers %s", suite)
		}
	}
}
