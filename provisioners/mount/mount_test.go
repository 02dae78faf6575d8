package mount_test

import (
	"context"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/mount"
	"imgbuild/provisioners/system"
)

func decode(t testing.TB, point, value string) *mount.Mount {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte("x: "+value))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mount.New(node.Entry{Key: point, Value: n.Get("x")})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// memory is a system with files; "-> x" is a link.
func memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		err := system.MkdirAll(s, path.Dir(name))
		if target, link := strings.CutPrefix(text, "-> "); err == nil && link {
			err = s.Symlink(target, name)
		} else if err == nil {
			err = s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func said(t *testing.T, m *mount.Mount, s system.Reader) []string {
	t.Helper()
	differences, err := m.Check(context.Background(), s)
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	var list []string
	for _, d := range differences {
		list = append(list, d.String())
	}
	return list
}

const (
	fstab   = "/etc/fstab"
	own     = "/etc/systemd/system/tmp.mount"
	vendors = "/usr/lib/systemd/system/tmp.mount"
	unit    = "[Unit]\nDescription=x\n[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=\\\n# a comment\n  nodev,nosuid,size=50%%\n"
	wants   = "/usr/lib/systemd/system/local-fs.target.wants/tmp.mount"
)

func TestWhatAMountLacks(t *testing.T) {
	const nodev = "{options: [nodev]}"
	for _, c := range []struct {
		name, point, state string
		files              map[string]string
		want               []string
	}{
		{"nothing mounted", "/tmp", nodev, nil, []string{"/tmp is not a mount of its own, should be a mount of its own"}},
		{"in the table", "/tmp", nodev, map[string]string{fstab: "tmpfs /tmp/ tmpfs rw,nodev 0 0\n"}, nil},
		{"without it", "/tmp", nodev, map[string]string{fstab: "#tmpfs /tmp tmpfs nodev\n\n tmpfs\t/tmp tmpfs defaults\n"}, []string{"/etc/fstab:3: /tmp: options is defaults, should be nodev"}},
		{"taken back", "/tmp", nodev, map[string]string{fstab: "tmpfs /tmp tmpfs nodev,dev"}, []string{"/etc/fstab:1: /tmp: options is nodev,dev, should be nodev"}},
		{"implied", "/tmp", nodev, map[string]string{fstab: "tmpfs /tmp tmpfs users"}, nil},
		{"no options", "/tmp", nodev, map[string]string{fstab: "tmpfs /tmp tmpfs"}, []string{"/etc/fstab:1: /tmp: options is defaults, should be nodev"}},
		{"unwanted", "/tmp", "{without: [noexec]}", map[string]string{fstab: "tmpfs /tmp tmpfs user"}, []string{"/etc/fstab:1: /tmp: options is user, should be no noexec"}},
		{"one of two lines", "/tmp", nodev, map[string]string{fstab: "a /tmp tmpfs nodev\nb /tmp tmpfs x\n"}, []string{"/etc/fstab:2: /tmp: options is x, should be nodev"}},
		{"escapes", "/a b", nodev, map[string]string{fstab: "x /a\\040b ext4 nodev"}, nil},
		{"not at boot", "/tmp", nodev, map[string]string{fstab: "x /tmp ext4 nodev,noauto"}, []string{"/tmp is not mounted at boot, should be a mount of its own"}},
		{"when it is used", "/tmp", nodev, map[string]string{fstab: "x /tmp ext4 nodev,noauto,x-systemd.automount"}, nil},
		{"of another type", "/tmp", "{type: tmpfs}", map[string]string{fstab: "x /tmp ext4 nodev"}, []string{"/etc/fstab:1: /tmp: type is ext4, should be tmpfs"}},
		{"broken table", "/tmp", nodev, map[string]string{fstab: "x /tmp"}, []string{"error: reading /etc/fstab: line 1 has 2 fields; a source, a mount point and a type are the least"}},
		{"a unit", "/tmp", "{type: tmpfs, options: [nodev, nosuid, size=50%]}", map[string]string{vendors: unit, wants: "-> ../tmp.mount"}, nil},
		{"a unit nobody wants", "/tmp", nodev, map[string]string{vendors: unit}, []string{"/tmp is not mounted at boot, should be a mount of its own"}},
		{"a unit that the table wants", "/tmp", nodev, map[string]string{own: unit, fstab: "x /tmp tmpfs nodev"}, nil},
		{"a masked unit", "/tmp", nodev, map[string]string{own: "-> /dev/null", vendors: unit, wants: "-> ../tmp.mount", fstab: "x /tmp tmpfs nodev"},
			[]string{"/tmp is masked by /etc/systemd/system/tmp.mount, should be a mount of its own"}},
		{"the table before a package's unit", "/tmp", nodev, map[string]string{vendors: unit, wants: "-> ../tmp.mount", fstab: "x /tmp tmpfs size=1"},
			[]string{"/etc/fstab:1: /tmp: options is size=1, should be nodev"}},
		{"a unit of one's own before the table", "/tmp", "{options: [noexec]}", map[string]string{own: unit, fstab: "x /tmp tmpfs noexec"},
			[]string{"/etc/systemd/system/tmp.mount: /tmp: options is nodev,nosuid,size=50%, should be noexec"}},
		{"a drop-in", "/tmp", "{options: [noexec]}", map[string]string{vendors: unit, wants: "-> ../tmp.mount", own + ".d/a.conf": "[Mount]\nOptions=noexec\n"}, nil},
		{"the last drop-in", "/tmp", "{options: [noexec]}", map[string]string{vendors: unit, wants: "-> ../tmp.mount", own + ".d/a.conf": "[Mount]\nOptions=noexec\n", vendors + ".d/b.conf": "[Mount]\nOptions=exec\n"},
			[]string{"/usr/lib/systemd/system/tmp.mount.d/b.conf: /tmp: options is exec, should be noexec"}},
		{"a hidden drop-in", "/tmp", nodev, map[string]string{vendors: unit, wants: "-> ../tmp.mount", own + ".d/b.conf": "[Mount]\n", vendors + ".d/b.conf": "[Mount]\nOptions=dev\n"}, nil},
		{"a drop-in of a whole tree", "/var/log", nodev, map[string]string{fstab: "x /var/log ext4 nodev", "/etc/systemd/system/var-.mount.d/a.conf": "[Mount]\nOptions=dev\n"},
			[]string{"/etc/systemd/system/var-.mount.d/a.conf: /var/log: options is dev, should be nodev"}},
		{"what systemd mounts", "/dev/shm", "{separate: true, type: tmpfs}", nil, nil},
		{"what systemd mounts, with options", "/dev/shm", "{options: [noexec]}", nil, []string{"/etc/fstab: /dev/shm: options is not there, should be noexec"}},
		{"hidepid by its other name", "/proc", "{options: [hidepid=2]}", map[string]string{fstab: "proc /proc proc hidepid=invisible"}, nil},
		{"running without", "/tmp", nodev, map[string]string{fstab: "x /tmp ext4 nodev", "/proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/a rw\n"},
			[]string{"/proc/self/mountinfo: /tmp is not mounted, should be a mount of its own"}},
		{"running otherwise", "/tmp", "{type: tmpfs, options: [nodev, ro, size=5], without: [noexec]}", map[string]string{fstab: "x /tmp tmpfs nodev,ro,size=5",
			"/proc/self/mountinfo": "2 1 8:2 / /tmp rw,nodev shared:1 - ext4 a rw\n3 2 8:3 / /tmp rw,noexec - ext4 a rw\n"}, []string{
			"/proc/self/mountinfo: /tmp: type is ext4, should be tmpfs", "/proc/self/mountinfo: /tmp: options is rw,noexec, should be nodev",
			"/proc/self/mountinfo: /tmp: options is rw,noexec, should be ro", "/proc/self/mountinfo: /tmp: options is rw,noexec, should be no noexec"}},
		{"running with", "/tmp", "{options: [nodev, ro], without: [noexec]}", map[string]string{fstab: "x /tmp tmpfs nodev,ro",
			"/proc/self/mountinfo": "3 2 8:3 / /tmp rw,nodev - ext4 a ro\n"}, nil},
		{"mounted when it is used", "/tmp", "{type: ext4, options: [nodev]}", map[string]string{fstab: "x /tmp ext4 nodev,x-systemd.automount",
			"/proc/self/mountinfo": "3 2 0:30 / /tmp rw,relatime shared:2 - autofs systemd-1 rw,fd=52\n"}, nil},
		{"running what nobody understands", "/tmp", nodev, map[string]string{fstab: "x /tmp tmpfs nodev", "/proc/self/mountinfo": "nonsense\n"}, []string{"error: reading /proc/self/mountinfo: line 1 is not a mount"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, said(t, decode(t, c.point, c.state), memory(t, c.files))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatIsApplied(t *testing.T) {
	for _, c := range []struct {
		name, point, state string
		files              map[string]string
		changed            string
		want               string
	}{
		{"columns stay", "/home", "{options: [nodev, nosuid], without: [user]}", map[string]string{fstab: "# a\nUUID=1\t/home  ext4  user,rw               0  2\nLABEL=x none swap sw 0 0\n"},
			fstab, "# a\nUUID=1\t/home  ext4  rw,nodev,nosuid       0  2\nLABEL=x none swap sw 0 0\n"},
		{"nothing left", "/home", "{without: [noexec]}", map[string]string{fstab: "x /home ext4 noexec 0 2\n"}, fstab, "x /home ext4 defaults 0 2\n"},
		{"both lines", "/home", "{options: [nodev]}", map[string]string{fstab: "x /home ext4 dev\ny /home ext4"}, fstab, "x /home ext4 nodev\ny /home ext4 nodev"},
		{"mounted at boot", "/home", "{without: [noauto]}", map[string]string{fstab: "x /home ext4 noauto,nodev 0 2"}, fstab, "x /home ext4 nodev 0 2"},
		{"other value", "/proc", "{options: [hidepid=2]}", map[string]string{fstab: "proc /proc proc hidepid=0,gid=4 0 0"}, fstab, "proc /proc proc gid=4,hidepid=2 0 0"},
		{"added", "/proc", "{options: [hidepid=2]}", map[string]string{fstab: "x / ext4 rw 0 1"}, fstab, "x / ext4 rw 0 1\nproc /proc proc hidepid=2 0 0\n"},
		{"added to nothing", "/var/tmp dir", "{type: tmpfs}", nil, fstab, "tmpfs /var/tmp\\040dir tmpfs defaults 0 0\n"},
		{"wanted by the table", "/tmp", "{type: tmpfs, options: [nodev]}", map[string]string{vendors: unit}, fstab, "tmpfs /tmp tmpfs nodev 0 0\n"},
		{"drop-in", "/tmp", "{options: [noexec], without: [nosuid]}", map[string]string{own: unit, wants: "-> ../tmp.mount"},
			own + ".d/zz-imgbuild.conf", "[Mount]\nOptions=nodev,size=50%%,noexec\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			s := memory(t, c.files)
			m := decode(t, c.point, c.state)
			if changed, err := m.Apply(ctx, s); !changed || err != nil {
				t.Fatalf("%v, %v", changed, err)
			}
			got, err := system.ReadFile(s, c.changed, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if list := said(t, m, s); list != nil {
				t.Errorf("after it was applied: %v", list)
			}
			if again, err := m.Apply(ctx, s); again || err != nil {
				t.Errorf("a second time: %v, %v", again, err)
			}
		})
	}
}

func TestWhatCannotBeApplied(t *testing.T) {
	for _, c := range []struct {
		name, point, state string
		files              map[string]string
		want, hint         string
	}{
		{"a partition", "/home", "{separate: true}", nil, "/home is not a mount of its own", "add a partition for /home to the recipe's outputs"},
		{"a mask", "/tmp", "{type: tmpfs}", map[string]string{own: "-> /dev/null"}, "/tmp is not mounted: tmp.mount is masked", "/etc/systemd/system/tmp.mount: {absent: true}"},
		{"a unit that is off", "/tmp", "{separate: true}", map[string]string{vendors: unit}, "/tmp is not mounted: nothing wants tmp.mount", "tmp.mount: enabled"},
		{"noauto", "/tmp", "{type: tmpfs}", map[string]string{fstab: "x /tmp tmpfs noauto"}, "/tmp has a line in /etc/fstab that is not mounted at boot", "without: [noauto]"},
		{"a later drop-in", "/tmp", "{options: [noexec]}", map[string]string{own: unit, wants: "-> ../tmp.mount", own + ".d/zzz.conf": "[Mount]\nOptions=exec"}, "zzz.conf would win", "remove that drop-in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed, err := decode(t, c.point, c.state).Apply(context.Background(), memory(t, c.files))
			if changed || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v, %v; %s", changed, err, fault.HintOf(err))
			}
		})
	}
}

// FuzzTable has anything as the table and as a unit: what can be read is put
// right once, or refused and left.
func FuzzTable(f *testing.F) {
	f.Add("tmpfs /tmp tmpfs dev 0 0\n", unit, "[Mount]\nOptions=exec")
	f.Fuzz(func(t *testing.T, table, text, dropIn string) {
		ctx := context.Background()
		for _, m := range []*mount.Mount{
			{Point: "/tmp", Type: "tmpfs", Options: []string{"nodev", "nosuid", "mode=1777"}, Without: []string{"noexec", "noauto", "size=1"}},
			{Point: "/proc", Options: []string{"hidepid=2"}},
		} {
			s := memory(t, map[string]string{fstab: table, own: text, vendors + ".d/a.conf": dropIn, wants: "-> ../tmp.mount"})
			_, checked := m.Check(ctx, s)
			if _, err := m.Apply(ctx, s); err != nil {
				continue
			}
			if after, err := m.Check(ctx, s); err != nil || checked != nil || len(after) > 0 {
				t.Fatalf("after it was applied: %v, %v, %v", after, err, checked)
			}
			if again, err := m.Apply(ctx, s); again || err != nil {
				t.Fatalf("a second time: %v, %v", again, err)
			}
		}
	})
}
