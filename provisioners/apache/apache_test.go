package apache_test

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/apache"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/system"
)

// state decodes a map with one state.
func state(t testing.TB, text string) *apache.State {
	t.Helper()
	s, err := tryState(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func tryState(text string) (*apache.State, error) {
	n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return apache.New(n.Entries[0])
}

func put(t testing.TB, s system.System, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = s.Symlink(target, name)
		} else {
			err = s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, r system.Reader, name string) string {
	t.Helper()
	data, err := system.ReadFile(r, name, 1<<20)
	if err != nil {
		return "gone"
	}
	return string(data)
}

const (
	mainFile = "/etc/apache2/apache2.conf"
	security = "/etc/apache2/conf-available/security.conf"
	site     = "/etc/apache2/sites-available/one.conf"
	dropIn   = "/etc/apache2/conf-available/imgbuild.conf"
	head     = "# Written by imgbuild from the recipe's apache states.\n"
)

// base is of the form of Debian's configuration.
func base() map[string]string {
	return map[string]string{
		"/etc/apache2/envvars": "export APACHE_LOG_DIR=/var/log/apache2$SUFFIX\nexport APACHE_RUN_USER=www-data\n",
		mainFile: "# Timeout 1 \\\n# still a comment\nUser ${APACHE_RUN_USER}\nIncludeOptional mods-enabled/*.load\nIncludeOptional mods-enabled/*.conf\n" +
			"<Directory />\n\tOptions FollowSymLinks\n\tAllowOverride None\n\tRequire all denied\n</Directory>\n" +
			"<Directory /srv>\n\tOptions +Indexes\n\tAllowOverride All\n</Directory>\n" +
			"IncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n",
		"/etc/apache2/mods-available/ssl.load":     "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n",
		"/etc/apache2/mods-available/headers.load": "LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n",
		"/etc/apache2/mods-enabled/ssl.load":       "-> ../mods-available/ssl.load",
		"/etc/apache2/mods-enabled/headers.load":   "-> ../mods-available/headers.load",
		security:                                   "ServerTokens OS\nServerSignature On\n",
		"/etc/apache2/conf-enabled/security.conf":  "-> ../conf-available/security.conf",
		site:                                  "<VirtualHost *:80>\n\tKeepAlive off\n\t<Directory /srv/www>\n\t\tOptions -MultiViews\n\t</Directory>\n</VirtualHost>\n",
		"/etc/apache2/sites-enabled/one.conf": "-> ../sites-available/one.conf",
	}
}

func TestApplyWritesWhatDecides(t *testing.T) {
	was := base()
	edited := func(name, old, now string) map[string]string {
		return map[string]string{name: strings.Replace(was[name], old, now, 1)}
	}
	added := func(text string) map[string]string { return map[string]string{dropIn: head + text} }
	for _, c := range []struct {
		state  string
		change map[string]string
		want   map[string]string
	}{
		{`ServerTokens: {one-of: [Prod, ProductOnly]}`, nil, edited(security, "OS", "Prod")},
		{`servertokens: Prod`, map[string]string{security: "SERVERTOKENS \\\n  Full\nServerName x"}, map[string]string{security: "SERVERTOKENS Prod\nServerName x"}},
		{`TraceEnable: "off"`, nil, added("TraceEnable off\n")},
		{`Timeout: {at-most: "10"}`, map[string]string{site: "<VirtualHost *>\n  Timeout 0\n</VirtualHost>\n"}, map[string]string{
			dropIn: head + "Timeout 10\n", site: "<VirtualHost *>\n  Timeout 10\n</VirtualHost>\n"}},
		{`KeepAlive: "On"`, nil, edited(site, "KeepAlive off", "KeepAlive On")},
		{`LimitRequestLine: {at-most: "8190"}`, map[string]string{security: "LimitRequestLine 9000"}, map[string]string{security: "LimitRequestLine 8190"}},
		{`Options: {directory: /, value: None}`, nil, edited(mainFile, "Options FollowSymLinks", "Options None")},
		{`Options: {each: directory, not: [Indexes]}`, nil, edited(mainFile, "Options +Indexes", "Options -Indexes")},
		{`Options: {each: directory, not: [Includes]}`, map[string]string{site: "<Directory /a>\nOptions All\n</Directory>\n"}, map[string]string{
			site: "<Directory /a>\nOptions ExecCGI FollowSymLinks Indexes SymLinksIfOwnerMatch\n</Directory>\n"}},
		{`AllowOverride: {each: directory, value: None}`, nil, edited(mainFile, "AllowOverride All", "AllowOverride None")},
		{`AllowOverride: {directory: /, value: None}`, map[string]string{mainFile: "IncludeOptional conf-enabled/*.conf\n"}, added("<Directory />\n\tAllowOverride None\n</Directory>\n")},
		{`Require: {directory: /, value: all denied}`, map[string]string{mainFile: "<Directory />\n</Directory>\n"}, map[string]string{mainFile: "<Directory />\n\tRequire all denied\n</Directory>\n"}},
		{`Require: {directory: /, value: all denied}`, map[string]string{mainFile: "<Directory />\n  Require all granted\n</Directory>\n"}, map[string]string{mainFile: "<Directory />\n  Require all denied\n</Directory>\n"}},
		{`LimitExcept GET POST OPTIONS: {directory: /srv, with: {Require: all denied}}`, nil, edited(mainFile, "<Directory /srv>\n", "<Directory /srv>\n\t<LimitExcept GET POST OPTIONS>\n\t\tRequire all denied\n\t</LimitExcept>\n")},
		{`Header always set X-Frame-Options: SAMEORIGIN`, nil, added("Header always set X-Frame-Options SAMEORIGIN\n")},
		{`Header always set X-Frame-Options: SAMEORIGIN`, map[string]string{security: "Header always set x-frame-options \"ALLOW\"\n"}, map[string]string{
			security: "Header always set X-Frame-Options SAMEORIGIN\n"}},
		{`SSLProtocol: {value: -all +TLSv1.2 +TLSv1.3}`, nil, added("SSLProtocol -all +TLSv1.2 +TLSv1.3\n")},
		{`ErrorLog: {present: true, value: syslog}`, nil, added("ErrorLog syslog\n")},
		{`FilesMatch "^\.ht": {each: server, with: {Require: all denied}}`, nil, added("<FilesMatch ^\\.ht>\n\tRequire all denied\n</FilesMatch>\n")},
		{`KeepAlive: absent`, nil, edited(site, "\tKeepAlive off\n", "")},
		{`User: {not: [www-data], value: web}`, nil, edited(mainFile, "${APACHE_RUN_USER}", "web")},
		{`ErrorLog: {define: [Container], value: syslog}`, map[string]string{security: "<IfDefine Container>\nErrorLog /dev/stderr\n</IfDefine>\n<IfDefine !Container>\nErrorLog syslog\n</IfDefine>\n"},
			map[string]string{security: "<IfDefine Container>\nErrorLog syslog\n</IfDefine>\n<IfDefine !Container>\nErrorLog syslog\n</IfDefine>\n"}},
		{`RewriteEngine: {each: virtualhost, value: "On"}`, map[string]string{
			"/etc/apache2/mods-enabled/rewrite.load": "LoadModule rewrite_module x.so\n"}, edited(site, "\tKeepAlive", "\tRewriteEngine On\n\tKeepAlive")},
	} {
		t.Run(c.state, func(t *testing.T) {
			ctx := context.Background()
			sys := system.NewMemory()
			files := base()
			for name, text := range c.change {
				files[name] = text
			}
			put(t, sys, files)
			s := state(t, c.state)
			if d, err := s.Check(ctx, sys); err != nil || len(d) == 0 {
				t.Fatalf("before: %v, %v", d, err)
			}
			if changed, err := s.Apply(ctx, sys); err != nil || !changed {
				t.Fatalf("apply: %v, %v", changed, err)
			}
			files[dropIn] = "gone"
			for name, text := range c.want {
				files[name] = text
			}
			for name, want := range files {
				if got := read(t, sys, name); !strings.HasPrefix(want, "-> ") && got != want {
					t.Errorf("%s:\n got %q\nwant %q", name, got, want)
				}
			}
			edittest.Settled(t, s, sys)
		})
	}
}

func TestWhatHoldsAlready(t *testing.T) {
	for text, change := range map[string]string{
		`ServerTokens: Prod`:                                    "<IfModule mod_ssl.c>\nServerTokens prod\n</IfModule>\n<IfModule !ssl_module>\nServerTokens OS\n</IfModule>\n",
		`Timeout: {at-most: "10"}`:                              "Define t 8\n<IfDefine t>\nTimeout ${t}\n</IfDefine>\n<IfDefine other>\nTimeout 99\n</IfDefine>\n",
		`FileETag: None`:                                        "<IfVersion >= 2.4>\nFileETag None\n</IfVersion>\n<IfVersion < 2.2>\nFileETag All\n</IfVersion>\n",
		`UserDir: {value: disabled}`:                            "",
		`Options: {directory: /x, value: None}`:                 "<Directory /x>\nOptions All\n</Directory>\n<Directory /x/>\nOptions None\n</Directory>\n",
		`ErrorLog: {not: [/dev/null]}`:                          "",
		`User: www-data`:                                        "",
		`LogLevel: {one-of: [warn, notice, info]}`:              "",
		`AllowOverride: {each: directory, one-of: [None, All]}`: "",
		`Header always set X-A: '"a \"b\" c"'`:                  `Header always set X-A "a \"b\" c"` + "\n",
	} {
		sys := system.NewMemory()
		files := base()
		files[security] = change
		put(t, sys, files)
		if d, err := state(t, text).Check(context.Background(), sys); err != nil || len(d) > 0 {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"open section":  "<Directory />\n",
		"open line":     "<Directory /\n</Directory>\n",
		"wrong close":   "<Directory />\n</Location>\n",
		"closed twice":  "</Directory>\n",
		"no end":        "<Directory /srv>\n</Directory\n",
		"a blank":       "<Directory /srv>\n</Directory >\n",
		"missing file":  "Include nothing.conf\n",
		"no match":      "Include nothing/*.conf\n",
		"itself":        "Include apache2.conf\n",
		"macro":         "<Macro m>\nServerTokens Prod\n</Macro>\nUse m\n",
		"exact version": "<IfVersion >= 2.4.50>\nServerTokens Prod\n</IfVersion>\n",
		"no condition":  "<IfModule>\n</IfModule>\n",
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: text})
		if d, err := state(t, `ServerTokens: Prod`).Check(context.Background(), sys); err == nil {
			t.Errorf("%s: no error, but %v", name, d)
		}
	}
	sys := system.NewMemory()
	if _, err := state(t, `ServerTokens: Prod`).Check(context.Background(), sys); err == nil {
		t.Error("a system without httpd agrees")
	}
	put(t, sys, map[string]string{mainFile: "<Directory /srv>\nRequire all granted\n</Directory>\n"})
	if _, err := state(t, `ErrorLog: present`).Apply(context.Background(), sys); err == nil || !strings.Contains(err.Error(), "what to write") {
		t.Errorf("a directive without arguments: %v", err)
	}
	// httpd would serve every method, whatever LimitExcept says beside it.
	limit := state(t, `LimitExcept GET: {directory: /srv, with: {Require: all denied}}`)
	if _, err := limit.Apply(context.Background(), sys); err == nil || !strings.Contains(err.Error(), "in vain") {
		t.Errorf("a LimitExcept without effect: %v", err)
	}
	put(t, sys, map[string]string{mainFile: ""})
	if _, err := state(t, `Header set A: b`).Apply(context.Background(), sys); err == nil || !strings.Contains(err.Error(), "module headers") {
		t.Errorf("a directive of a module that is not loaded: %v", err)
	}
}

// A control that is about virtual hosts of a kind holds where there is none; a
// condition tells that it is about nothing there.
func TestNeededSections(t *testing.T) {
	for text, want := range map[string]int{
		"":                                     1,
		"<VirtualHost *:80>\n</VirtualHost>\n": 1,
		"<VirtualHost *:443>\nSSLEngine off\n</VirtualHost>\n": 1,
		"<VirtualHost *:443>\nSSLEngine on\n</VirtualHost>\n":  0,
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: "LoadModule ssl_module mod_ssl.so\n" + text})
		s := state(t, `SSLEngine: {each: tls-virtualhost, needed: true, not: ["off"]}`)
		d, err := s.Check(context.Background(), sys)
		if err != nil || len(d) != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
		changed, err := s.Apply(context.Background(), sys)
		if changed || (err == nil) != (want == 0) {
			t.Errorf("%q: applying what needs a section: %v, %v", text, changed, err)
		}
		if d, err := state(t, `SSLUseStapling: {each: tls-virtualhost, value: "On"}`).Check(context.Background(), sys); err != nil || len(d) != 1-want {
			t.Errorf("%q: stapling: %v, %v", text, d, err)
		}
	}
}

func TestMistakesInStates(t *testing.T) {
	for text, want := range map[string]string{
		`ServerTokens: {}`:                                       `expected "value"`,
		`ServerTokens: {value: "a\nb"}`:                          `not the arguments of one directive`,
		`"<Server": {value: "a"}`:                                `does not begin with the name`,
		`Options: {value: None}`:                                 `about directories`,
		`Options: {value: None, directory: srv}`:                 `not an absolute path`,
		`Options: {value: None, directory: /srv, each: section}`: `does not go with "each"`,
		`LimitExcept GET: {with: {Require: all denied}}`:         `needs "each" or "directory"`,
		`Timeout: {at-most: 10s}`:                                `no quantity`,
		`Timeout: {at-most: "10", needed: true}`:                 `"needed" goes with "each"`,
		`Timeout: {at-mots: "10"}`:                               `did you mean "at-most"`,
	} {
		if _, err := tryState(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// Sections with patterns are merged after the plain ones of the same directory.
func TestPatternsHaveTheLastWord(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"<DirectoryMatch \"^/srv\">\n Options Indexes\n</DirectoryMatch>\n":                                "Options in <DirectoryMatch ^/srv>",
		"<Directory ~ \"/srv/[a-z]+\">\n Options Indexes\n</Directory>\n":                                  "Options in <Directory ~ /srv/[a-z]+>",
		"<Directory \"/srv/w*\">\n Options Indexes\n</Directory>\n":                                        "Options in <Directory /srv/w*>",
		"<DirectoryMatch \"^/srv/(?!x)\">\n Options Indexes\n</DirectoryMatch>\n":                          "Options in <DirectoryMatch",
		"<DirectoryMatch \"^/srv/www$\">\n Options Indexes\n</DirectoryMatch>\n":                           "Options in <DirectoryMatch",
		"<Directory \"/s*\">\n Options Indexes\n</Directory>\n":                                            "",
		"<DirectoryMatch \"^/srv/other\">\n Options Indexes\n</DirectoryMatch>\n":                          "",
		"<DirectoryMatch \"^/srv\">\n Options None\n</DirectoryMatch>\n":                                   "",
		"<DirectoryMatch \"^/srv\">\n AllowOverride All\n</DirectoryMatch>\n":                              "",
		"<VirtualHost *:80>\n<DirectoryMatch /www>\n Options Indexes\n</DirectoryMatch>\n</VirtualHost>\n": "Options in <DirectoryMatch /www>",
	} {
		const plain = "<Directory /srv/www>\n Options None\n</Directory>\n"
		for _, all := range []string{plain + text, text + plain} {
			sys := system.NewMemory()
			put(t, sys, map[string]string{mainFile: all})
			s := state(t, `Options: {directory: /srv/www, value: None}`)
			d, err := s.Check(context.Background(), sys)
			if err != nil || (len(d) > 0) != (want != "") || len(d) > 0 && !strings.Contains(d[0].Subject, want) {
				t.Errorf("%q: %v, %v", all, d, err)
			}
			if changed, err := s.Apply(context.Background(), sys); err == nil && changed != (want != "") {
				t.Errorf("%q: applied: %v", all, changed)
			} else if left, again := s.Check(context.Background(), sys); err == nil && (again != nil || len(left) > 0) {
				t.Errorf("%q: applied, it is left with %v, %v", all, left, again)
			}
		}
	}
}

// A section with a wildcard counts for what lies below, up to the next plain one
// that says otherwise.
func TestAPatternCountsForWhatLiesBelow(t *testing.T) {
	const open = "<Directory />\n Options None\n</Directory>\n<Directory /s*>\n Options Indexes\n</Directory>\n<Directory /srv/www>\n AllowOverride None\n</Directory>\n"
	for text, want := range map[string]int{open: 1, open + "<Directory /srv>\n Options None\n</Directory>\n<Directory /srv/www>\n Options None\n</Directory>\n": 0} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: text})
		if d, err := state(t, `Options: {directory: /srv/www, value: None}`).Check(t.Context(), sys); err != nil || len(d) != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

// A unit may start httpd otherwise than its files say.
func TestAUnitWithArgumentsIsTold(t *testing.T) {
	for command, want := range map[string]int{
		"/usr/sbin/apachectl start": 0, "/usr/sbin/apache2 -k start -f /etc/apache2/apache2.conf": 0, "/usr/sbin/apache2 -Xf /srv/other.conf": 1,
		"/usr/sbin/apache2 -D FOO -DFOREGROUND -c 'ServerTokens Full'": 3,
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: "ServerTokens Prod\n", "/etc/systemd/system/apache2.service": "[Service]\nExecStart=" + command + "\n"})
		s := state(t, `ServerTokens: Prod`)
		if d, err := s.Check(t.Context(), sys); err != nil || len(d) != want {
			t.Errorf("%s: %v, %v", command, d, err)
		}
		if changed, err := s.Apply(t.Context(), sys); changed || (err != nil) != (want > 0) {
			t.Errorf("%s: applied: %v, %v", command, changed, err)
		}
	}
}

// Debian's apache2ctl hands arguments on.
func TestArgumentsOfTheCommandLine(t *testing.T) {
	for arguments, want := range map[string]string{
		`"-D FOO"`: "1", `-DFOO`: "1", `"-k -D BAR"`: "0", `"-D BAR -D FOO"`: "1", `"-c 'ServerTokens Full'"`: "error", `"-f /etc/other"`: "error", `-D`: "error", `-XDFOO`: "error", `-kstart`: "0",
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{
			"/etc/apache2/envvars": "export APACHE_ARGUMENTS=" + arguments + "\n",
			mainFile:               "ServerTokens Prod\n<IfDefine FOO>\nServerTokens Full\n</IfDefine>\n",
		})
		d, err := state(t, `ServerTokens: Prod`).Check(context.Background(), sys)
		got := fmt.Sprint(len(d))
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, want %s: %v, %v", arguments, got, want, d, err)
		}
	}
}
