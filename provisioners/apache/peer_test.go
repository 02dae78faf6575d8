package apache_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/apache"
	"imgbuild/provisioners/system"
)

// states are of every kind that a benchmark asks for.
var states = []string{
	`ServerTokens: {one-of: [Prod, ProductOnly]}`,
	`ServerSignature: "Off"`,
	`TraceEnable: "Off"`,
	`FileETag: None`,
	`Timeout: {at-most: "10"}`,
	`KeepAlive: "On"`,
	`MaxKeepAliveRequests: {at-least: "100"}`,
	`KeepAliveTimeout: {at-most: "15"}`,
	`LimitRequestLine: {at-most: "8190"}`,
	`LimitRequestBody: {at-most: "102400"}`,
	`User: {not: [root], value: www-data}`,
	`Options: {directory: /, value: None}`,
	`"Options #indexes": {each: section, not: [Indexes, Includes, ExecCGI]}`,
	`AllowOverride: {each: directory, value: None}`,
	`Require: {directory: /, value: all denied}`,
	`ErrorLog: {not: [/dev/null]}`,
	`LogLevel: {one-of: ["notice core:info", info, debug]}`,
	`"Require #methods": {directory: /srv/www, value: method GET POST OPTIONS}`,
	`Header always set X-Frame-Options: SAMEORIGIN`,
	`RequestReadTimeout: header=20-40,MinRate=500 body=20,MinRate=500`,
	`SSLProtocol: -all +TLSv1.2 +TLSv1.3`,
}

func program(t *testing.T) string {
	t.Helper()
	const name = "/usr/sbin/apache2"
	if _, err := os.Stat(name); err != nil {
		t.Skip("apache2 is not installed")
	}
	return name
}

// tree is a copy of a system's /etc/apache2 on disk.
type tree struct{ dir string }

func (c tree) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program(t), append([]string{"-d", c.dir + "/etc/apache2", "-f", c.dir + mainFile}, args...)...)
	for _, name := range []string{"RUN_DIR", "LOCK_DIR", "LOG_DIR"} {
		cmd.Env = append(cmd.Env, "APACHE_"+name+"="+c.dir+"/log")
	}
	cmd.Env = append(cmd.Env, "APACHE_PID_FILE="+c.dir+"/pid", "APACHE_RUN_USER=www-data", "APACHE_RUN_GROUP=www-data")
	out, err := cmd.CombinedOutput()
	return strings.ReplaceAll(string(out), c.dir, ""), err
}

// export writes a system's /etc/apache2 below a directory, links resolved, what
// is in the directories to leave out not with it.
func export(t *testing.T, r system.Reader, leave ...string) tree {
	t.Helper()
	c := tree{dir: t.TempDir()}
	inside := strings.NewReplacer("/etc/apache2/", c.dir+"/etc/apache2/", "/srv/www", c.dir+"/srv/www")
	var walk func(name string)
	walk = func(name string) {
		names, err := r.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(c.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			full := path.Join(name, n)
			info, err := r.Stat(full)
			switch {
			case err != nil || slices.Contains(leave, n):
			case info.Mode.IsDir():
				walk(full)
			default:
				if err := os.WriteFile(filepath.Join(c.dir, full), []byte(inside.Replace(read(t, r, full))), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	walk("/etc/apache2")
	for _, name := range []string{"log", "srv/www/below"} {
		if err := os.MkdirAll(filepath.Join(c.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// environment makes the variables of the system those of the run.
const environment = "export APACHE_RUN_DIR=/log APACHE_NOTHING=x\nexport APACHE_LOCK_DIR=/log\nexport APACHE_LOG_DIR=/log\n" +
	"export APACHE_PID_FILE=/pid\nexport APACHE_RUN_USER=www-data\nexport APACHE_RUN_GROUP=www-data\n"

// agrees compares the directives in effect with those of httpd's own dump
// (mod_info's DUMP_CONFIG), and the files and modules with its lists.
func agrees(t *testing.T, r system.Reader, c tree) {
	t.Helper()
	config, err := apache.Read(r, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.run(t, "-t", "-D", "DUMP_CONFIG", "-D", "DUMP_INCLUDES", "-D", "DUMP_MODULES")
	if err != nil {
		t.Fatalf("apache2 refuses it: %v\n%s", err, out)
	}
	var want, got, files []string
	for line := range strings.SplitSeq(out, "\n") {
		line = strings.Join(strings.Fields(line), " ")
		switch name, isModule := strings.CutSuffix(strings.NewReplacer(" (static)", "", " (shared)", "").Replace(line), "_module"); {
		case isModule:
			if !config.Loaded(name) {
				t.Errorf("the module %s is loaded", name)
			}
		case strings.HasPrefix(line, "("):
			_, file, _ := strings.Cut(line, ") ")
			files = append(files, file)
		case line == "", line[0] == '#', line[0] == '[', strings.HasPrefix(line, "AH00"), strings.HasPrefix(line, "Syntax OK"),
			line == "Included configuration files:", line == "Loaded Modules:":
		default:
			want = append(want, line)
		}
	}
	if len(files) == 0 || len(want) == 0 {
		t.Fatalf("nothing in the dump:\n%s", out)
	}
	var walk func(list []*apache.Directive)
	walk = func(list []*apache.Directive) {
		for _, d := range list {
			text := strings.TrimSpace(d.Name + " " + strings.Join(strings.Fields(d.Text), " "))
			if d.Section {
				got = append(got, "<"+text+">")
				walk(d.Block)
				if len(d.Block) > 0 { // as the dump has it
					got = append(got, "</"+d.Name+">")
				}
				continue
			}
			// What is done while reading is not in the dump.
			if !d.Is("LoadModule", "Define", "UnDefine", "ServerRoot", "DefaultRuntimeDir", "Mutex") {
				got = append(got, text)
			}
		}
	}
	walk(config.Root.Block)
	want = slices.DeleteFunc(want, func(line string) bool { return strings.HasPrefix(line, "Mutex") })
	// The dump spells names as httpd's modules do.
	if diff := cmp.Diff(lowerNames(want), lowerNames(got)); diff != "" {
		t.Errorf("directives: -apache2 +here:\n%s", diff)
	}
	if diff := cmp.Diff(files, config.Order); diff != "" {
		t.Errorf("files: -apache2 +here:\n%s", diff)
	}
}

func lowerNames(lines []string) []string {
	for i, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		lines[i] = strings.ToLower(name) + " " + rest
	}
	return lines
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

// installed is the host's /etc/apache2: texts and, after "-> ", targets of links.
var installed = sync.OnceValues(func() (map[string]string, error) {
	host, err := system.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	defer host.Close()
	list := map[string]string{}
	var walk func(dir string) error
	walk = func(dir string) error {
		names, err := host.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			full := path.Join(dir, n)
			info, err := host.Lstat(full)
			if err != nil {
				return err
			}
			switch {
			case info.Mode.IsDir():
				err = walk(full)
			case info.Mode.IsRegular():
				var data []byte
				data, err = system.ReadFile(host, full, 1<<20)
				list[full] = string(data)
			default:
				var target string
				target, err = host.Readlink(full)
				list[full] = "-> " + target
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return list, walk("/etc/apache2")
})

// stock is a copy of the installed configuration, with modules whose
// directives the states are about.
func stock(t *testing.T) system.System {
	t.Helper()
	program(t)
	list, err := installed()
	if err != nil {
		t.Skip(err)
	}
	sys := system.NewMemory()
	put(t, sys, list)
	put(t, sys, map[string]string{"/etc/apache2/envvars": environment})
	enable(t, sys, "info", "headers", "ssl")
	return sys
}

func module(t *testing.T, name, to string) *apache.Module {
	t.Helper()
	m, err := apache.NewModule(node.Entry{Key: name, Value: &node.Node{Kind: node.String, Text: to}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func enable(t *testing.T, sys system.System, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := module(t, name, "enabled").Apply(context.Background(), sys); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHttpdAcceptsTheHardenedStockConfiguration(t *testing.T) {
	sys := stock(t)
	agrees(t, sys, export(t, sys))
	settle(t, sys, states)
	agrees(t, sys, export(t, sys))
}

// generate makes up sites and settings on top of the stock configuration.
func generate(random *rand.Rand) map[string]string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	maybe := func(text string) string {
		if random.IntN(3) == 0 {
			return text + "\n"
		}
		return ""
	}
	section := func() string {
		return maybe("Options "+pick("All", "None", "Indexes FollowSymLinks", "+Indexes", "-Indexes +ExecCGI", "+Includes -MultiViews")) +
			maybe("  allowoverride "+pick("All", "None", "FileInfo \\\n Limit")) + maybe("FileETag "+pick("All", "MTime Size", "None")) +
			maybe("LimitRequestBody "+pick("0", "1024", "2000000")) + maybe("Require all "+pick("granted", "denied")) +
			maybe("<LimitExcept GET POST>\nRequire all denied\n</LimitExcept>")
	}
	server := func() string {
		return maybe("ServerSignature "+pick("On", "Off", "EMail")) + maybe("TimeOut "+pick("0", "5", "300")) + maybe("KeepAlive "+pick("on", "off")) +
			maybe("\tMaxKeepAliveRequests "+pick("0", "10", "500")) + maybe("KeepAliveTimeout 30") + maybe("TraceEnable "+pick("on", "off", "extended")) +
			maybe(`ErrorLog "${APACHE_LOG_DIR}/e.log"`) + maybe("ErrorLog /dev/null") + maybe("LogLevel "+pick("warn", "info", "error ssl:warn")) +
			maybe("<IfModule !mod_headers.c>\nServerTokens Full\n</IfModule>") +
			maybe("<IfModule headers_module>\nHeader always set X-Frame-Options "+pick("DENY", `"SAMEORIGIN"`)+"\n</IfModule>") +
			maybe("# a comment \\\nServerTokens Full") + maybe("LimitRequestLine "+pick("100", "\"8190\"", "65536")) +
			maybe("<Directory \"/srv/www\">\n"+section()+"</Directory>") + maybe("<Directory />\n"+section()+"</Directory>") +
			maybe("<Location /x>\n"+section()+"</Location>") + maybe("<Directory ~ \"/srv/[a-z]+\">\n"+section()+"</Directory>") +
			maybe("<FilesMatch \"^\\.ht\">\nRequire all denied\n</FilesMatch>") +
			maybe("<IfDefine Nothing>\nTraceEnable on\n</IfDefine>") + maybe("<IfVersion >= 2.4>\nFileETag None\n</IfVersion>")
	}
	host := func(port int) string {
		return fmt.Sprintf("<VirtualHost *:%d>\n%s</VirtualHost>\n", port, strings.ReplaceAll(server(), "<Directory />", "<Directory /srv>"))
	}
	return map[string]string{
		"/etc/apache2/conf-enabled/a.conf":              "Define here /srv/www\n" + server(),
		"/etc/apache2/conf-enabled/z.conf":              maybe("ServerTokens "+pick("Prod", "OS", "Full")) + server(),
		"/etc/apache2/sites-available/000-default.conf": host(80) + host(81),
		"/etc/apache2/sites-enabled/b.conf":             host(82) + "<Directory ${here}/below>\n" + section() + "</Directory>\n" + server(),
	}
}

func TestHttpdAcceptsGeneratedConfigurationsWhenHardened(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 2))
			sys := stock(t)
			put(t, sys, generate(random))
			const unused = "mods-available conf-available sites-available"
			agrees(t, sys, export(t, sys, strings.Fields(unused)...))
			list := slices.Clone(states)
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			settle(t, sys, list)
			agrees(t, sys, export(t, sys, strings.Fields(unused)...))
		})
	}
}

// TestModulesAreThoseOfA2enmod compares the links after every change with what
// a2enmod and a2dismod make of the same directory.
func TestModulesAreThoseOfA2enmod(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/a2enmod"); err != nil {
		t.Skip("a2enmod is not installed")
	}
	ctx := context.Background()
	for _, steps := range [][]string{
		{"enabled ssl"}, {"enabled proxy_balancer"}, {"enabled auth_form"}, {"disabled status"}, {"disabled negotiation"},
		{"enabled headers", "disabled headers"}, {"disabled autoindex", "enabled autoindex"}, {"disabled userdir"}, {"enabled lbmethod_byrequests", "disabled lbmethod_byrequests"},
	} {
		sys := stock(t)
		c := export(t, sys)
		// The copy has files where the system has links.
		if err := os.RemoveAll(c.dir + "/etc/apache2/mods-enabled"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(c.dir+"/etc/apache2/mods-enabled", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, target := range links(t, sys) {
			if err := os.Symlink(target, filepath.Join(c.dir, "/etc/apache2/mods-enabled", name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(c.dir+"/state", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			to, name, _ := strings.Cut(step, " ")
			if _, err := module(t, name, to).Apply(ctx, sys); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			if again, err := module(t, name, to).Apply(ctx, sys); again || err != nil {
				t.Fatalf("%s a second time: %v, %v", step, again, err)
			}
			tool := map[string]string{"enabled": "/usr/sbin/a2enmod", "disabled": "/usr/sbin/a2dismod"}[to]
			cmd := exec.Command(tool, "-f", "-q", name)
			cmd.Env = append(os.Environ(), "APACHE_CONFDIR="+c.dir+"/etc/apache2", "APACHE_STATE_DIRECTORY="+c.dir+"/state")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", step, err, out)
			}
			host, err := system.OpenRoot(c.dir)
			if err != nil {
				t.Fatal(err)
			}
			want := links(t, host)
			note := to + "_by_admin/" + name
			if _, err := host.Lstat("/state/module/" + note); err == nil {
				if _, err := sys.Lstat("/var/lib/apache2/module/" + note); err != nil {
					t.Errorf("%s: a2enmod notes %s: %v", step, note, err)
				}
			}
			host.Close()
			if diff := cmp.Diff(want, links(t, sys)); diff != "" {
				t.Errorf("%s: -a2enmod +here:\n%s", step, diff)
			}
		}
	}
}

func links(t *testing.T, r system.Reader) map[string]string {
	t.Helper()
	names, err := r.ReadDir("/etc/apache2/mods-enabled")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		if out[name], err = r.Readlink("/etc/apache2/mods-enabled/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestAnswersChange starts httpd with a configuration before and after the
// states were applied.
func TestAnswersChange(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	sys := stock(t)
	put(t, sys, map[string]string{
		"/etc/apache2/ports.conf":                   "ServerName localhost\nListen " + address + "\n",
		"/etc/apache2/conf-available/security.conf": "ServerTokens Full\nTraceEnable On\n",
		"/etc/apache2/sites-available/000-default.conf": "<VirtualHost *>\nDocumentRoot /srv/www\n</VirtualHost>\n<Directory /srv/www>\nOptions Indexes\nRequire all granted\n" +
			"<LimitExcept GET POST OPTIONS>\nRequire all denied\n</LimitExcept>\n</Directory>\n",
	})
	if code, server, body := ask(t, sys, address, "GET"); code != 200 || !strings.Contains(server, "/2.4") || !strings.Contains(body, "Index of") {
		t.Fatalf("before: %d, %q, %q", code, server, body)
	}
	if code, _, _ := ask(t, sys, address, "TRACE"); code != 200 {
		t.Fatalf("before: TRACE is answered %d", code)
	}
	// This is why a LimitExcept beside what grants everything is called in vain.
	if code, _, _ := ask(t, sys, address, "DELETE"); code == 403 {
		t.Fatal("before: DELETE is forbidden already")
	}
	settle(t, sys, []string{states[0], states[2], states[12], states[17]})
	if code, server, _ := ask(t, sys, address, "GET"); code != 403 || server != "Apache" {
		t.Errorf("after: %d, %q", code, server)
	}
	if code, _, _ := ask(t, sys, address, "TRACE"); code != 405 && code != 403 {
		t.Errorf("after: TRACE is answered %d", code)
	}
	if code, _, _ := ask(t, sys, address, "DELETE"); code != 403 {
		t.Errorf("after: DELETE is answered %d", code)
	}
}

// ask starts httpd, asks it once and stops it.
func ask(t *testing.T, r system.Reader, address, method string) (code int, server, body string) {
	t.Helper()
	c := export(t, r)
	// The workers are www-data's.
	for d := c.dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program(t), "-X", "-d", c.dir+"/etc/apache2", "-f", c.dir+mainFile)
	cmd.Env = []string{
		"APACHE_RUN_DIR=" + c.dir + "/log", "APACHE_LOCK_DIR=" + c.dir + "/log", "APACHE_LOG_DIR=" + c.dir + "/log",
		"APACHE_PID_FILE=" + c.dir + "/pid", "APACHE_RUN_USER=www-data", "APACHE_RUN_GROUP=www-data",
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for try := 0; ; try++ {
		response, err := client.Do(request)
		if err != nil {
			if try > 100 {
				log, _ := os.ReadFile(c.dir + "/log/error.log")
				t.Fatalf("apache2 does not answer: %v\n%s", err, log)
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
