package account_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// day is the day of the last password change, which the resource leaves empty.
var day = regexp.MustCompile(`(?m)^([^:]+:!?):[0-9]{5}:`)

// TestAccountsAreThoseOfShadowUtils compares what the resources write with what
// useradd, groupadd, usermod and userdel write.
func TestAccountsAreThoseOfShadowUtils(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("useradd needs root")
	}
	for _, tool := range []string{"useradd", "groupadd", "usermod", "userdel"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	for _, c := range []struct {
		name, recipe string
		commands     []string
	}{
		{"group", "groups: {app: {gid: 1234}}", []string{"groupadd -g 1234 app"}},
		{"system group", "groups: {app: {system: true}}", []string{"groupadd -r app"}},
		{"regular group", "groups: {app: {}}", []string{"groupadd app"}},
		{"regular user", "users: {deploy: {comment: Deployer}}", []string{"useradd -m -c Deployer -s /bin/bash deploy"}},
		{"system user", "users: {svc: {system: true}}", []string{"useradd -r -s /usr/sbin/nologin -d /nonexistent svc"}},
		{"further system user", "users: {a: {system: true, uid: 998}, b: {system: true}}", []string{
			"useradd -r -u 998 -s /usr/sbin/nologin -d /nonexistent a", "groupmod -g 998 a", "useradd -r -s /usr/sbin/nologin -d /nonexistent b",
		}},
		{"full range", "users: {a: {system: true, uid: 101}, b: {system: true}}", []string{
			"useradd -r -u 101 -s /usr/sbin/nologin -d /nonexistent a", "groupmod -g 101 a", "useradd -r -s /usr/sbin/nologin -d /nonexistent b",
		}},
		{"numbers", "groups: {g: {gid: 700}}\nusers: {svc: {system: true, uid: 701, group: g, groups: [adm, daemon], home: /srv, shell: /bin/sh}}", []string{
			"groupadd -g 700 g", "useradd -r -u 701 -g g -G adm,daemon -d /srv -s /bin/sh svc",
		}},
		{"changed", "users: {old: {shell: /bin/false, groups: [adm], comment: Old, home: /home/old}}", []string{"usermod -s /bin/false -a -G adm -c Old old", "MKHOME"}},
		{"removed", "users: {old: {absent: true}}\ngroups: {empty: {absent: true}}", []string{"userdel old", "groupdel empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, got := root(t), root(t)
			for _, command := range c.commands {
				if command == "MKHOME" {
					continue
				}
				words := strings.Fields(command)
				cmd := exec.Command(words[0], append([]string{"--prefix", want}, words[1:]...)...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
			}
			n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(c.recipe))
			if err != nil {
				t.Fatal(err)
			}
			resources, err := provisioners.Decode(n, nil)
			if err != nil {
				t.Fatal(err)
			}
			sys, err := system.OpenRoot(got)
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Close()
			if _, err := provisioners.Apply(context.Background(), sys, resources); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"passwd", "group", "shadow", "gshadow"} {
				if diff := cmp.Diff(read(t, want, name), read(t, got, name)); diff != "" {
					t.Errorf("%s (-shadow-utils +resource):\n%s", name, diff)
				}
			}
		})
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "etc", name))
	if err != nil {
		t.Fatal(err)
	}
	if name == "shadow" {
		return day.ReplaceAllString(string(data), "$1::")
	}
	return string(data)
}

func root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd":  "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nold:x:1500:1500::/home/old:/bin/sh\n",
		"group":   "root:x:0:\ndaemon:x:1:\nadm:x:4:\nold:x:1500:\nempty:x:50:\n",
		"shadow":  "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n",
		"gshadow": "root:*::\ndaemon:*::\nadm:*::\nold:!::\nempty:!::\n",
		// What Debian ships, the rest is the tools' own default.
		"login.defs": "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUSERGROUPS_ENAB yes\nPASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\nENCRYPT_METHOD YESCRYPT\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
