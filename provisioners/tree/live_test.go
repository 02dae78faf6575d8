package tree_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

// server is a system in memory that notes what of it is read.
type server struct {
	*system.Memory
	listed, opened []string
}

func (s *server) ReadDir(name string) ([]string, error) {
	s.listed = append(s.listed, name)
	return s.Memory.ReadDir(name)
}

func (s *server) Open(name string) (io.ReadCloser, error) {
	s.opened = append(s.opened, name)
	return s.Memory.Open(name)
}

const mounts = `/dev/vda1 / ext4 rw 0 0
proc /proc proc rw 0 0
/dev/vda2 /var ext4 rw 0 0
files:/www /usr/share/www\040files nfs4 rw 0 0
`

func newServer(t *testing.T) *server {
	t.Helper()
	m := system.NewMemory()
	for name, text := range map[string]string{
		"/etc/nginx/nginx.conf": "user www-data;", "/etc/machine-id": "1", "/usr/bin/true": "elf", "/var/lib/dpkg/status": "Package: x",
		"/var/lib/mysql/data": "rows", "/var/log/syslog": "line", "/home/ops/notes": "text", "/run/secret": "s", "/sys/kernel": "k",
		"/proc/self/mounts": mounts, "/proc/1/maps": "m", "/dev/nothing": "", "/usr/share/www files/index.html": "far away",
	} {
		must(t, system.MkdirAll(m, name[:strings.LastIndexByte(name, '/')]))
		must(t, m.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}))
	}
	return &server{Memory: m}
}

// manifests are what an image's scan says of a system, and what the running one
// says itself.
func manifests(t *testing.T, s *server, rules integrity.Rules) (all, live integrity.Manifest) {
	t.Helper()
	entries, err := tree.Read(context.Background(), s.Memory)
	must(t, err)
	all, err = integrity.NewManifest(entries, rules)
	must(t, err)
	entries, err = tree.Live(context.Background(), s, rules)
	must(t, err)
	live, err = integrity.NewManifest(entries, rules)
	must(t, err)
	return all, live
}

func TestLiveReadsWhatDriftIsJudgedBy(t *testing.T) {
	s := newServer(t)
	must(t, s.Remove("/usr/share/www files/index.html"))
	all, live := manifests(t, s, integrity.DefaultRules())
	if drift := integrity.Drift(all, live); len(drift) > 0 {
		t.Errorf("a server that is its image has drift: %v", drift)
	}
	if _, ok := live.Find("etc/machine-id"); !ok {
		t.Error("a seeded file is missing, whose mode and owner are compared")
	}
	must(t, s.WriteFile("/etc/nginx/nginx.conf", strings.NewReader("user root;"), system.Attr{Mode: 0o644}))
	must(t, s.WriteFile("/var/lib/dpkg/added", strings.NewReader(""), system.Attr{Mode: 0o644}))
	must(t, s.Remove("/usr/bin/true"))
	_, live = manifests(t, s, integrity.DefaultRules())
	var paths []string
	for _, d := range integrity.Drift(all, live) {
		paths = append(paths, string(d.Kind)+" "+d.Path)
	}
	if want := []string{"changed etc/nginx/nginx.conf", "removed usr/bin/true", "added var/lib/dpkg/added"}; !slices.Equal(paths, want) {
		t.Errorf("got %v, want %v", paths, want)
	}
}

func TestLiveLeavesAloneWhatIsNotTheImages(t *testing.T) {
	for name, rules := range map[string]integrity.Rules{"default": integrity.DefaultRules(), "none": nil} {
		s := newServer(t)
		_, live := manifests(t, s, rules)
		for _, dir := range []string{"/proc", "/sys", "/run", "/dev", "/usr/share/www files"} {
			if slices.Contains(s.listed, dir) {
				t.Errorf("%s: %s is looked into", name, dir)
			}
			if _, ok := live.Find(dir[1:]); !ok {
				t.Errorf("%s: the directory %s itself is missing", name, dir)
			}
		}
		if variable := slices.Contains(s.opened, "/var/lib/mysql/data") || slices.Contains(s.listed, "/home"); variable != (rules == nil) {
			t.Errorf("%s: variable data is read: %v", name, variable)
		}
	}
}

// windowsHost is a system of Windows with files that nobody may look at.
type windowsHost struct {
	*server
	locked string
}

func (windowsHost) OS() system.OS { return system.Windows }

func (w windowsHost) Lstat(name string) (system.Info, error) {
	if name == w.locked {
		return system.Info{}, errors.New("used by another process")
	}
	return w.server.Lstat(name)
}

func TestLiveOnWindowsHasNoNamesOfLinux(t *testing.T) {
	s := newServer(t)
	must(t, s.WriteFile("/pagefile.sys", strings.NewReader(""), system.Attr{}))
	w := windowsHost{s, "/pagefile.sys"}
	if _, err := tree.Live(context.Background(), w, nil); err == nil || !strings.Contains(err.Error(), "used by another") {
		t.Errorf("a file that cannot be looked at: %v", err)
	}
	entries, err := tree.Live(context.Background(), w, integrity.Rules{{Pattern: "pagefile.sys", Class: integrity.Variable}})
	must(t, err)
	for path, want := range map[string]bool{"run/secret": true, "proc/1/maps": true, "usr/share/www files/index.html": true, "pagefile.sys": false} {
		if got := slices.ContainsFunc(entries, func(e integrity.Entry) bool { return e.Path == path }); got != want {
			t.Errorf("%s is listed: %v", path, got)
		}
	}
}

func TestLiveRefusesATableOfMountsThatDoesNotParse(t *testing.T) {
	s := newServer(t)
	must(t, s.WriteFile("/proc/self/mounts", strings.NewReader("nonsense\n"), system.Attr{Mode: 0o444}))
	if _, err := tree.Live(context.Background(), s, nil); err == nil || !strings.Contains(err.Error(), "without a type") {
		t.Errorf("got %v", err)
	}
}
