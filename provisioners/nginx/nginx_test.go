package nginx_test

import (
	"context"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/nginx"
	"imgbuild/provisioners/system"
)

// state decodes a map with one state.
func state(t testing.TB, text string) *nginx.State {
	t.Helper()
	s, err := tryState(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func tryState(text string) (*nginx.State, error) {
	n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return nginx.New(n.Entries[0])
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

// base is of the form of Debian's configuration.
func base() map[string]string {
	return map[string]string{
		"/etc/nginx/nginx.conf": "user www-data;\n# a comment {\nevents { worker_connections 768; }\nhttp {\n\tsendfile on;\n" +
			"\tadd_header X-A \"b c\";\n\tinclude conf.d/*.conf;\n\tinclude /etc/nginx/sites-enabled/*;\n}\n",
		"/etc/nginx/sites-available/one": "server {\n\tlisten 80;\n\tlocation / { autoindex on; }\n}\n",
		"/etc/nginx/sites-enabled/one":   "-> ../sites-available/one",
		"/etc/nginx/conf.d/.hidden.conf": "}",
		"/etc/nginx/conf.d/a.conf":       "log_format main '$remote_addr \"$request\"';\n",
	}
}

const (
	mainFile = "/etc/nginx/nginx.conf"
	site     = "/etc/nginx/sites-available/one"
	dropIn   = "/etc/nginx/conf.d/00-imgbuild.conf"
	head     = "# Written by imgbuild from the recipe's nginx states.\n"
)

func TestApplyWritesWhatDecides(t *testing.T) {
	was := base()
	for _, c := range []struct {
		state string
		// change adds to or replaces files before.
		change map[string]string
		want   map[string]string
	}{
		{`server_tokens: "off"`, nil, map[string]string{dropIn: head + "server_tokens off;\n"}},
		{`autoindex: "off"`, nil, map[string]string{site: "server {\n\tlisten 80;\n\tlocation / { autoindex off; }\n}\n"}},
		{`add_header X-B: c always`, nil, map[string]string{
			mainFile: strings.Replace(was[mainFile], "\tadd_header X-A \"b c\";\n", "\tadd_header X-A \"b c\";\n\tadd_header X-B c always;\n", 1)}},
		{`add_header X-A: '"b d"'`, nil, map[string]string{mainFile: strings.Replace(was[mainFile], "b c", "b d", 1)}},
		{`add_header X-A: '"b c"'`, map[string]string{site: "server { location / { add_header X-Z 1; } }\n"}, map[string]string{
			site: "server { location / { add_header X-Z 1;\nadd_header X-A \"b c\"; } }\n"}},
		{`client_max_body_size: {at-most: 1m}`, map[string]string{site: "server { client_max_body_size 0; }\n"}, map[string]string{
			site: "server { client_max_body_size 1m; }\n"}},
		{`client_max_body_size: {at-most: 100k}`, map[string]string{site: "server { client_max_body_size 64K; }\n"}, map[string]string{
			dropIn: head + "client_max_body_size 100k;\n"}},
		{`keepalive_timeout: {at-least: 1s, at-most: 10s}`, map[string]string{site: "server { keepalive_timeout 1m 5; }\n"}, map[string]string{
			site: "server { keepalive_timeout 10s; }\n", dropIn: head + "keepalive_timeout 10s;\n"}},
		{`large_client_header_buffers: {at-most: 2 1k}`, nil, map[string]string{dropIn: head + "large_client_header_buffers 2 1k;\n"}},
		{`user: {one-of: [www-data, nginx]}`, map[string]string{mainFile: "user root;\nhttp{}\n"}, map[string]string{mainFile: "user www-data;\nhttp{}\n"}},
		{`user: {one-of: [www-data]}`, map[string]string{mainFile: "events{}\nhttp{}\n"}, map[string]string{mainFile: "user www-data;\nevents{}\nhttp{}\n"}},
		{`access_log: {not: ["off"]}`, map[string]string{site: "server {\n  access_log off;\n  listen 80;\n}\n"}, map[string]string{
			site: "server {\n  listen 80;\n}\n"}},
		{`ssl_protocols: {only: [TLSv1.2, TLSv1.3]}`, map[string]string{site: "server{ssl_protocols TLSv1 TLSv1.2;}"}, map[string]string{
			site: "server{ssl_protocols TLSv1.2 TLSv1.3;}", dropIn: head + "ssl_protocols TLSv1.2 TLSv1.3;\n"}},
		{`proxy_hide_header X-Powered-By: {present: true, each: proxy}`, map[string]string{site: "server { location / {\n\t\tproxy_pass http://a;\n\t}\n}\n"}, map[string]string{
			dropIn: head + "proxy_hide_header X-Powered-By;\n"}},
		{`limit_except GET POST: {each: location, with: {deny: all}}`, nil, map[string]string{
			site: "server {\n\tlisten 80;\n\tlocation / {\n\t\tlimit_except GET POST { deny all; }\n\t\t autoindex on; }\n}\n"}},
		{`location ~ /\.: {each: server, with: {deny: all, return: "404"}}`, nil, map[string]string{
			site: "server {\n\tlocation ~ /\\. { deny all; return 404; }\n\tlisten 80;\n\tlocation / { autoindex on; }\n}\n"}},
		{`return: {value: "444", each: default-server}`, map[string]string{site: "server { listen 80; }\nserver { listen 80 default_server; listen 81; }\n"}, map[string]string{
			site: "server { listen 80; }\nserver {\n\treturn 444;\n\t listen 80 default_server; listen 81; }\n"}},
		{`autoindex: absent`, nil, map[string]string{site: "server {\n\tlisten 80;\n\tlocation / {  }\n}\n"}},
		{`worker_connections: {at-most: "512"}`, nil, map[string]string{mainFile: strings.Replace(was[mainFile], "768", "512", 1)}},
		// A second main file that has it in its own http block would have it twice.
		{`server_tokens: "off"`, map[string]string{"/etc/nginx/container.conf": "http { server_tokens off; include conf.d/*.conf; }"}, map[string]string{
			mainFile: strings.Replace(was[mainFile], "\tsendfile", "\tserver_tokens off;\n\tsendfile", 1)}},
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

// TestAUnitWithAnotherConfigurationIsTold starts nginx otherwise than is read.
func TestAUnitWithAnotherConfigurationIsTold(t *testing.T) {
	for command, want := range map[string]int{
		"/usr/sbin/nginx -g 'daemon on; master_process on;'": 0, "/usr/sbin/nginx -qc /etc/nginx/nginx.conf": 0, "/usr/sbin/nginx -tc /srv/nginx.conf": 1, "/usr/sbin/nginx -c/srv/nginx.conf": 1,
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: "http { server_tokens off; }\n", "/etc/systemd/system/nginx.service.d/a.conf": "[Service]\nExecStart=\nExecStart=" + command + "\n"})
		s := state(t, `server_tokens: "off"`)
		if d, err := s.Check(t.Context(), sys); err != nil || len(d) != want {
			t.Errorf("%s: %v, %v", command, d, err)
		}
		if changed, err := s.Apply(t.Context(), sys); changed || (err != nil) != (want > 0) {
			t.Errorf("%s: applied: %v, %v", command, changed, err)
		}
	}
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"open block":    "http {",
		"no block":      "events {} http;",
		"no server":     "http { server; }",
		"a block":       "http { server { server_name a { } } }",
		"open word":     "http { a",
		"open quote":    "http { a \"b; }",
		"closed twice":  "http { } }",
		"no directive":  "http { ; }",
		"quote runs on": `http { a "b"c; }`,
		"missing file":  "http { include nothing.conf; }",
		"itself":        "http { include nginx.conf; }",
		"program":       "http { content_by_lua_block { return } }",
		"two includes":  "http { include a b; }",
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: text})
		if d, err := state(t, `server_tokens: "off"`).Check(context.Background(), sys); err == nil {
			t.Errorf("%s: no error, but %v", name, d)
		}
	}
	sys := system.NewMemory()
	if _, err := state(t, `server_tokens: "off"`).Check(context.Background(), sys); err == nil {
		t.Error("a system without nginx agrees")
	}
}

// A control that is about servers of a kind holds where there is none; a
// condition tells that it is about nothing there.
func TestNeededBlocks(t *testing.T) {
	const met, unmet = `ssl_stapling: {value: "on", each: tls-server}`, `ssl_certificate: {present: true, each: tls-server, needed: true}`
	for site, want := range map[string][2]int{
		"server { listen 80; }":                         {0, 1},
		"server { listen 443 ssl; ssl_certificate a; }": {1, 0},
		"server { listen 80; } server { ssl_certificate a; listen 443 ssl; ssl_stapling on; }": {0, 0},
	} {
		sys := system.NewMemory()
		put(t, sys, map[string]string{mainFile: "events {} http { " + site + " }"})
		for i, text := range []string{met, unmet} {
			d, err := state(t, text).Check(context.Background(), sys)
			if err != nil || len(d) != want[i] {
				t.Errorf("%s: %s: %v, %v", site, text, d, err)
			}
		}
		if _, err := state(t, unmet).Apply(context.Background(), sys); (err == nil) != (want[1] == 0) {
			t.Errorf("%s: applying what needs a block: %v", site, err)
		}
	}
}

func TestMistakesInStates(t *testing.T) {
	for text, want := range map[string]string{
		`server_tokens: {}`:                                   `expected "value"`,
		`server_tokens: {value: "off", absent: true}`:         `"absent" does not go`,
		`"Server tokens": {value: "off"}`:                     `does not begin with the name`,
		`server_tokens: {value: "off; user root"}`:            `not the arguments of one directive`,
		`server_tokens: {valeu: "off"}`:                       `did you mean "value"`,
		`client_max_body_size: {at-most: lots}`:               `no quantity`,
		`client_body_timeout: {at-most: 10s, at-least: 20s}`:  `contradict`,
		`limit_except GET: {with: {deny: all}}`:               `needs "each"`,
		`limit_except GET: {each: server, with: {deny: "{"}}`: `no directive with its arguments`,
		`access_log: {matches: "("}`:                          `not a regular expression`,
		`user: {value: www-data, main: [nginx.conf]}`:         `not an absolute path`,
		`user: {value: www-data, each: servr}`:                `did you mean "server"`,
		`user: {value: www-data, needed: true}`:               `"needed" goes with "each"`,
	} {
		if _, err := tryState(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
