package apache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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
