package compare_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/scan/compare"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/inventory"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a system that is changed by hand.
type world struct {
	t testing.TB
	*system.Memory
	status map[string]string
}

// packages of the worlds by name: files by path, of which those in /etc are
// conffiles.
var packages = map[string]map[string]string{
	"nginx": {"/etc/nginx/nginx.conf": "worker_processes 1;\n", "/usr/sbin/nginx": "ELF", "/usr/share/nginx/index.html": "hello", "/usr/lib/systemd/system/nginx.service": "[Install]\nWantedBy=multi-user.target\n"},
	"cron":  {"/etc/cron.d/stat": "* * * * * root stat\n", "/usr/lib/systemd/system/cron.service": "[Install]\nWantedBy=multi-user.target\n"},
	"py":    {"/usr/lib/python3/py.py": "pass\n", "/etc/py.conf": "x\n"},
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, Memory: system.NewMemory(), status: map[string]string{}}
	w.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/var/www:/usr/sbin/nologin\n")
	w.write("/etc/group", "root:x:0:\nwww:x:33:\n")
	w.write("/etc/shadow", "root:*:::::::\nwww:*:::::::\n")
	w.write("/etc/machine-id", "")
	w.write("/usr/local/bin/ours", "ours")
	w.write("/var/log/syslog", "one")
	w.write("/usr/lib/systemd/system/base.service", "[Install]\nWantedBy=multi-user.target\n")
	w.write("/etc/ssl/certs/ca-certificates.crt", "a")
	w.install("nginx", "1.22", "")
	w.enable("nginx.service")
	for _, dir := range []string{"/home", "/srv", "/var/spool"} {
		must(t, system.MkdirAll(w, dir))
	}
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	must(w.t, system.MkdirAll(w, path.Dir(name)))
	must(w.t, w.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}))
}

func (w *world) link(target, name string) {
	w.t.Helper()
	must(w.t, system.MkdirAll(w, path.Dir(name)))
	must(w.t, w.Symlink(target, name))
}

func (w *world) enable(unit string) {
	w.link("/usr/lib/systemd/system/"+unit, "/etc/systemd/system/multi-user.target.wants/"+unit)
}

// install brings a package as dpkg does; later is what its files have more in
// that version.
func (w *world) install(name, version, later string) {
	w.t.Helper()
	var list, sums, conffiles strings.Builder
	list.WriteString("/.\n")
	for file, text := range packages[name] {
		text += later
		w.write(file, text)
		for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
			list.WriteString(dir + "\n")
		}
		list.WriteString(file + "\n")
		if sum := md5.Sum([]byte(text)); strings.HasPrefix(file, "/etc/") {
			fmt.Fprintf(&conffiles, " %s %x\n", file, sum)
		} else {
			fmt.Fprintf(&sums, "%x  %s\n", sum, file[1:])
		}
	}
	w.write("/var/lib/dpkg/info/"+name+".list", list.String())
	w.write("/var/lib/dpkg/info/"+name+".md5sums", sums.String())
	w.status[name] = fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: all\nVersion: %s\nConffiles:\n%s\n", name, version, conffiles.String())
	w.database()
}

func (w *world) database() {
	var all strings.Builder
	for _, paragraph := range w.status {
		all.WriteString(paragraph)
	}
	w.write("/var/lib/dpkg/status", all.String())
}

func (w *world) side(name string) compare.Side {
	w.t.Helper()
	taken, err := inventory.Take(context.Background(), w)
	must(w.t, err)
	entries, err := tree.Read(context.Background(), w)
	must(w.t, err)
	manifest, err := integrity.NewManifest(entries, integrity.DefaultRules())
	must(w.t, err)
	return compare.Side{Name: name, Platform: "debian-12", Inventory: taken, Manifest: manifest}
}

// lines are those of a table that tell of a difference.
func lines(d *compare.Difference) []string {
	var b bytes.Buffer
	compare.Table(&b, d)
	list := []string{}
	told, _, _ := strings.Cut(b.String(), "\nin a recipe")
	for line := range strings.Lines(told) {
		if strings.HasPrefix(line, "  ") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// TestWhatWasChangedByHandIsNamed has one change each, and what is told of it and
// nothing else.
func TestWhatWasChangedByHandIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		server, image func(w *world)
		want          []string
	}{
		"nothing":        {},
		"a package more": {func(w *world) { w.install("py", "3", "") }, nil, []string{"+ py 3"}},
		"a package more that apt chose, and what it made": {func(w *world) {
			w.install("py", "3", "")
			w.write("/var/lib/apt/extended_states", "Package: py\nArchitecture: all\nAuto-Installed: 1\n")
			w.write("/usr/lib/python3/__pycache__/py.cpython-311.pyc", "x")
		}, nil, []string{"+ and 1 that are there because others need them", "~ and 1 that scripts of packages made"}},
		"a package less":               {nil, func(w *world) { w.install("py", "3", "") }, []string{"- py"}},
		"a package in another version": {func(w *world) { w.install("nginx", "1.9", "+") }, nil, []string{"~ nginx 1.9, in the image 1.22 (the image's is newer)"}},
		"a conffile": {func(w *world) { w.write("/etc/nginx/nginx.conf", "mine") }, nil,
			[]string{"~ /etc/nginx/nginx.conf: conffile of nginx, changed on the server"}},
		"a conffile of a package more": {func(w *world) { w.install("py", "3", ""); w.write("/etc/py.conf", "mine") }, nil,
			[]string{"+ py 3", "~ /etc/py.conf: conffile of py, changed on the server"}},
		"a conffile by the recipe": {nil, func(w *world) { w.write("/etc/nginx/nginx.conf", "ours") },
			[]string{"~ changed in the image alone: /etc/nginx/nginx.conf"}},
		"a conffile on both": {func(w *world) { w.write("/etc/nginx/nginx.conf", "mine") }, func(w *world) { w.write("/etc/nginx/nginx.conf", "ours") },
			[]string{"~ /etc/nginx/nginx.conf: conffile of nginx, changed on the server and in the image"}},
		"a conffile on both alike": {func(w *world) { w.write("/etc/nginx/nginx.conf", "ours") }, func(w *world) { w.write("/etc/nginx/nginx.conf", "ours") }, nil},
		"a program of a package": {func(w *world) { w.write("/usr/sbin/nginx", "backdoor") }, nil,
			[]string{"~ /usr/sbin/nginx: file of nginx, changed on the server"}},
		"its mode": {func(w *world) { must(w.t, w.Chmod("/usr/sbin/nginx", 0o755)) }, nil,
			[]string{"~ /usr/sbin/nginx: file of nginx, mode 0755, in the image 0644"}},
		"its owner": {func(w *world) { must(w.t, w.Chown("/usr/sbin/nginx", 33, 33)) }, nil,
			[]string{"~ /usr/sbin/nginx: file of nginx, owner www, in the image root; group www, in the image root"}},
		"a file of a package gone": {func(w *world) { must(w.t, w.Remove("/usr/share/nginx/index.html")) }, nil,
			[]string{"- /usr/share/nginx/index.html: file of nginx, removed on the server"}},
		"a file of a package that the recipe took out": {nil, func(w *world) { must(w.t, w.Remove("/usr/share/nginx/index.html")) },
			[]string{"+ /usr/share/nginx/index.html: file of nginx, removed from the image"}},
		"a file":         {func(w *world) { w.write("/usr/local/bin/tool", "x") }, nil, []string{"+ /usr/local/bin/tool"}},
		"a file changed": {func(w *world) { w.write("/usr/local/bin/ours", "mine") }, nil, []string{"~ /usr/local/bin/ours: another content"}},
		"a file of the recipe gone": {func(w *world) { must(w.t, w.Remove("/usr/local/bin/ours")) }, nil,
			[]string{"- /usr/local/bin/ours"}},
		"a directory of files": {func(w *world) { w.write("/opt/app/a", "1"); w.write("/opt/app/lib/b", "22") }, nil, []string{"+ /opt/: 2 files, 3 bytes"}},
		"a directory with one": {func(w *world) { w.write("/opt/app/a", "1") }, nil, []string{"+ /opt/app/a"}},
		"an empty directory":   {func(w *world) { must(w.t, system.MkdirAll(w, "/opt/app")) }, nil, []string{"+ /opt/app/"}},
		"a link": {func(w *world) {
			must(w.t, w.Remove("/usr/local/bin/ours"))
			w.link("/opt/x", "/usr/local/bin/ours")
		}, nil, []string{"~ /usr/local/bin/ours: type link, in the image file; target /opt/x, in the image none"}},
		"what varies": {func(w *world) {
			w.write("/var/log/syslog", "two")
			w.write("/srv/data", "x")
			w.write("/home/me/x", "x")
		}, nil, nil},
		"what is seeded":   {func(w *world) { w.write("/etc/machine-id", "abc"); w.write("/etc/hostname", "x") }, nil, nil},
		"a derived bundle": {func(w *world) { w.write("/etc/ssl/certs/ca-certificates.crt", "b") }, nil, []string{"~ and 1 that scripts of packages made"}},
		"a chosen alternative": {func(w *world) {
			w.link("/usr/bin/vim", "/etc/alternatives/editor")
			w.write("/var/lib/dpkg/alternatives/editor", "manual\n")
		}, func(w *world) { w.link("/usr/bin/nano", "/etc/alternatives/editor") }, []string{"~ /etc/alternatives/editor: target /usr/bin/vim, in the image /usr/bin/nano"}},
		"a user": {func(w *world) {
			w.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/var/www:/usr/sbin/nologin\nops:x:1000:1000::/home/ops:/bin/bash\n")
			w.write("/etc/group", "root:x:0:\nwww:x:33:ops\nops:x:1000:\n")
			w.write("/etc/shadow", "root:*:::::::\nwww:*:::::::\nops:$y$x:::::::\n")
		}, nil, []string{"+ user ops: uid 1000, home /home/ops, shell /bin/bash, also in www, password set"}},
		"a user changed": {func(w *world) {
			w.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:34:33::/var/www:/bin/sh\n")
		}, nil, []string{"~ user www: uid 34, in the image 33; shell /bin/sh, in the image /usr/sbin/nologin"}},
		"a number": {func(w *world) {
			w.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:34:35::/var/www:/usr/sbin/nologin\n")
			w.write("/etc/group", "root:x:0:\nwww:x:35:\n")
		}, nil, []string{"~ other numbers: user www 34 (in the image 33), group www 35 (in the image 33)"}},
		"what Apache's package enabled": {func(w *world) {
			w.link("../mods-available/a.load", "/etc/apache2/mods-enabled/a.load")
			w.link("../mods-available/b.load", "/etc/apache2/mods-enabled/b.load")
			w.write("/var/lib/apache2/module/enabled_by_maint/a", "")
			w.write("/var/lib/apache2/module/enabled_by_admin/b", "")
		}, nil, []string{"+ /etc/apache2/mods-enabled/b.load", "~ and 1 that scripts of packages made"}},
		"a group":       {func(w *world) { w.write("/etc/group", "root:x:0:\nwww:x:33:\nnew:x:99:\n") }, nil, []string{"+ group new: gid 99"}},
		"a unit on":     {func(w *world) { w.enable("base.service") }, nil, []string{"~ base.service enabled for multi-user.target, in the image disabled"}},
		"a unit masked": {func(w *world) { w.link("/dev/null", "/etc/systemd/system/nginx.service") }, nil, []string{"~ nginx.service masked, in the image enabled for multi-user.target (of nginx)"}},
		"a unit of one's own": {func(w *world) {
			w.write("/etc/systemd/system/app.service", "[Install]\nWantedBy=multi-user.target\n")
			w.link("../app.service", "/etc/systemd/system/multi-user.target.wants/app.service")
		}, nil, []string{"+ /etc/systemd/system/app.service", "+ app.service enabled for multi-user.target"}},
		"a unit off": {func(w *world) { must(w.t, w.Remove("/etc/systemd/system/multi-user.target.wants/nginx.service")) }, nil,
			[]string{"~ nginx.service disabled, in the image enabled for multi-user.target (of nginx)"}},
		"a package with a job": {func(w *world) { w.install("cron", "3", ""); w.enable("cron.service") }, nil,
			[]string{"+ cron 3", "+ cron.service enabled for multi-user.target (of cron)", "+ and 1 that further packages brought"}},
		"a job": {func(w *world) { w.write("/var/spool/cron/crontabs/ops", "@daily /opt/x y\n") }, nil,
			[]string{"+ /var/spool/cron/crontabs/ops", "+ /var/spool/cron/crontabs/ops: @daily, /opt/x as ops"}},
		"what would command a terminal": {func(w *world) { w.write("/opt/\x1b[2J", "x") }, nil, []string{"+ /opt/\uFFFD[2J"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, image := newWorld(t), newWorld(t)
			if c.server != nil {
				c.server(server)
			}
			if c.image != nil {
				c.image(image)
			}
			d := compare.Systems(server.side("server"), image.side("image"), compare.Sections())
			want := append([]string{}, c.want...)
			if diff := cmp.Diff(want, lines(d)); diff != "" {
				t.Errorf("(-want +told):\n%s", diff)
			}
			if d.Empty() != (len(want) == 0) {
				t.Errorf("empty: %v", d.Empty())
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPortsOfWhatTheImageStartsAreNone holds listening sockets against the units
// of the image, and the ports that its recipe speaks of.
func TestPortsOfWhatTheImageStartsAreNone(t *testing.T) {
	port := func(number int, address, unit string) inventory.Port {
		return inventory.Port{Protocol: "tcp", Address: address, Port: number, Process: "x", Unit: unit}
	}
	for _, c := range []struct {
		port     inventory.Port
		declared []string
		want     string
	}{
		{port(80, "0.0.0.0", "nginx.service"), nil, ""},
		{port(80, "0.0.0.0", "nginx.service"), []string{"80/tcp"}, ""},
		{port(8080, "0.0.0.0", "nginx.service"), []string{"80/tcp"}, "the image's recipe does not declare it"},
		{port(8080, "127.0.0.1", "nginx.service"), []string{"80/tcp"}, ""},
		{port(80, "0.0.0.0", "apache2.service"), []string{"80/tcp"}, "the image does not start what has it open"},
		{port(5432, "0.0.0.0", "session-3.scope"), nil, "the image does not start what has it open"},
		{port(5432, "0.0.0.0", ""), nil, "the image does not start what has it open"},
		{port(22, "0.0.0.0", "init.scope"), nil, ""},
	} {
		server, image := newWorld(t).side("server"), newWorld(t).side("image")
		server.Inventory.Ports, image.Declared = []inventory.Port{c.port}, c.declared
		got := ""
		for _, p := range compare.Systems(server, image, []compare.Section{compare.Ports}).Ports {
			got = p.Why
		}
		if got != c.want {
			t.Errorf("%+v, declared %v: %q, want %q", c.port, c.declared, got, c.want)
		}
	}
	// A socket more that systemd itself waits on.
	w := newWorld(t)
	w.write("/etc/systemd/system/own.socket", "[Install]\nWantedBy=sockets.target\n")
	w.link("../own.socket", "/etc/systemd/system/sockets.target.wants/own.socket")
	server := w.side("server")
	server.Inventory.Ports = []inventory.Port{port(9, "0.0.0.0", "init.scope")}
	if d := compare.Systems(server, newWorld(t).side("image"), []compare.Section{compare.Ports}); len(d.Ports) != 1 {
		t.Errorf("ports %v", d.Ports)
	}
}

// TestTheRecipeHasWhatSomebodyChose has packages that apt chose, that others need,
// that need each other, that are of the base system, and a kernel.
func TestTheRecipeHasWhatSomebodyChose(t *testing.T) {
	w := newWorld(t)
	for name, fields := range map[string]string{
		"py": "Depends: py-common (= 3), libc6:any (>= 2) | libc7\n", "py-common": "", "ping": "Depends: pong\n", "pong": "Pre-Depends: ping\n",
		"less": "Priority: important\nDepends: less, ,(\n", "linux-image-6": "", "auto": "",
	} {
		w.status[name] = "Package: " + name + "\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n" + fields + "\n"
	}
	w.database()
	w.write("/var/lib/apt/extended_states", "Package: auto\nArchitecture: all\nAuto-Installed: 1\n")
	d := compare.Systems(w.side("server"), newWorld(t).side("image"), []compare.Section{compare.Packages})
	if want := "packages:\n  - ping\n  - py\n  # of Debian's base system, which installers choose:\n  - less\n"; d.Recipe != want {
		t.Errorf("recipe: %q", d.Recipe)
	}
	want := []string{"+ linux-image-6 1", "+ ping 1", "+ py 1", "+ of Debian's base system: less", "+ and 3 that are there because others need them"}
	if diff := cmp.Diff(want, lines(d)); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
}

// TestTheReverseIsTheReverse makes worlds of random changes: each is like itself,
// and what one has more the other lacks.
func TestTheReverseIsTheReverse(t *testing.T) {
	changes := []func(w *world){
		func(w *world) { w.install("py", "3", "") }, func(w *world) { w.install("cron", "3", "") }, func(w *world) { w.enable("base.service") },
		func(w *world) { w.install("nginx", "1.23", "more") }, func(w *world) { w.write("/etc/nginx/nginx.conf", "mine") },
		func(w *world) { w.write("/opt/a/b", "1") }, func(w *world) { w.write("/opt/a/c", "1") }, func(w *world) { must(w.t, w.Remove("/usr/sbin/nginx")) },
		func(w *world) { w.write("/etc/cron.d/x", "* * * * * root a\n") }, func(w *world) { w.write("/etc/group", "root:x:0:\nwww:x:33:\nnew:x:9:\n") },
		func(w *world) { w.link("/dev/null", "/etc/systemd/system/base.service") }, func(w *world) { must(w.t, w.Chmod("/usr/local/bin/ours", 0o4755)) },
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		a, b := newWorld(t), newWorld(t)
		for _, change := range changes {
			for _, w := range []*world{a, b} {
				if random.IntN(3) == 0 {
					change(w)
				}
			}
		}
		x, y := a.side("a"), b.side("b")
		for _, s := range []compare.Side{x, y} {
			if d := compare.Systems(s, s, compare.Sections()); !d.Empty() {
				t.Fatalf("a system differs from itself: %q", lines(d))
			}
		}
		there, back := compare.Systems(x, y, compare.Sections()), compare.Systems(y, x, compare.Sections())
		if diff := cmp.Diff(kinds(there, false), kinds(back, true)); diff != "" {
			t.Fatalf("(-there +back):\n%s", diff)
		}
	}
}

// kinds are what differs, with the kinds turned round or not.
func kinds(d *compare.Difference, turned bool) []string {
	var list []string
	add := func(kind compare.Kind, name string) {
		if turned && kind != compare.Changed {
			kind = map[compare.Kind]compare.Kind{compare.Added: compare.Missing, compare.Missing: compare.Added}[kind]
		}
		list = append(list, string(kind)+" "+name)
	}
	for _, p := range d.Packages {
		add(p.Kind, p.Name)
	}
	for _, g := range d.Groups {
		add(g.Kind, g.Name)
	}
	for _, u := range d.Services {
		add(u.Kind, u.Name)
	}
	for _, j := range d.Jobs {
		add(j.Kind, j.File)
	}
	for _, f := range d.Files {
		add(f.Kind, f.Path)
	}
	slices.Sort(list)
	return list
}

func TestSectionsThatThereAreNot(t *testing.T) {
	_, err := compare.ParseSections([]string{"packages", "colours"})
	if fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "packages, users, files, services, ports, jobs") {
		t.Errorf("got %v", err)
	}
	d := compare.Systems(newWorld(t).side("a"), newWorld(t).side("b"), []compare.Section{compare.Jobs})
	var b bytes.Buffer
	compare.Table(&b, d)
	if !strings.HasSuffix(b.String(), "\nalike: jobs\n") {
		t.Errorf("told:\n%s", b.String())
	}
}
