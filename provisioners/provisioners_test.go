package provisioners_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// project is what the recipes of these tests take files from.
func project() fstest.MapFS {
	return fstest.MapFS{
		"site/index.html":     {Data: []byte("hello ${who}\n"), Mode: 0o644},
		"site/cgi/run":        {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"site/cgi/run.bak":    {Data: []byte("old"), Mode: 0o644},
		"site/.git/config":    {Data: []byte("secret"), Mode: 0o600},
		"site/latest":         {Data: []byte("index.html"), Mode: fs.ModeSymlink},
		"baselines/test.yaml": {Data: nil},
	}
}

func decode(t *testing.T, text string) ([]provisioners.Resource, error) {
	t.Helper()
	n, err := node.Parse("baselines/test.yaml", project(), "baselines/test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return provisioners.Decode(n, node.Vars{"who": {Kind: node.String, Text: "world"}})
}

// before is the system that every case starts from.
func before(t *testing.T, s system.System) {
	t.Helper()
	files := []struct {
		name, content string
		attr          system.Attr
	}{
		{"/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nold:x:1500:1500::/home/old:/bin/sh\n", system.Attr{Mode: 0o644}},
		{"/etc/group", "root:x:0:\nshadow:x:42:\nwww-data:x:33:\nold:x:1500:\nadm:x:4:old\n", system.Attr{Mode: 0o644}},
		{"/etc/shadow", "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n", system.Attr{Mode: 0o640, GID: 42}},
		{"/etc/gshadow", "root:*::\nshadow:*::\nwww-data:*::\nold:!::\nadm:*::old\n", system.Attr{Mode: 0o640, GID: 42}},
		{"/etc/skel/.profile", "# profile\n", system.Attr{Mode: 0o644}},
		{"/etc/motd", "welcome\n", system.Attr{Mode: 0o666, UID: 33, GID: 33}},
		{"/etc/ssh/sshd_config", "#PermitRootLogin prohibit-password\nX11Forwarding yes\nPermitRootLogin yes", system.Attr{Mode: 0o600}},
		{"/usr/lib/systemd/system/nginx.service", "[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target\nAlias=web.service\nAlso=nginx.socket\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/nginx.socket", "[Install]\nWantedBy=sockets.target\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n", system.Attr{Mode: 0o644}},
		{"/etc/nginx/nginx.conf", "user www-data;\nhttp {\n\tinclude conf.d/*.conf;\n\tserver { listen 80; autoindex on; }\n}\n", system.Attr{Mode: 0o640, GID: 33}},
		{"/etc/apache2/apache2.conf", "ServerTokens OS\nIncludeOptional mods-enabled/*.load\nIncludeOptional conf-enabled/*.conf\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/auth_basic.load", "# Depends: authn_core\nLoadModule auth_basic_module a.so\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/authn_core.load", "LoadModule authn_core_module b.so\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/status.load", "LoadModule status_module c.so\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/status.conf", "ExtendedStatus On\n", system.Attr{Mode: 0o644}},
		{"/etc/ssl/openssl.cnf", "HOME = .\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/apt-daily.timer", "[Install]\nWantedBy=timers.target\n", system.Attr{Mode: 0o644}},
	}
	for _, f := range files {
		if err := system.MkdirAll(s, path.Dir(f.name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(f.name, strings.NewReader(f.content), f.attr); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"/etc/systemd/system/timers.target.wants/apt-daily.timer": "/lib/systemd/system/apt-daily.timer",
		"/etc/apache2/mods-enabled/status.load":                   "../mods-available/status.load",
		"/etc/apache2/mods-enabled/status.conf":                   "../mods-available/status.conf",
		"/etc/old-link":                                           "nowhere",
		"/var/lib/data":                                           "/srv/data",
		"/etc/resolv.conf":                                        "../run/resolv.conf",
		"/lib":                                                    "usr/lib",
		"/etc/old/dir/link":                                       "/etc/passwd",
	} {
		if err := system.MkdirAll(s, path.Dir(link)); err != nil {
			t.Fatal(err)
		}
		if err := s.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := system.MkdirAll(s, "/srv/data"); err != nil {
		t.Fatal(err)
	}
}

// show writes a system down, one file a line or more.
func show(t *testing.T, r system.Reader) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(name string)
	walk = func(name string) {
		info, err := r.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		line := info.Mode.String() + " " + itoa(info.UID) + ":" + itoa(info.GID)
		switch {
		case info.Mode.IsRegular():
			data, err := system.ReadFile(r, name, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			line += " " + string(data)
		case info.Mode&fs.ModeSymlink != 0:
			target, err := r.Readlink(name)
			if err != nil {
				t.Fatal(err)
			}
			line = "-> " + target
		case info.Mode.IsDir():
			names, err := r.ReadDir(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				walk(path.Join(name, n))
			}
		}
		out[name] = line
	}
	walk("/")
	return out
}

func itoa(n int) string {
	if n == 0 {
		return "0"
	}
	var digits []byte
	for ; n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits)
}

// changes lists what is not the same in two systems; a path that went away has
// the value "gone".
func changes(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for name, line := range b {
		if a[name] != line {
			out[name] = line
		}
	}
	for name := range a {
		if _, there := b[name]; !there {
			out[name] = "gone"
		}
	}
	return out
}

var cases = []struct {
	name, recipe string
	want         map[string]string
}{
	{"file with content", "files:\n  /etc/new/motd: {content: \"hi ${who}\\n\"}", map[string]string{
		"/etc/new": "drwxr-xr-x 0:0", "/etc/new/motd": "-rw-r--r-- 0:0 hi ${who}\n",
	}},
	{"file from the project", "files:\n  /etc/motd: {from: ../site/index.html, owner: www-data, mode: 0600}", map[string]string{
		"/etc/motd": "-rw------- 33:0 hello ${who}\n",
	}},
	{"file from a template", "files:\n  /etc/motd: {from: ../site/index.html, template: true, group: \"7\", mode: \"4750\"}", map[string]string{
		"/etc/motd": "urwxr-x--- 0:7 hello world\n",
	}},
	{"file attributes only", "files:\n  /etc/motd: {mode: 0640}", map[string]string{"/etc/motd": "-rw-r----- 33:33 welcome\n"}},
	{"file in place of a link", "files:\n  /etc/resolv.conf: {content: \"\"}", map[string]string{"/etc/resolv.conf": "-rw-r--r-- 0:0 "}},
	{"file below a link", "files:\n  /var/lib/data/x: {content: y}", map[string]string{"/srv/data/x": "-rw-r--r-- 0:0 y"}},
	{"file absent", "files:\n  /etc/motd: {absent: true}", map[string]string{"/etc/motd": "gone"}},
	{"directory", "directories:\n  /srv/a/b: {owner: www-data, group: adm, mode: 2775}", map[string]string{
		"/srv/a": "drwxr-xr-x 0:0", "/srv/a/b": "dgrwxrwxr-x 33:4",
	}},
	{"directory attributes", "directories:\n  /srv/data: {mode: \"0700\"}", map[string]string{"/srv/data": "drwx------ 0:0"}},
	{"directory absent", "directories:\n  /etc/old: {absent: true}", map[string]string{
		"/etc/old": "gone", "/etc/old/dir": "gone", "/etc/old/dir/link": "gone",
	}},
	{"directory tree", "directories:\n  /srv/data: {from: ../site, owner: www-data, exclude: [.git, 'cgi/*.bak']}", map[string]string{
		"/srv/data": "drwxr-xr-x 33:0", "/srv/data/index.html": "-rw-r--r-- 33:0 hello ${who}\n", "/srv/data/cgi": "drwxr-xr-x 33:0",
		"/srv/data/cgi/run": "-rwxr-xr-x 33:0 #!/bin/sh\n", "/srv/data/latest": "-> index.html",
	}},
	{"symlink", "symlinks:\n  /etc/motd: /run/motd\n  /etc/sites/a: {target: ../b}\n  /etc/old-link: {absent: true}", map[string]string{
		"/etc/motd": "-> /run/motd", "/etc/sites": "drwxr-xr-x 0:0", "/etc/sites/a": "-> ../b", "/etc/old-link": "gone",
	}},
	{"line replaced and doubles removed", "lines:\n  root:\n    path: /etc/ssh/sshd_config\n    match: '^#?PermitRootLogin\\b'\n    line: PermitRootLogin no", map[string]string{
		"/etc/ssh/sshd_config": "-rw------- 0:0 PermitRootLogin no\nX11Forwarding yes\n",
	}},
	{"line added", "lines:\n  banner: {path: /etc/ssh/sshd_config, line: Banner none}", map[string]string{
		"/etc/ssh/sshd_config": "-rw------- 0:0 #PermitRootLogin prohibit-password\nX11Forwarding yes\nPermitRootLogin yes\nBanner none\n",
	}},
	{"line absent", "lines:\n  x11: {path: /etc/ssh/sshd_config, match: ^X11, absent: true}", map[string]string{
		"/etc/ssh/sshd_config": "-rw------- 0:0 #PermitRootLogin prohibit-password\nPermitRootLogin yes",
	}},
	{"group", "groups:\n  app: {system: true}\n  www-data: {gid: 330}\n  adm: {absent: true}", map[string]string{
		"/etc/group":   "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:330:\nold:x:1500:\napp:x:999:\n",
		"/etc/gshadow": "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nold:!::\napp:!::\n",
	}},
	{"user", "users:\n  deploy: {comment: Deployer, groups: [adm]}", map[string]string{
		"/etc/passwd":           "-rw-r--r-- 0:0 root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nold:x:1500:1500::/home/old:/bin/sh\ndeploy:x:1501:1501:Deployer:/home/deploy:/bin/bash\n",
		"/etc/group":            "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:33:\nold:x:1500:\nadm:x:4:old,deploy\ndeploy:x:1501:\n",
		"/etc/shadow":           "-rw-r----- 0:42 root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\ndeploy:!::0:99999:7:::\n",
		"/etc/gshadow":          "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nold:!::\nadm:*::old,deploy\ndeploy:!::\n",
		"/home":                 "drwxr-xr-x 0:0",
		"/home/deploy":          "drwx------ 1501:1501",
		"/home/deploy/.profile": "-rw-r--r-- 1501:1501 # profile\n",
	}},
	{"user changed", "users:\n  www-data: {shell: /bin/false, system: true}", map[string]string{
		"/etc/passwd": "-rw-r--r-- 0:0 root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/bin/false\nold:x:1500:1500::/home/old:/bin/sh\n",
	}},
	{"user absent", "users:\n  old: {absent: true}", map[string]string{
		"/etc/passwd":  "-rw-r--r-- 0:0 root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n",
		"/etc/group":   "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:33:\nadm:x:4:\n",
		"/etc/shadow":  "-rw-r----- 0:42 root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n",
		"/etc/gshadow": "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nadm:*::\n",
	}},
	{"service enabled", "services:\n  nginx: enabled\n  getty@: {state: enabled}", map[string]string{
		"/etc/systemd/system/multi-user.target.wants":               "drwxr-xr-x 0:0",
		"/etc/systemd/system/multi-user.target.wants/nginx.service": "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system/sockets.target.wants":                  "drwxr-xr-x 0:0",
		"/etc/systemd/system/sockets.target.wants/nginx.socket":     "-> /usr/lib/systemd/system/nginx.socket",
		"/etc/systemd/system/web.service":                           "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system/getty.target.wants":                    "drwxr-xr-x 0:0",
		"/etc/systemd/system/getty.target.wants/getty@tty1.service": "-> /usr/lib/systemd/system/getty@.service",
	}},
	{"service disabled", "services:\n  apt-daily.timer: disabled", map[string]string{
		"/etc/systemd/system/timers.target.wants/apt-daily.timer": "gone",
		"/etc/systemd/system-preset":                              "drwxr-xr-x 0:0",
		"/etc/systemd/system-preset/00-apt-daily.timer.preset":    "-rw-r--r-- 0:0 disable apt-daily.timer\n",
	}},
	{"service enabled without its companion", "services:\n  nginx.service: enabled\n  nginx.socket: disabled", map[string]string{
		"/etc/systemd/system/multi-user.target.wants":               "drwxr-xr-x 0:0",
		"/etc/systemd/system/multi-user.target.wants/nginx.service": "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system/sockets.target.wants":                  "drwxr-xr-x 0:0",
		"/etc/systemd/system/web.service":                           "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system-preset":                                "drwxr-xr-x 0:0",
		"/etc/systemd/system-preset/00-nginx.socket.preset":         "-rw-r--r-- 0:0 disable nginx.socket\n",
	}},
	{"nginx directive", "nginx:\n  autoindex: \"off\"\n  client_max_body_size: {at-most: 100k}", map[string]string{
		"/etc/nginx/nginx.conf":              "-rw-r----- 0:33 user www-data;\nhttp {\n\tinclude conf.d/*.conf;\n\tserver { listen 80; autoindex off; }\n}\n",
		"/etc/nginx/conf.d":                  "drwxr-xr-x 0:0",
		"/etc/nginx/conf.d/00-imgbuild.conf": "-rw-r--r-- 0:0 # Written by imgbuild from the recipe's nginx states.\nclient_max_body_size 100k;\n",
	}},
	{"apache directive", "apache:\n  ServerTokens: Prod\n  AllowOverride: {directory: /srv, value: None}\n  TraceEnable: \"off\"", map[string]string{
		"/etc/apache2/apache2.conf":                 "-rw-r--r-- 0:0 ServerTokens Prod\nIncludeOptional mods-enabled/*.load\nIncludeOptional conf-enabled/*.conf\n",
		"/etc/apache2/conf-available":               "drwxr-xr-x 0:0",
		"/etc/apache2/conf-available/imgbuild.conf": "-rw-r--r-- 0:0 # Written by imgbuild from the recipe's apache states.\n<Directory /srv>\n\tAllowOverride None\n</Directory>\nTraceEnable off\n",
		"/etc/apache2/conf-enabled":                 "drwxr-xr-x 0:0",
		"/etc/apache2/conf-enabled/imgbuild.conf":   "-> ../conf-available/imgbuild.conf",
	}},
	{"apache module", "apache-modules: {auth_basic: enabled, status: disabled}", map[string]string{
		"/etc/apache2/mods-enabled/auth_basic.load":           "-> ../mods-available/auth_basic.load",
		"/etc/apache2/mods-enabled/authn_core.load":           "-> ../mods-available/authn_core.load",
		"/etc/apache2/mods-enabled/status.load":               "gone",
		"/etc/apache2/mods-enabled/status.conf":               "gone",
		"/var/lib/apache2":                                    "drwxr-xr-x 0:0",
		"/var/lib/apache2/module":                             "drwxr-xr-x 0:0",
		"/var/lib/apache2/module/enabled_by_admin":            "drwxr-xr-x 0:0",
		"/var/lib/apache2/module/enabled_by_admin/auth_basic": "-rw-r--r-- 0:0 ",
		"/var/lib/apache2/module/enabled_by_admin/authn_core": "-rw-r--r-- 0:0 ",
		"/var/lib/apache2/module/disabled_by_admin":           "drwxr-xr-x 0:0",
		"/var/lib/apache2/module/disabled_by_admin/status":    "-rw-r--r-- 0:0 ",
	}},
	{"tls policy", "tls-policy:\n  server: {versions: [TLSv1.2, TLSv1.3], for: [nginx, openssl]}", map[string]string{
		"/etc/nginx/conf.d":                  "drwxr-xr-x 0:0",
		"/etc/nginx/conf.d/00-imgbuild.conf": "-rw-r--r-- 0:0 # Written by imgbuild from the recipe's nginx states.\nssl_protocols TLSv1.2 TLSv1.3;\n",
		"/etc/ssl/openssl.cnf": "-rw-r--r-- 0:0 openssl_conf = openssl_init\nHOME = .\n\n[openssl_init]\nssl_conf = ssl_sect\n\n[ssl_sect]\n" +
			"system_default = system_default_sect\n\n[system_default_sect]\nMinProtocol = TLSv1.2\n",
	}},
	{"service masked", "services:\n  apt-daily.timer: masked\n  not-there: masked", map[string]string{
		"/etc/systemd/system/apt-daily.timer":   "-> /dev/null",
		"/etc/systemd/system/not-there.service": "-> /dev/null",
	}},
}

func TestEveryTypeAppliesOnceAndThenAgrees(t *testing.T) {
	systems := map[string]func(t *testing.T) system.System{
		"memory": func(*testing.T) system.System { return system.NewMemory() },
		"root":   rootSystem,
	}
	for kind, open := range systems {
		for _, c := range cases {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				ctx := context.Background()
				s := open(t)
				before(t, s)
				was := show(t, s)
				resources, err := decode(t, c.recipe)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range resources {
					if d, err := r.Check(ctx, s); err != nil || len(d) == 0 {
						t.Errorf("%s: nothing differs before it was applied: %v", r.Identity(), err)
					}
				}
				changed, err := provisioners.Apply(ctx, s, resources)
				if err != nil {
					t.Fatal(err)
				}
				if len(changed) != len(resources) {
					t.Errorf("changed %v of %d resources", changed, len(resources))
				}
				if diff := cmp.Diff(c.want, changes(was, show(t, s))); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
				for _, r := range resources {
					if d, err := r.Check(ctx, s); err != nil || len(d) > 0 {
						t.Errorf("%s after it was applied: %v, %v", r.Identity(), d, err)
					}
				}
				if again, err := provisioners.Apply(ctx, s, resources); err != nil || len(again) > 0 {
					t.Errorf("a second time changed %v: %v", again, err)
				}
			})
		}
	}
}

func rootSystem(t *testing.T) system.System {
	if os.Getuid() != 0 {
		t.Skip("changing owners of files takes root; the same cases run in memory")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestServiceStatesFollowEachOther(t *testing.T) {
	ctx := context.Background()
	s := system.NewMemory()
	before(t, s)
	for _, state := range []string{"enabled", "masked", "enabled", "disabled", "masked", "disabled", "enabled"} {
		resources, err := decode(t, "services: {nginx: "+state+"}")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provisioners.Apply(ctx, s, resources); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		files := show(t, s)
		for name, want := range map[string]bool{
			"/etc/systemd/system/nginx.service":                         state == "masked",
			"/etc/systemd/system-preset/00-nginx.service.preset":        state == "disabled",
			"/etc/systemd/system/multi-user.target.wants/nginx.service": state != "disabled",
		} {
			if _, got := files[name]; got != want && !(state == "masked" && strings.Contains(name, "wants")) {
				t.Errorf("%s: %s exists: %v", state, name, got)
			}
		}
	}
}

func TestMistakesAreFoundAtTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, recipe, want string }{
		{"type", "file:\n  /a: {}", `baselines/test.yaml:1:1: unknown type of resource "file"; did you mean "files"?`},
		{"key", "files:\n  /a: {contents: x}", `baselines/test.yaml:2:8: unknown key "contents"; did you mean "content"?`},
		{"relative path", "files:\n  a/b: {content: x}", `baselines/test.yaml:2:3: expected an absolute path`},
		{"dots", "directories:\n  /a/../b: {}", `baselines/test.yaml:2:3: expected an absolute path`},
		{"mode", "files:\n  /a: {content: x, mode: 0o99}", `baselines/test.yaml:2:26: expected a mode of three or four octal digits`},
		{"both", "files:\n  /a: {content: x, from: ../site/index.html}", `"content" does not go with "from"`},
		{"missing file", "files:\n  /a: {from: ../site/indx.html}", `baselines/test.yaml:2:14: cannot read "../site/indx.html": file does not exist; did you mean "../site/index.html"?`},
		{"leaves", "files:\n  /a: {from: ../../etc/passwd}", `"../../etc/passwd" leaves the project`},
		{"absolute", "files:\n  /a: {from: /etc/passwd}", `"/etc/passwd" is absolute`},
		{"twice", "files:\n  /a/b: {content: x}\nsymlinks:\n  /a/b: c", `baselines/test.yaml:4:3: /a/b is described already at baselines/test.yaml:2:3`},
		{"state", "services:\n  nginx: enable", `baselines/test.yaml:2:10: unknown value "enable" for "state"; did you mean "enabled"?`},
		{"user name", "users:\n  Deploy: {}", `"Deploy" is not the name of a user`},
		{"line", "lines:\n  a: {path: /b, line: x, match: ^y}", `does not match the line itself`},
		{"injected", "users:\n  a: {comment: \"x:0:0\"}", `a comment has no colon`},
		{"empty", "files:\n  /a:\n", `"/a" is empty`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(t, c.recipe)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if fault.KindOf(err) != fault.Input {
				t.Errorf("kind %d", fault.KindOf(err))
			}
		})
	}
}

func TestApplyingNamesThePlace(t *testing.T) {
	for recipe, want := range map[string]string{
		"services: {ngnix: enabled}":                    `baselines/test.yaml:1:12: applying service ngnix.service: the image has no unit "ngnix.service"; did you mean "nginx.service"?`,
		"files: {/etc/motd: {owner: www-dta}}":          `the image has no user "www-dta"; did you mean "www-data"?`,
		"files: {/srv/data: {content: x}}":              `a directory is in its place`,
		"files: {/etc/nothing: {mode: 0600}}":           `there is no such file`,
		"users: {a: {group: adn}}":                      `there is no group "adn"; did you mean "adm"?`,
		"users: {a: {uid: 33}}":                         `number 33 is taken`,
		"symlinks: {/srv/data: x}":                      `a directory is in its place`,
		"lines: {a: {path: /etc/nothing, line: x}}":     `editing a line`,
		"directories: {/etc/motd: {}}":                  `a regular file is in its place`,
		"directories: {/etc/motd/below: {}}":            `/etc/motd`,
		"lines: {a: {path: /etc/resolv.conf, line: x}}": `no such file`,
	} {
		s := system.NewMemory()
		before(t, s)
		if err := system.MkdirAll(s, "/run"); err != nil {
			t.Fatal(err)
		}
		resources, err := decode(t, recipe)
		if err != nil {
			t.Fatal(err)
		}
		_, err = provisioners.Apply(context.Background(), s, resources)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "file does not exist", "no such file"), want) {
			t.Errorf("%s: got %v, want %s", recipe, err, want)
		}
	}
}

func TestCanonicalIgnoresHowItWasWritten(t *testing.T) {
	encode := func(recipe string) string {
		resources, err := decode(t, recipe)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, r := range resources {
			data, err := provisioners.Canonical(r)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(data))
		}
		sort.Strings(lines)
		return strings.Join(lines, "\n")
	}
	a := "files:\n  /a: {content: \"x\\n\", mode: 0644}\n  /b: {from: ../site/index.html, template: true}\nservices:\n  nginx: enabled\ndirectories:\n  /c: {from: ../site}\n"
	b := "# a comment\nservices: {nginx.service: {state: enabled}} # another\ndirectories: {/c: {from: ../baselines/../site}}\nfiles:\n  \"/b\":\n    template: true\n    from: ../site/index.html\n  /a:\n    mode: '0644'\n    content: |\n      x\n"
	if diff := cmp.Diff(encode(a), encode(b)); diff != "" {
		t.Errorf("two ways to write the same differ:\n%s", diff)
	}
	for _, other := range []string{
		strings.Replace(a, `x\n`, `y\n`, 1), strings.Replace(a, "0644", "0640", 1), strings.Replace(a, "enabled", "masked", 1),
		strings.Replace(a, "from: ../site}", "from: ../site, exclude: [run]}", 1), strings.Replace(a, ", template: true", "", 1),
	} {
		if encode(a) == encode(other) {
			t.Errorf("the same encoding for\n%s\nand\n%s", a, other)
		}
	}
}

func TestAProjectFileThatChangesIsRefused(t *testing.T) {
	files := project()
	n, err := node.Parse("baselines/test.yaml", files, "baselines/test.yaml", []byte("files: {/a: {from: ../site/index.html}}"))
	if err != nil {
		t.Fatal(err)
	}
	resources, err := provisioners.Decode(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	files["site/index.html"].Data = []byte("something else")
	s := system.NewMemory()
	if _, err := provisioners.Apply(context.Background(), s, resources); fault.KindOf(err) != fault.World {
		t.Errorf("got %v", err)
	}
	if _, err := s.Lstat("/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was written: %v", err)
	}
}
