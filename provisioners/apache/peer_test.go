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
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/peertest"
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

// packages are what httpd is unpacked from.
var packages = []string{"apache2", "apache2-bin", "libapr1", "libaprutil1", "libexpat1", "libgcc-s1", "libpcre2-8-0", "libssl3", "media-types"}

// httpd makes a root directory with Debian's httpd and what its modules need.
func httpd(t *testing.T) string {
	t.Helper()
	const module = "/usr/lib/apache2/modules/mod_"
	root := peertest.Root(t, packages, "/usr/sbin/apache2", module+"deflate.so", module+"ssl.so")
	for _, dir := range []string{"log", "srv/www/below"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	peertest.Write(t, root, "/dev/urandom", strings.Repeat("not very random ", 256))
	return root
}

// command runs the httpd of a root.
func command(root string, args ...string) *exec.Cmd {
	cmd := peertest.Command(root, "/usr/sbin/apache2", args...)
	for _, name := range []string{"RUN_DIR", "LOCK_DIR", "LOG_DIR"} {
		cmd.Env = append(cmd.Env, "APACHE_"+name+"=/log")
	}
	cmd.Env = append(cmd.Env, "APACHE_PID_FILE=/pid", "APACHE_RUN_USER=www-data", "APACHE_RUN_GROUP=www-data")
	return cmd
}

// export writes a system's /etc/apache2 into a root in place of what is there,
// links resolved, what is in the directories to leave out not with it.
func export(t *testing.T, r system.Reader, root string, leave ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, "etc/apache2")); err != nil {
		t.Fatal(err)
	}
	var walk func(name string)
	walk = func(name string) {
		names, err := r.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
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
				peertest.Write(t, root, full, read(t, r, full))
			}
		}
	}
	walk("/etc/apache2")
}

// environment makes the variables of the system those of the run.
const environment = "export APACHE_RUN_DIR=/log APACHE_NOTHING=x\nexport APACHE_LOCK_DIR=/log\nexport APACHE_LOG_DIR=/log\n" +
	"export APACHE_PID_FILE=/pid\nexport APACHE_RUN_USER=www-data\nexport APACHE_RUN_GROUP=www-data\n"

// unused are the directories that httpd reads by way of links alone.
var unused = []string{"mods-available", "conf-available", "sites-available"}

// agrees compares the directives in effect with those of httpd's own dump
// (mod_info's DUMP_CONFIG), and the files and modules with its lists.
func agrees(t *testing.T, r system.Reader, root string) {
	t.Helper()
	export(t, r, root, unused...)
	config, err := apache.Read(r, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	said, err := command(root, "-t", "-D", "DUMP_CONFIG", "-D", "DUMP_INCLUDES", "-D", "DUMP_MODULES").CombinedOutput()
	out := string(said)
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

// installed is /etc/apache2 as the package's installation leaves it, with
// modules whose directives the states are about: texts and, after "-> ", targets
// of links.
func installed(t *testing.T) map[string]string {
	t.Helper()
	const etc = "/etc/apache2/"
	root := peertest.Unpack(t, packages...).Dir
	list := map[string]string{etc + "envvars": environment}
	for _, pattern := range []string{"*.conf", "*/*.conf", "*/*.load", "magic"} {
		found, err := filepath.Glob(root + etc + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			list[strings.TrimPrefix(name, root)] = string(data)
		}
	}
	for kind, names := range map[string]string{
		"mods": "access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex deflate dir env filter mime " +
			"mpm_event negotiation reqtimeout setenvif status  headers info socache_shmcb ssl",
		"conf":  "charset localized-error-pages other-vhosts-access-log security serve-cgi-bin",
		"sites": "000-default",
	} {
		for name := range strings.FieldsSeq(names) {
			for _, end := range []string{".conf", ".load"} {
				if _, shipped := list[etc+kind+"-available/"+name+end]; shipped {
					list[etc+kind+"-enabled/"+name+end] = "-> ../" + kind + "-available/" + name + end
				}
			}
		}
	}
	return list
}

// stock is a system with that alone.
func stock(t *testing.T) system.System {
	t.Helper()
	sys := system.NewMemory()
	put(t, sys, installed(t))
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

func TestHttpdAcceptsTheHardenedStockConfiguration(t *testing.T) {
	sys, root := stock(t), httpd(t)
	agrees(t, sys, root)
	settle(t, sys, states)
	agrees(t, sys, root)
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
	root := httpd(t)
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			sys := stock(t)
			put(t, sys, generate(random))
			agrees(t, sys, root)
			list := slices.Clone(states)
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			settle(t, sys, list)
			agrees(t, sys, root)
		})
	}
}
