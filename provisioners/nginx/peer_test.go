package nginx_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baselines"
	"imgbuild/images/peertest"
	"imgbuild/provisioners/nginx"
	"imgbuild/provisioners/system"
)

// states are of every kind that a benchmark asks for.
var states = []string{
	`server_tokens: "off"`,
	`autoindex: "off"`,
	`user: {one-of: [www-data]}`,
	`client_max_body_size: {at-most: 100k}`,
	`client_body_timeout: {at-most: 10s}`,
	`client_header_timeout: {at-most: 10s}`,
	`keepalive_timeout: {at-least: 1s, at-most: 10s}`,
	`send_timeout: {at-most: 10s}`,
	`large_client_header_buffers: {at-most: 2 1k}`,
	`ssl_protocols: {only: [TLSv1.2, TLSv1.3]}`,
	`ssl_prefer_server_ciphers: "on"`,
	`ssl_session_tickets: "off"`,
	`add_header X-Frame-Options: SAMEORIGIN always`,
	`add_header Content-Security-Policy: "\"default-src 'self'\" always"`,
	`proxy_hide_header X-Powered-By: {present: true, each: proxy}`,
	`access_log: {not: ["off"]}`,
	`error_log: {not: [/dev/null]}`,
	`limit_except GET HEAD POST: {each: location, with: {deny: all}}`,
	`location ~ /\.: {each: server, with: {deny: all}}`,
}

// nginxRoot makes a root directory with Debian's nginx and its configuration.
func nginxRoot(t *testing.T) (string, system.System) {
	t.Helper()
	root := peertest.Root(t, []string{"nginx", "nginx-common", "libpcre2-8-0", "libssl3"}, "/usr/sbin/nginx")
	for _, dir := range []string{"run", "var/www/html"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// What the package's installation would do.
	if err := os.Symlink("/etc/nginx/sites-available/default", filepath.Join(root, "etc/nginx/sites-enabled/default")); err != nil {
		t.Fatal(err)
	}
	sys, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close() })
	return root, sys
}

// accepted has nginx test a main file, and returns all that it reads.
func accepted(t *testing.T, root, main string) string {
	t.Helper()
	out, err := peertest.Command(root, "/usr/sbin/nginx", "-T", "-c", main).CombinedOutput()
	if err != nil {
		t.Fatalf("nginx refuses it: %v\n%s", err, out)
	}
	return string(out)
}

// sameFiles compares the files that nginx reads with those that are read here.
func sameFiles(t *testing.T, r system.Reader, root, main string) {
	t.Helper()
	var want []string
	for line := range strings.SplitSeq(accepted(t, root, main), "\n") {
		if name, found := strings.CutPrefix(line, "# configuration file "); found {
			want = append(want, strings.TrimSuffix(name, ":"))
		}
	}
	got, err := nginx.Files(r, main)
	if err != nil {
		t.Fatal(err)
	}
	var unique []string
	for _, name := range got {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	if diff := cmp.Diff(want, unique); diff != "" {
		t.Errorf("files that are read: -nginx +here:\n%s", diff)
	}
}

// settle applies the states one after the other, and checks that all hold.
func settle(t *testing.T, sys system.System, list []string) {
	t.Helper()
	ctx := context.Background()
	for _, text := range list {
		if _, err := state(t, text).Apply(ctx, sys); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for _, text := range list {
		if d, err := state(t, text).Check(ctx, sys); err != nil || len(d) > 0 {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
}

func TestNginxAcceptsTheHardenedStockConfiguration(t *testing.T) {
	root, sys := nginxRoot(t)
	if !strings.Contains(read(t, sys, mainFile), "sites-enabled") {
		t.Skip("the package's nginx.conf is not Debian's")
	}
	sameFiles(t, sys, root, mainFile)
	settle(t, sys, states)
	sameFiles(t, sys, root, mainFile)
}

// TestOurOwnImageIsHardenedInBothMainFiles takes the files of the shipped
// recipe: a state holds for the machine's main file and the container's.
func TestOurOwnImageIsHardenedInBothMainFiles(t *testing.T) {
	root, sys := nginxRoot(t)
	const container = "/etc/nginx/container.conf"
	for name, from := range map[string]string{container: "files/nginx/container.conf", "/etc/nginx/conf.d/site.conf": "files/nginx/site.conf"} {
		text, err := fs.ReadFile(baselines.FS(), from)
		if err != nil {
			t.Fatal(err)
		}
		put(t, sys, map[string]string{name: string(text)})
	}
	if err := sys.Remove("/etc/nginx/sites-enabled/default"); err != nil {
		t.Fatal(err)
	}
	d, err := state(t, states[9]).Check(context.Background(), sys)
	if err != nil || len(d) == 0 || !strings.HasPrefix(d[0].Subject, mainFile) {
		t.Errorf("stock TLS versions: %v, %v", d, err)
	}
	settle(t, sys, states)
	for _, main := range []string{mainFile, container} {
		sameFiles(t, sys, root, main)
	}
}

// generate makes up a configuration: contexts, places and values by chance.
func generate(random *rand.Rand) map[string]string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	maybe := func(text string) string {
		if random.IntN(3) == 0 {
			return text
		}
		return ""
	}
	directives := func(where string) string {
		lines := []string{
			maybe("server_tokens " + pick("on", "off", "OFF") + ";"),
			maybe("autoindex " + pick("on", "off") + "; # not }\n"),
			maybe("client_max_body_size " + pick("0", "1m", "64k", "10G") + ";"),
			maybe("client_body_timeout " + pick("5", "1m", "\"30s\"") + ";"),
			maybe("keepalive_timeout " + pick("0", "65", "5s 10s", "1h 5") + ";"),
			maybe("send_timeout\n\t" + pick("10", "2m") + ";"),
			maybe("add_header X-Frame-Options " + pick("DENY", "'SAMEORIGIN' always") + ";"),
			maybe(`add_header X-Other "a; b } \"c\"";`),
			maybe("access_log " + pick("off", "/var/log/nginx/x.log", "/var/log/nginx/y.log combined") + ";"),
			maybe("error_log " + pick("/dev/null", "/var/log/nginx/e.log warn", "/dev/null crit") + ";"),
		}
		if where != "location" {
			lines = append(lines,
				maybe("client_header_timeout "+pick("1s", "60s")+";"),
				maybe("large_client_header_buffers "+pick("4 8k", "2 1k", "1 512")+";"),
				maybe("ssl_protocols "+pick("TLSv1 TLSv1.1 TLSv1.2", "TLSv1.3", "TLSv1.2\tTLSv1.3")+";"),
				maybe("ssl_session_tickets "+pick("on", "off")+";"))
		}
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		return strings.Join(lines, pick("\n", " ", "\n\t")) + "\n"
	}
	server := func(port int) string {
		text := fmt.Sprintf("server { listen 127.0.0.1:%d%s; server_name a%d; %s", port, pick("", " default_server"), port, directives("server"))
		for i := range random.IntN(3) {
			inner := directives("location")
			if random.IntN(3) == 0 {
				inner += "\nproxy_pass http://127.0.0.1:9;\n" + maybe("proxy_hide_header X-Other;")
			}
			if random.IntN(4) == 0 {
				inner += "limit_except " + pick("GET", "GET DELETE", "POST GET") + " { " + pick("deny all;", "allow 127.0.0.1; deny all;") + " }\n"
			}
			if random.IntN(4) == 0 {
				inner += "if ($request_method = \"PUT\") { " + pick("return 405;", "add_header X-Other 1;") + " }\n"
			}
			text += fmt.Sprintf("location /%d { %s }\n", i, inner)
		}
		return text + maybe(`location ~ /\. { allow all; }`) + "}\n"
	}
	files := map[string]string{
		"/etc/nginx/snippets/s.conf":      directives("location"),
		"/etc/nginx/conf.d/b.conf":        server(8002),
		"/etc/nginx/conf.d/a.conf":        maybe("map $uri $m { default 0; include snippets/map.conf; }\n"),
		"/etc/nginx/snippets/map.conf":    "\"~^/x{2}\" 1;\n",
		"/etc/nginx/sites-available/one":  server(8001),
		"/etc/nginx/sites-enabled/one":    "-> ../sites-available/one",
		"/etc/nginx/sites-enabled/.swp":   "}",
		"/etc/nginx/sites-enabled/20-two": strings.Replace(server(8003), "server {", "server { location /s { include snippets/s.conf; }\n", 1),
	}
	include := "include /etc/nginx/conf.d/*.conf;"
	if random.IntN(3) == 0 {
		include = "include conf.d/[ab].conf;"
	}
	files[mainFile] = maybe("user root;\n") + maybe("error_log /var/log/nginx/error.log;\n") +
		"events { worker_connections 64; }\nhttp {\n" + directives("http") + include + "\ninclude /etc/nginx/sites-enabled/*;\n}\n"
	return files
}

func TestNginxAcceptsGeneratedConfigurationsWhenHardened(t *testing.T) {
	root, sys := nginxRoot(t)
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if err := os.RemoveAll(filepath.Join(root, "etc/nginx")); err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(seed, 1))
			put(t, sys, generate(random))
			sameFiles(t, sys, root, mainFile)
			list := slices.Clone(states)
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			settle(t, sys, list)
			sameFiles(t, sys, root, mainFile)
		})
	}
}

// TestAnswersChange starts nginx with a configuration before and after the
// states were applied.
func TestAnswersChange(t *testing.T) {
	root, sys := nginxRoot(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	put(t, sys, map[string]string{
		mainFile:                      "daemon off;\nmaster_process off;\npid /run/nginx.pid;\nevents {}\nhttp {\n\taccess_log off;\n\tinclude /etc/nginx/conf.d/*.conf;\n}\n",
		"/etc/nginx/conf.d/site.conf": "server {\n\tlisten " + address + ";\n\troot /var/www/html;\n\tlocation / {\n\t\tautoindex on;\n\t\tserver_tokens on;\n\t}\n}\n",
	})
	if code, server, body := ask(t, root, address, "GET", "/"); code != 200 || !strings.Contains(server, "/") || !strings.Contains(body, "Index of") {
		t.Fatalf("before: %d, %q, %q", code, server, body)
	}
	if code, _, _ := ask(t, root, address, "PUT", "/x"); code == 403 {
		t.Fatal("before: PUT is forbidden already")
	}
	settle(t, sys, []string{states[0], states[1], states[17], states[18], states[12]})
	if code, server, _ := ask(t, root, address, "GET", "/"); code != 403 || server != "nginx" {
		t.Errorf("after: %d, %q", code, server)
	}
	if code, _, _ := ask(t, root, address, "PUT", "/x"); code != 403 {
		t.Errorf("after: PUT is answered %d", code)
	}
	if code, _, _ := ask(t, root, address, "GET", "/.git/config"); code != 403 {
		t.Errorf("after: a hidden file is answered %d", code)
	}
}

// ask starts nginx, asks it once and stops it.
func ask(t *testing.T, root, address, method, name string) (code int, server, body string) {
	t.Helper()
	cmd := peertest.Command(root, "/usr/sbin/nginx")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for try := 0; ; try++ {
		response, err := client.Do(request)
		if err != nil {
			if try > 100 {
				log, _ := os.ReadFile(filepath.Join(root, "var/log/nginx/error.log"))
				t.Fatalf("nginx does not answer: %v\n%s", err, log)
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		data, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Server"), string(data)
	}
}
