package service_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// units are of the forms that packages ship.
var units = map[string]string{
	"plain.service":      "[Unit]\nDescription=plain\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target graphical.target\n",
	"required.service":   "[Service]\nExecStart=/bin/true\n[Install]\nRequiredBy=a.target\nWantedBy=b.target\nWantedBy=\nWantedBy=c.target\n",
	"aliased.service":    "[Service]\nExecStart=/bin/true\n[Install]\nAlias=other.service\nAlias=dbus-org.example.service\nWantedBy=multi-user.target\n",
	"with.service":       "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nAlso=with.socket missing.timer\n",
	"with.socket":        "[Socket]\nListenStream=1\n[Install]\nWantedBy=sockets.target\n",
	"port@.service":      "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=dev-%i.device %p.target\nDefaultInstance=tty1\n",
	"static.service":     "[Service]\nExecStart=/bin/true\n",
	"long.timer":         "[Timer]\nOnBootSec=1\n[Install]\nWantedBy=\\\n  timers.target\n; a comment\n",
	"nodefault@.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
}

// TestStatesAreThoseOfSystemctl compares every change with what systemctl
// makes of the same root.
func TestStatesAreThoseOfSystemctl(t *testing.T) {
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		t.Skip("systemctl is not installed")
	}
	for _, steps := range [][]string{
		{"enable plain"}, {"enable required"}, {"enable aliased"}, {"enable with"}, {"enable long.timer"}, {"enable static"},
		{"enable port@ttyS0"}, {"enable port@"}, {"enable nodefault@x"}, {"mask plain"}, {"mask absent"},
		{"enable plain", "disable plain"}, {"enable aliased", "disable aliased"}, {"enable required", "disable required"},
		{"enable port@a", "enable port@b", "disable port@a"}, {"enable nodefault@x", "enable nodefault@y", "disable nodefault@"},
		{"mask plain", "enable plain"}, {"enable plain", "mask plain"}, {"disable static"},
	} {
		t.Run(strings.Join(steps, ", "), func(t *testing.T) {
			want, got := root(t), root(t)
			for _, step := range steps {
				verb, unit, _ := strings.Cut(step, " ")
				verbs := []string{verb}
				if verb == "enable" {
					// systemctl leaves a mask and refuses; the resource says what is.
					verbs = []string{"unmask", "enable"}
				}
				for _, v := range verbs {
					if out, err := exec.Command(systemctl, "--root="+want, v, unit).CombinedOutput(); err != nil {
						t.Fatalf("systemctl %s %s: %v\n%s", v, unit, err, out)
					}
				}
				apply(t, got, unit, verb+"d")
			}
			if diff := cmp.Diff(links(t, want), links(t, got)); diff != "" {
				t.Errorf("-systemctl +resource:\n%s", diff)
			}
		})
	}
}

func apply(t *testing.T, dir, unit, state string) {
	t.Helper()
	state = strings.Replace(state, "maskd", "masked", 1)
	s, err := service.New(node.Entry{Key: unit, Value: &node.Node{Kind: node.String, Text: state}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := s.Apply(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Apply(context.Background(), r); again || err != nil {
		t.Fatalf("a second time: %v, %v", again, err)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, "usr/lib/systemd/system")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range units {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/lib", filepath.Join(dir, "lib")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// links lists the links below /etc/systemd with their targets, /lib and
// /usr/lib being one place.
func links(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(filepath.Join(dir, "etc/systemd"), func(name string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink == 0 {
			return err
		}
		target, err := os.Readlink(name)
		if strings.HasPrefix(target, "/lib/") {
			target = "/usr" + target
		}
		list = append(list, strings.TrimPrefix(name, dir)+" -> "+target)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	sort.Strings(list)
	return list
}
