package provisioners_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/baselines"
	"imgbuild/images/baselines/baselinestest"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/peertest"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// benchmarkControls are the shipped controls of one benchmark, decoded.
func benchmarkControls(t *testing.T, benchmark string) []provisioners.Control {
	t.Helper()
	set := baselinestest.Controls(t)
	list, err := set.Of("debian-12", control.Machine, 2, benchmark)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := provisioners.DecodeControls(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// webPackages are what each web server is unpacked from.
var webPackages = map[string][]string{
	"nginx":   {"nginx", "nginx-common", "libpcre2-8-0", "libssl3"},
	"apache2": {"apache2", "apache2-bin", "libapr1", "libaprutil1", "libexpat1", "libpcre2-8-0", "libssl3", "media-types"},
}

// apacheEnables is what the installation of apache2 enables.
var apacheEnables = map[string]string{
	"mods": "access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex deflate dir env filter mime " +
		"mpm_event negotiation reqtimeout setenvif status",
	"conf":  "charset localized-error-pages other-vhosts-access-log security serve-cgi-bin",
	"sites": "000-default",
}

// webServer is a system with the configuration of Debian's web server and what
// its packages put beside it.
func webServer(t *testing.T, name, folder string, more map[string]string) *system.Memory {
	t.Helper()
	tree := peertest.Unpack(t, webPackages[name]...)
	s := system.NewMemory()
	put := func(name, text string) {
		t.Helper()
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(tree.Path(folder), func(at string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(at, tree.Dir)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return system.MkdirAll(s, name)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			return s.Symlink(target, name)
		}
		text, err := os.ReadFile(at)
		put(name, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if name == "apache2" {
		enable(t, s)
	}
	status := ""
	for _, p := range []string{name, "logrotate", "ca-certificates"} {
		status += "Package: " + p + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
	}
	for name, text := range map[string]string{
		"/var/lib/dpkg/status":                status,
		"/etc/passwd":                         "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/bin/sh\n",
		"/etc/group":                          "root:x:0:\nwww-data:x:33:\n",
		"/etc/shadow":                         "root:*:19000:0:99999:7:::\nwww-data:$y$x:19000:0:99999:7:::\n",
		"/etc/gshadow":                        "root:*::\nwww-data:!::\n",
		"/usr/sbin/" + name:                   "",
		"/etc/logrotate.conf":                 "weekly\nrotate 4\ncreate\ninclude /etc/logrotate.d\n",
		"/etc/logrotate.d/" + name:            "/var/log/" + name + "/*.log {\n\tdaily\n\tmissingok\n\trotate 14\n\tcompress\n}\n",
		"/usr/sbin/apache2ctl":                "",
		"/usr/lib/apache2/modules/mod_ssl.so": "",
		"/usr/lib/cgi-bin/printenv":           "",
		"/usr/lib/cgi-bin/test-cgi":           "",
		"/boot/grub/grub.cfg":                 "menuentry 'Debian' {\n\tlinux /vmlinuz root=x\n}\n",
	} {
		put(name, text)
	}
	for name, text := range more {
		put(name, text)
	}
	return s
}

// enable links what the installation of apache2 enables.
func enable(t *testing.T, s system.System) {
	t.Helper()
	for kind, names := range apacheEnables {
		for name := range strings.FieldsSeq(names) {
			for _, ending := range []string{".load", ".conf"} {
				available, enabled := "/etc/apache2/"+kind+"-available/"+name+ending, "/etc/apache2/"+kind+"-enabled/"
				if _, err := s.Lstat(available); err != nil {
					continue
				}
				if err := system.MkdirAll(s, path.Clean(enabled)); err != nil {
					t.Fatal(err)
				}
				if err := s.Symlink("../"+kind+"-available/"+name+ending, enabled+name+ending); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Controls that the trial below cannot bring about, because only a person or a
// package can.
var undecided = []string{"apache-modsecurity", "nginx-http2-listen", "apache-apparmor-boot"}

// TestWebServersAreHardened applies all controls of a benchmark to Debian's
// configuration with the shipped site: those that are not met before are met
// after, together and for good, and the server itself accepts the outcome.
func TestWebServersAreHardened(t *testing.T) {
	shipped := func(name string) string {
		text, err := fs.ReadFile(baselines.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const tls = "server {\n\tlisten 443 ssl;\n\tserver_name a;\n\tssl_certificate /k/c.pem;\n\tssl_certificate_key /k/k.pem;\n" +
		"\terror_page 404 /x;\n\terror_page 500 /y;\n\tlocation / {\n\t\tproxy_pass https://127.0.0.1:9;\n\t\tproxy_set_header Host $host;\n\t}\n}\n"
	const apacheTLS = "<VirtualHost *:443>\n\tDocumentRoot /srv/www\n\tSSLEngine on\n\tSSLProtocol all\n\tSSLHonorCipherOrder off\n</VirtualHost>\n" +
		"<Directory /srv/www>\n\tOptions +Indexes +Includes\n\tAllowOverride All\n\tRequire all granted\n</Directory>\n"
	nginxFiles := map[string]string{
		"/etc/nginx/conf.d/site.conf": shipped("files/nginx/site.conf"), "/etc/nginx/container.conf": shipped("files/nginx/container.conf"),
		"/var/www/html/index.nginx-debian.html": "",
	}
	for _, c := range []struct {
		name, program, folder, benchmark string
		more                             map[string]string
		// idle are the controls that say nothing of this system.
		idle []string
	}{
		{"nginx", "nginx", "/etc/nginx", "cis-nginx", nginxFiles, []string{
			"nginx-hsts", "nginx-http2-listen", "nginx-https-redirect", "nginx-ocsp-stapling",
			"nginx-proxy-client-address", "nginx-proxy-hides-headers", "nginx-proxy-verifies",
		}},
		{"nginx with TLS and a proxy", "nginx", "/etc/nginx", "cis-nginx", with(nginxFiles, "/etc/nginx/conf.d/tls.conf", tls), nil},
		{"apache", "apache2", "/etc/apache2", "cis-apache", map[string]string{
			"/etc/apache2/sites-enabled/site.conf": shipped("files/apache/site.conf"), "/var/www/html/index.html": "",
		}, []string{
			"apache-core-rules", "apache-modsecurity-on", "apache-hsts", "apache-ocsp-stapling", "apache-tls-ciphers", "apache-tls-no-compression",
			"apache-tls-renegotiation", "apache-tls-versions",
		}},
		{"apache with TLS", "apache2", "/etc/apache2", "cis-apache", map[string]string{
			"/etc/apache2/sites-enabled/tls.conf": apacheTLS, "/etc/apache2/mods-enabled/ssl.load": "# Depends: setenvif mime socache_shmcb\nLoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n",
			"/etc/apache2/mods-enabled/socache_shmcb.load": "LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so\n",
		}, []string{"apache-core-rules", "apache-modsecurity-on"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			s := webServer(t, c.program, c.folder, c.more)
			if err := s.Remove(map[string]string{"nginx": "/etc/nginx/sites-enabled/default", "apache2": "/etc/apache2/sites-enabled/000-default.conf"}[c.program]); err != nil {
				t.Fatal(err)
			}
			list := benchmarkControls(t, c.benchmark)
			results := func() map[string]control.Finding {
				all := map[string]control.Finding{}
				for _, one := range list {
					f, err := one.Check(ctx, s)
					if err != nil {
						t.Fatal(err)
					}
					all[one.ID] = f
				}
				return all
			}
			unmet := 0
			for _, f := range results() {
				if f.Result == control.Fail {
					unmet++
				}
			}
			if unmet < len(list)/3 {
				t.Errorf("of %d controls Debian's configuration fails %d", len(list), unmet)
			}
			apply := func(again bool) {
				t.Helper()
				for _, one := range list {
					changed, err := one.Apply(ctx, s)
					switch kind := fault.KindOf(err); {
					case err != nil && (kind != fault.Input && kind != fault.World || !slices.Contains(undecided, one.ID)):
						t.Errorf("%s: %v", one.ID, err)
					case again && changed:
						t.Errorf("%s changes something a second time", one.ID)
					}
				}
			}
			apply(false)
			for id, f := range results() {
				want := control.Pass
				switch {
				case slices.Contains(c.idle, id):
					want = control.NotApplicable
				case slices.Contains(undecided, id):
					continue
				}
				if f.Result != want {
					t.Errorf("%s: %s %s %v", id, f.Result, f.Why, f.Differences)
				}
			}
			apply(true)
			accepted(t, c.program, s)
		})
	}
}

// TestNarrowAccessStaysNarrow: a directory that is open to a few only must not
// be opened to everybody for the sake of its methods.
func TestNarrowAccessStaysNarrow(t *testing.T) {
	const site = "/etc/apache2/sites-enabled/site.conf"
	for grant, want := range map[string]control.Result{
		"Require ip 192.0.2.0/24": control.NotApplicable, "Require method GET POST": control.Pass, "Require all granted": control.Fail,
	} {
		text := "<Directory /srv/www>\n\t" + grant + "\n</Directory>\n"
		s := webServer(t, "apache2", "/etc/apache2", map[string]string{site: text})
		for _, c := range benchmarkControls(t, "cis-apache") {
			if c.ID != "apache-methods" {
				continue
			}
			f, err := c.Check(context.Background(), s)
			if err != nil || f.Result != want {
				t.Errorf("%s: %s %s, %v", grant, f.Result, f.Why, err)
			}
			changed, err := c.Apply(context.Background(), s)
			if err != nil || changed != (want == control.Fail) {
				t.Errorf("%s: changed %v, %v", grant, changed, err)
			}
		}
	}
}

// TestControlsOfWebServersElsewhere holds them against a system without one:
// they say nothing of it, and it gets no score.
func TestControlsOfWebServersElsewhere(t *testing.T) {
	s := system.NewMemory()
	if err := system.MkdirAll(s, "/var/lib/dpkg"); err != nil {
		t.Fatal(err)
	}
	status := "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
	if err := s.WriteFile("/var/lib/dpkg/status", strings.NewReader(status), system.Attr{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	for _, benchmark := range []string{"cis-nginx", "cis-apache"} {
		for _, c := range benchmarkControls(t, benchmark) {
			f, err := c.Check(context.Background(), s)
			if err != nil || f.Result != control.NotApplicable {
				t.Errorf("%s: %s %s, %v", c.ID, f.Result, f.Why, err)
			}
			if changed, err := c.Apply(context.Background(), s); changed || err != nil {
				t.Errorf("applying %s: %v, %v", c.ID, changed, err)
			}
		}
	}
}

func with(files map[string]string, name, text string) map[string]string {
	all := map[string]string{name: text}
	for name, text := range files {
		all[name] = text
	}
	return all
}

// accepted asks the server whether it would start with a system's files.
func accepted(t *testing.T, program string, s *system.Memory) {
	t.Helper()
	dir, tree := t.TempDir(), peertest.Unpack(t, webPackages[program]...)
	// nginx makes directories at places that are compiled in.
	aside := ""
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		aside += what + "_temp_path " + dir + "/" + what + ";"
	}
	inside := strings.NewReplacer("\nhttp {", "\nhttp {"+aside, "/usr/lib/apache2/", tree.Path("/usr/lib/apache2")+"/", "/etc/mime.types", tree.Path("/etc/mime.types"),
		"/etc/nginx/", dir+"/etc/nginx/", "/etc/apache2/", dir+"/etc/apache2/", "/srv/www", dir+"/srv/www",
		"/var/log/", dir+"/log/", "/var/run/", dir+"/run/", "/run/nginx.pid", dir+"/nginx.pid", "/k/", dir+"/k/", "/dev/stdout", dir+"/out")
	var walk func(name string)
	walk = func(name string) {
		names, err := s.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			full := path.Join(name, n)
			info, err := s.Stat(full)
			switch {
			case err != nil:
			case info.Mode.IsDir():
				walk(full)
			default:
				text, err := system.ReadFile(s, full, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, full), []byte(inside.Replace(string(text))), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, d := range []string{"log/nginx", "log/apache2", "run/apache2", "srv/www", "k"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	walk("/etc")
	certificate(t, filepath.Join(dir, "k"))
	var runs [][]string
	if program == "nginx" {
		for _, main := range []string{"nginx.conf", "container.conf"} {
			runs = append(runs, []string{"-t", "-q", "-p", dir, "-c", filepath.Join(dir, "etc/nginx", main)})
		}
	} else {
		main := []string{"-d", dir + "/etc/apache2", "-f", dir + "/etc/apache2/apache2.conf", "-t"}
		if _, err := s.Stat("/etc/apache2/sites-enabled/tls.conf"); err == nil {
			main = append(main, "-c", "SSLCertificateFile "+dir+"/k/c.pem", "-c", "SSLCertificateKeyFile "+dir+"/k/k.pem")
		}
		runs = append(runs, main, append(slices.Clone(main), "-D", "Container"))
	}
	for _, args := range runs {
		cmd := tree.Command("/usr/sbin/"+program, args...)
		cmd.Env = append(cmd.Env, "APACHE_RUN_USER=www-data", "APACHE_RUN_GROUP=www-data", "APACHE_PID_FILE="+dir+"/pid")
		for _, name := range []string{"RUN", "LOCK", "LOG"} {
			cmd.Env = append(cmd.Env, fmt.Sprintf("APACHE_%s_DIR=%s/log", name, dir))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
		}
	}
}

// certificate makes a key and a certificate that a server takes.
func certificate(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
		"-keyout", filepath.Join(dir, "k.pem"), "-out", filepath.Join(dir, "c.pem"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("openssl makes no certificate: %v\n%s", err, out)
	}
}
