package aide_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/aide"
	"imgbuild/images/baseline"
	"imgbuild/images/integrity"
)

// paths are of every class, with neighbours that a careless expression would
// take for them.
var paths = []string{
	"bin", "usr/sbin/nginx", "usr/sbin/auditd", "etc/ssh/sshd_config", "etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key/x",
	"etc/hostname", "etc/hostname.bak", "etc/hostnames", "etc/passwd", "etc/passwd-", "etc/passwd-x", "etc/.pwd.lock", "etc/xpwdxlock",
	"dev", "dev/sda", "proc", "proc/1", "process", "lost+found", "losttfound", "lost+found/x", "var/lost+found", "var/log/audit/lost+found", "a/b/c/lost+found",
	"home", "home/x", "homes", "root/.bashrc", "root/xbashrc", "root/.bash_history", "root/.ssh", "root/.ssh/authorized_keys", "root/.ssh/id",
	"var/lib/dpkg/status", "var/lib/dpkg/status-old", "var/lib/dpkg/info/a-old", "var/lib/dpkg/lock", "var/lib/dpkg/triggers/Lock",
	"var/lib/dpkgs/status", "var/lib/x", "var/lib/aide/aide.db.new", "var/lib/systemd/random-seed", "var/lib/systemd/timers/x",
	"var/lib/systemd/deb-systemd-helper-enabled/a.wants/b", "var/lib/postgresql/15/main", "var/lib/postgresql/15/main/x", "var/lib/postgresql/15/x",
	"var/log", "var/log/syslog", "var/logs", "var/www/html/index.html", "etc/postgresql/15/main", "etc/postgresql/15/main/pg_hba.conf", "etc/postgresql/15/x",
	"boot/grub/grubenv", "boot/grub/user.cfg", "boot/grub/grub.cfg", "etc/network/interfaces.d", "etc/network/interfaces.d/50-cloud-init",
	"opt/own/a", "opt/own/keep/a", "opt/own/keep/drop/a", "opt/set/x1", "opt/set/x2", "opt/set/x-", "opt/set/xx", "opt/odd %a@b\xc3", "opt/odd %a@bb",
	"opt/odd+%.d", "opt/odd+%.d/x", "opt/odd+%.d/y/z", "opt/oddx%.d/x", "opt/dot.d/x", "opt/dotxd/x",
}

// ruleSets are the rules that images have, and others whose later rules cut
// deep into earlier ones.
func ruleSets(t *testing.T) []integrity.Rules {
	t.Helper()
	own, err := integrity.DefaultRules().With(
		integrity.Rule{Pattern: "opt/own/**", Class: integrity.Variable},
		integrity.Rule{Pattern: "opt/own/keep/**", Class: integrity.Immutable},
		integrity.Rule{Pattern: "opt/own/keep/drop/**", Class: integrity.Variable},
		integrity.Rule{Pattern: `opt/set/x[^2-9\-]`, Class: integrity.Variable},
		integrity.Rule{Pattern: "opt/set/x?", Class: integrity.Seeded},
		integrity.Rule{Pattern: `opt/set/x[2\-]`, Class: integrity.Immutable},
		integrity.Rule{Pattern: "opt/odd %a@b\xc3", Class: integrity.Variable},
		integrity.Rule{Pattern: "opt/odd+%.d/**", Class: integrity.Variable},
		integrity.Rule{Pattern: "opt/dot.d/**", Class: integrity.Variable},
		integrity.Rule{Pattern: "etc/**", Class: integrity.Seeded},
		integrity.Rule{Pattern: "etc/ssh/**", Class: integrity.Immutable},
	)
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := baseline.Mutables{
		"/opt/own": {}, "/opt/set/x?": {Class: integrity.Seeded}, "/opt/odd +%.d/**": {}, "/opt/dot.d/x": {}, "/opt/dot.d/*": {Class: integrity.Seeded},
		"/var/lib/dpkg/info": {Class: integrity.Seeded}, "/etc/hostname": {},
	}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return []integrity.Rules{nil, integrity.DefaultRules(), own, recipe}
}

func TestAIDEClassifiesAsTheRulesDo(t *testing.T) {
	program := find(t)
	for _, rules := range ruleSets(t) {
		file := filepath.Join(t.TempDir(), "aide.conf")
		if err := os.WriteFile(file, aide.Config(rules, aide.DatabaseWord), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, "--config-check", "--config="+file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("aide --config-check: %v\n%s", err, out)
		}
		for _, path := range paths {
			out, _ := exec.Command(program, "--config="+file, "--path-check=f:/"+path).CombinedOutput() // its status is the answer
			got := integrity.Immutable
			switch line, _, _ := strings.Cut(string(out), "\n"); {
			case strings.HasPrefix(line, "[ ]"):
				got = integrity.Variable
			case !strings.HasPrefix(strings.ToUpper(line), "[X]"): // AIDE 0.18 writes X, 0.19 x
				t.Fatalf("%s: aide says %q", path, out)
			case strings.Contains(line, "ANF"):
				got = integrity.Seeded
			}
			if want := rules.Classify(path, ""); got != want {
				t.Errorf("%s is %s to AIDE, and %s by the rules: %s", path, got, want, out)
			}
		}
	}
}

func TestTheDatabaseIsTheSameWhereverItIsMade(t *testing.T) {
	program := find(t)
	names := []string{"usr/bin/a", "usr/bin/b", "etc/conf", "var/lib/dpkg/status", "var/log/syslog", "home/u/f"}
	first := tree(t, names)
	slices.Reverse(names)
	second := tree(t, append([]string{"var/log/other", "home/u/g"}, names...))
	a, b := initialise(t, program, first), initialise(t, program, second)
	if !bytes.Equal(a, b) {
		t.Errorf("the databases differ:\n%s\n%s", a, b)
	}
	for _, want := range []string{"\n/usr/bin/a ", "\n/var/lib/dpkg/status "} {
		if !bytes.Contains(a, []byte(want)) {
			t.Errorf("%q is not in the database:\n%s", want, a)
		}
	}
	if bytes.Contains(a, []byte("syslog")) {
		t.Error("a log is in the database")
	}
}

func TestAHealthyServerShowsNoChange(t *testing.T) {
	program := find(t)
	names := []string{"usr/bin/a", "usr/sbin/auditctl", "etc/conf", "etc/hostname", "var/lib/dpkg/status", "var/log/syslog"}
	root := tree(t, names)
	database := initialise(t, program, root)
	// Another place: other inodes, other blocks, other times of change.
	server := tree(t, append([]string{"var/log/other"}, names...))
	check := func() string { return checked(t, program, server, database) }
	for path, content := range map[string]string{"etc/hostname": "web1", "etc/machine-id": "1", "var/log/syslog": "a line", "var/lib/dpkg/lock": ""} {
		put(t, server, path, content)
	}
	if out := check(); out != "" {
		t.Fatalf("a healthy server shows changes:\n%s", out)
	}
	for path, content := range map[string]string{"usr/bin/a": "content of usr/bin/b", "usr/sbin/auditctl": "another", "usr/bin/new": ""} {
		put(t, server, path, content)
		if out := check(); !strings.Contains(out, "/"+path) {
			t.Errorf("%s is not told of:\n%s", path, out)
		}
	}
	if err := os.Chmod(filepath.Join(server, "etc/hostname"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out := check(); !strings.Contains(out, "/etc/hostname") {
		t.Errorf("the mode of a seeded file is not told of:\n%s", out)
	}
}

func TestOnlyAWholeDatabaseIsTaken(t *testing.T) {
	const whole = "@@begin_db\n@@db_spec name inode attr bcount \n/ 17 5 8\n/bin/a\\040b 123 5 16\n@@end_db\n"
	got, err := aide.Normalize([]byte(whole))
	if want := "@@begin_db\n@@db_spec name inode attr bcount \n/ 0 5 0\n/bin/a\\040b 0 5 0\n@@end_db\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{
		"", "@@end_db\n", strings.Replace(whole, "@@end_db\n", "", 1), strings.Replace(whole, "inode attr bcount", "x attr y", 1),
		strings.Replace(whole, " 17 5 8", "", 1), strings.Replace(whole, " 5 8", "", 1), strings.Replace(whole, " 17", " x", 1), strings.Replace(whole, "@@db_spec", "@@db", 1),
	} {
		if got, err := aide.Normalize([]byte(bad)); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func find(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("aide")
	if err != nil {
		t.Skip("aide is not installed")
	}
	return program
}

func put(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	stamp := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(path, stamp, stamp); err != nil {
		t.Fatal(err)
	}
}

func tree(t *testing.T, names []string) string {
	root := t.TempDir()
	for _, name := range names {
		put(t, root, name, "content of "+name)
	}
	return root
}

// initialise makes the database of a tree as a bake does.
func initialise(t *testing.T, program, root string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "aide.db")
	cmd := exec.Command(program, "--init", "--config=-", "--before=root_prefix="+root, "--before=database_out=file:"+file)
	cmd.Stdin = bytes.NewReader(aide.Config(integrity.DefaultRules(), aide.DatabaseWord))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("aide --init: %v\n%s", err, out)
	}
	database, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if database, err = aide.Normalize(database); err != nil {
		t.Fatal(err)
	}
	return database
}

// checked is what aide --check says of a tree: nothing when nothing changed.
func checked(t *testing.T, program, root string, database []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "aide.db")
	if err := os.WriteFile(file, database, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--check", "--config=-", "--before=root_prefix="+root, "--before=database_in=file:"+file)
	cmd.Stdin = bytes.NewReader(aide.Config(integrity.DefaultRules(), aide.DatabaseWord))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return string(out)
}
