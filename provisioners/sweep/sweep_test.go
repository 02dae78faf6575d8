package sweep_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/sweep"
	"imgbuild/provisioners/system"
)

func decode(t *testing.T, name, settings string) *sweep.Sweep {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte(name+": "+settings))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sweep.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func memory(t *testing.T, files map[string]system.Attr) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, attr := range files {
		dir, isDir := strings.CutSuffix(name, "/")
		if isDir {
			if _, err := s.Lstat(dir); err == nil {
				if err := errors.Join(s.Chown(dir, attr.UID, attr.GID), s.Chmod(dir, attr.Mode)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := s.Mkdir(dir, attr); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text := ""
		switch name {
		case "/etc/passwd":
			text = "root:x:0:0::/root:/bin/sh\nsyslog:x:104:110::/:/bin/false\nann:x:1000:1000::/home/ann:/bin/sh\n+nis\n"
		case "/etc/group":
			text = "root:x:0:\nadm:x:4:\ntty:x:5:\nutmp:x:43:\nsyslog:x:110:\nann:x:1000:\nsystemd-journal:x:999:\n"
		}
		if err := s.WriteFile(name, strings.NewReader(text), attr); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func mode(m fs.FileMode) system.Attr { return system.Attr{Mode: m} }

// TestSweeps has for each what is found in a small system, and what is left
// after it was applied.
func TestSweeps(t *testing.T) {
	files := map[string]system.Attr{
		"/etc/passwd": mode(0o644), "/etc/group": mode(0o644),
		"/etc/open": mode(0o666), "/etc/shared": mode(0o664), "/srv/open": mode(0o602), "/srv/www/page": {Mode: 0o644, UID: 5, GID: 1000},
		"/tmp/": mode(0o777 | fs.ModeSticky), "/srv/drop/": mode(0o777), "/usr/share/drop/": mode(0o775),
		"/usr/bin/su": mode(0o755 | fs.ModeSetuid), "/usr/bin/wall": {Mode: 0o755 | fs.ModeSetgid, GID: 5}, "/srv/sh": mode(0o755 | fs.ModeSetuid),
		"/etc/ssh/ssh_host_rsa_key": mode(0o640), "/etc/ssh/ssh_host_rsa_key.pub": {Mode: 0o644, UID: 1000}, "/etc/ssh/sshd_config": mode(0o644),
		"/etc/crontab": mode(0o644), "/etc/cron.d/": mode(0o755), "/etc/cron.daily/": mode(0o700), "/etc/cron.d/job": mode(0o644),
		"/var/log/auth.log": {Mode: 0o640, UID: 104, GID: 4}, "/var/log/own.log": {Mode: 0o640, UID: 104, GID: 110}, "/var/log/dpkg.log": mode(0o644),
		"/var/log/wtmp": {Mode: 0o664, GID: 43}, "/var/log/btmp.1": {Mode: 0o660, GID: 43}, "/var/log/lastlog": {Mode: 0o666, GID: 43},
		"/var/log/ann.log": {Mode: 0o640, UID: 1000, GID: 1000}, "/var/log/journal/a/system.journal": {Mode: 0o640, GID: 999},
	}
	for _, c := range []struct {
		name, settings string
		want           []string
		// left waits for a person.
		left int
	}{
		{"world-writable", "{}", []string{"/etc/open: mode is 0666, should be 0664", "/srv/open: mode is 0602, should be 0600", "/var/log/lastlog: mode is 0666, should be 0664"}, 0},
		{"world-writable", "{except: ['/etc/*', /srv/**, /var/**]}", nil, 0},
		{"sticky", "{}", []string{"/srv/drop: mode is 0777, should be 1777"}, 0},
		{"system-files", "{}", []string{"/etc/open: mode is 0666, should be 0644", "/etc/shared: mode is 0664, should be 0644", "/usr/share/drop: mode is 0775, should be 0755"}, 0},
		{"unowned", "{}", []string{"/srv/www/page: owner is the unknown number 5, should be a known owner"}, 1},
		{"setuid", "{allow: [/usr/bin/su]}", []string{"/srv/sh: mode is 4755, should be 0755", "/usr/bin/wall: mode is 2755, should be 0755"}, 2},
		{"setuid", "{allow: ['/usr/bin/*'], clear: true}", []string{"/srv/sh: mode is 4755, should be 0755"}, 0},
		{"setuid", "{allow: ['/usr/bin/*', /srv/sh]}", nil, 0},
		{"capabilities", "{}", nil, 0},
		{"devices", "{}", nil, 0},
		{"ssh-host-keys", "{}", []string{"/etc/ssh/ssh_host_rsa_key is 0640 of 0:0, should be 0600 of 0:0", "/etc/ssh/ssh_host_rsa_key.pub is 0644 of 1000:0, should be 0644 of 0:0"}, 0},
		{"cron", "{}", []string{"/etc/cron.d is 0755 of 0:0, should be 0700 of 0:0", "/etc/crontab is 0644 of 0:0, should be 0600 of 0:0"}, 0},
		{"logs", "{}", []string{
			"/var/log/ann.log: owner is 1000, should be root or a daemon's account", "/var/log/ann.log: group is 1000, should be root, adm or the owner's own",
			"/var/log/dpkg.log: mode is 0644, should be 0640", "/var/log/lastlog: mode is 0666, should be 0664",
		}, 2},
	} {
		t.Run(c.name+c.settings, func(t *testing.T) {
			ctx := context.Background()
			s := memory(t, files)
			one := decode(t, c.name, c.settings)
			found, err := one.Check(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range found {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			changed, err := one.Apply(ctx, s)
			var undecided *sweep.Undecided
			if errors.As(err, &undecided) != (c.left > 0) || c.left > 0 && len(undecided.Found) != c.left || c.left == 0 && err != nil {
				t.Errorf("%d should be left: %v", c.left, err)
			}
			if changed != (len(c.want) > c.left) {
				t.Errorf("changed: %v", changed)
			}
			if again, err := one.Check(ctx, s); len(again) != c.left || err != nil {
				t.Errorf("after it was applied: %v, %v", again, err)
			}
			if changed, _ := one.Apply(ctx, s); changed {
				t.Error("a second time changed something")
			}
		})
	}
}

// counting counts how often a directory is read.
type counting struct {
	system.Reader
	reads int
}

func (c *counting) ReadDir(name string) ([]string, error) {
	c.reads++
	return c.Reader.ReadDir(name)
}

// wrapper is any other decorator of a reader.
type wrapper struct{ system.Reader }

func (w wrapper) Unwrap() system.Reader { return w.Reader }

func TestOneWalkServesAllSweeps(t *testing.T) {
	ctx := context.Background()
	base := &counting{Reader: memory(t, map[string]system.Attr{"/etc/passwd": mode(0o644), "/etc/group": mode(0o644), "/srv/x": mode(0o666)})}
	r := wrapper{sweep.Remember(base)}
	for _, name := range sweep.Names() {
		if _, err := decode(t, name, "{}").Check(ctx, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if base.reads != 3 {
		t.Errorf("read %d directories for /, /etc and /srv", base.reads)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	fresh := sweep.Remember(base)
	if _, err := sweep.Of(stopped, fresh); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if tree, err := sweep.Of(ctx, fresh); err != nil || len(tree.Entries) != 6 {
		t.Errorf("after a walk that was stopped: %v", err)
	}
}

// hostile has directories in directories without end, or names that are none.
type hostile struct {
	system.Reader
	name string
}

func (h hostile) Lstat(string) (system.Info, error) {
	return system.Info{Mode: fs.ModeDir | 0o755}, nil
}
func (h hostile) ReadDir(dir string) ([]string, error)    { return []string{h.name}, nil }
func (h hostile) Open(name string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }

func TestADamagedSystemEndsTheWalk(t *testing.T) {
	for _, name := range []string{"d", ".", "..", "", "a/b", "\x00"} {
		if tree, err := sweep.Walk(context.Background(), hostile{name: name}); err == nil {
			t.Errorf("%q: %d files", name, len(tree.Entries))
		}
	}
}

func TestALiveHostIsWalkedOnItsOwnDisksOnly(t *testing.T) {
	s := memory(t, map[string]system.Attr{
		"/etc/passwd": mode(0o644), "/proc/mounts": mode(0o444), "/sys/x": mode(0o644), "/run/x": mode(0o644), "/dev/x": mode(0o644), "/var/x": mode(0o644),
		"/home/x": mode(0o644), "/mnt/a b/x": mode(0o644), "/tmp/x": mode(0o644), "/data/x": mode(0o644), "/media/x": mode(0o644),
	})
	table := "overlay / overlay rw 0 0\n/dev/sda2 /var ext4 rw 0 0\n/dev/sda3 /home xfs rw 0 0\nfs:/x /mnt/a\\040b nfs4 rw 0 0\n" +
		"tmpfs /tmp tmpfs rw 0 0\n/dev/sdb /data fuseblk rw 0 0\nsshfs /media fuse.sshfs rw 0 0\n"
	if err := s.WriteFile("/proc/mounts", strings.NewReader(table), mode(0o444)); err != nil {
		t.Fatal(err)
	}
	tree, err := sweep.Walk(context.Background(), s)
	if err != nil || !tree.Live {
		t.Fatal(err)
	}
	var files []string
	for _, e := range tree.Entries {
		if !e.Info.Mode.IsDir() {
			files = append(files, e.Path)
		}
	}
	if diff := cmp.Diff([]string{"/data/x", "/etc/passwd", "/home/x", "/var/x"}, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMountsOfFiles(t *testing.T) {
	list, err := sweep.ParseMounts("# a comment\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/sda1 none swap sw 0 0\n\n/dev/sda2 /home/ ext4 nosuid,nodev\n/dev/sda3 /home/a\\040b ext4\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/etc": "/", "/home": "/home", "/home/x": "/home", "/home/a b/x": "/home/a b", "/homes": "/"} {
		if m, ok := sweep.On(list, name); !ok || m.Point != want || m.Has("nosuid") != (want == "/home") {
			t.Errorf("%s lies on %+v", name, m)
		}
	}
	for _, bad := range []string{"/dev/sda1 /home", "a b c", "LABEL=x home ext4 defaults"} {
		if _, err := sweep.ParseMounts(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add("UUID=1 / ext4 defaults 0 1\n", "/etc")
	f.Add("tmpfs /a\\040b\\9 tmpfs nosuid\n", "/a b")
	f.Fuzz(func(t *testing.T, text, name string) {
		list, err := sweep.ParseMounts(text)
		if err != nil {
			return
		}
		for _, m := range list {
			if !path.IsAbs(m.Point) || path.Clean(m.Point) != m.Point {
				t.Fatalf("place %q", m.Point)
			}
		}
		sweep.On(list, name)
	})
}

// TestAProgramOfDebianLendsWhatDebianLetsIt has programs whose names are known,
// and that lend another one's rights.
func TestAProgramOfDebianLendsWhatDebianLetsIt(t *testing.T) {
	for _, c := range []struct {
		name string
		attr system.Attr
		// want is the difference, "" where there is none.
		want string
	}{
		{"/usr/bin/wall", system.Attr{Mode: 0o755 | fs.ModeSetgid, GID: 5}, ""},
		{"/usr/bin/su", mode(0o755 | fs.ModeSetuid), ""},
		{"/sbin/unix_chkpwd", system.Attr{Mode: 0o755 | fs.ModeSetgid, GID: 42}, ""},
		{"/usr/lib/dbus-1.0/dbus-daemon-launch-helper", system.Attr{Mode: 0o754 | fs.ModeSetuid, GID: 101}, ""},
		{"/usr/local/bin/wall", mode(0o755 | fs.ModeSetuid), ""},
		{"/usr/bin/wall", mode(0o755 | fs.ModeSetuid), "/usr/bin/wall is 4755 of root:root, should be setgid tty"},
		{"/usr/bin/ssh-agent", mode(0o755 | fs.ModeSetuid), "/usr/bin/ssh-agent is 4755 of root:root, should be setgid _ssh or ssh"},
		{"/usr/bin/wall", system.Attr{Mode: 0o755 | fs.ModeSetuid | fs.ModeSetgid, GID: 5}, "/usr/bin/wall is 6755 of root:tty, should be setgid tty"},
		{"/usr/bin/wall", system.Attr{Mode: 0o755 | fs.ModeSetgid, GID: 42}, "/usr/bin/wall is 2755 of root:shadow, should be setgid tty"},
		{"/usr/bin/wall", system.Attr{Mode: 0o755 | fs.ModeSetgid, UID: 1000, GID: 5}, "/usr/bin/wall is 2755 of ann:tty, should be setgid tty"},
		{"/usr/bin/su", system.Attr{Mode: 0o755 | fs.ModeSetuid, UID: 1000}, "/usr/bin/su is 4755 of ann:root, should be setuid root"},
		{"/usr/bin/su", system.Attr{Mode: 0o755 | fs.ModeSetuid, GID: 77}, "/usr/bin/su is 4755 of root:77, should be setuid root"},
		{"/usr/bin/su", mode(0o755 | fs.ModeSetuid | fs.ModeSetgid), "/usr/bin/su is 6755 of root:root, should be setuid root"},
	} {
		s := memory(t, map[string]system.Attr{c.name: c.attr})
		for name, text := range map[string]string{"/etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n", "/etc/group": "root:x:0:\ntty:x:5:\nshadow:x:42:\nmessagebus:x:101:\n"} {
			if err := errors.Join(system.MkdirAll(s, "/etc"), system.Replace(s, name, text, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		found, err := decode(t, "setuid", "{allow: ["+c.name+"]}").Check(context.Background(), s)
		got := ""
		if len(found) > 0 {
			got = found[0].String()
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, want %q: %v", c.name, got, c.want, err)
		}
		if found, err := decode(t, "setuid", "{allow: ["+c.name+"], except: ["+c.name+"]}").Check(context.Background(), s); err != nil || len(found) > 0 {
			t.Errorf("%s, excepted: %v, %v", c.name, found, err)
		}
	}
}

// TestAccountsThatDoNotParseAreAnError is for the sweeps that ask whose a file
// is.
func TestAccountsThatDoNotParseAreAnError(t *testing.T) {
	for _, name := range []string{"unowned", "logs", "setuid"} {
		for _, file := range []string{"/etc/passwd", "/etc/group"} {
			s := memory(t, map[string]system.Attr{"/etc/passwd": mode(0o644), "/etc/group": mode(0o644)})
			if err := system.Replace(s, file, "root:x:0:0::/root:/bin/sh\nadm:x\n", 0o644); err != nil {
				t.Fatal(err)
			}
			if found, err := decode(t, name, "{}").Check(context.Background(), s); err == nil {
				t.Errorf("%s with a broken %s: %v", name, file, found)
			}
		}
	}
}
