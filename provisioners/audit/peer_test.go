package audit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/audit"
	"imgbuild/provisioners/system"
)

func unpack(t *testing.T) peertest.Tree {
	t.Helper()
	return peertest.Unpack(t, "auditd", "libaudit1", "libaudit-common", "libauparse0")
}

// TestCompileIsAugenrules runs the real script, with its paths replaced, over
// directories whose files are hard to order and to join.
func TestCompileIsAugenrules(t *testing.T) {
	tree := unpack(t)
	script, err := os.ReadFile(tree.Path("sbin/augenrules"))
	if err != nil {
		t.Fatal(err)
	}
	stock, err := os.ReadFile(tree.Path("etc/audit/rules.d/audit.rules"))
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string]string{
		"stock":   {"audit.rules": string(stock)},
		"order":   {"10-b.rules": "-w /b\n", "9-a.rules": "-w /a\n", "100.rules": "-w /c\n", "x.rules": "-w /x\n", "x~.rules": "-w /xt\n", "X.rules": "-w /X\n", "x-1.rules": "-w /x1\n", "x.1.rules": "-w /xd\n", "a.b.rules": "-w /ab\n", "a.rules": "-w /aa\n", "010-b.rules": "-w /b0\n", "not": "-w /n\n", ".hidden.rules": "-w /h\n", "a.rules.rules": "-w /aaa\n"},
		"options": {"1.rules": "-e 1\n-b 1\n-f 0\n-D\n", "2.rules": "\n\n# comment\n  # indented\n-e 2\n-f 2\n--backlog_wait_time 3\n-b 4\n-r 5\n -e 0\n", "3.rules": "-w /x\n"},
		"joined":  {"1.rules": "-w /a", "2.rules": "-w /b", "3.rules": "\n-e 2"},
		"empty":   {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			rules := filepath.Join(dir, "etc/audit/rules.d")
			if err := os.MkdirAll(rules, 0o750); err != nil {
				t.Fatal(err)
			}
			for file, text := range files {
				if err := os.WriteFile(filepath.Join(rules, file), []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			local := strings.NewReplacer("=/etc/audit", "="+dir+"/etc/audit", "/tmp/aurules", dir+"/aurules").Replace(string(script))
			cmd := exec.Command("sh", "-c", local)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			made, err := os.ReadFile(filepath.Join(dir, "etc/audit/audit.rules"))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(string(made), dir, "")
			root, err := system.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			sources, err := audit.Sources(root)
			if err != nil {
				t.Fatal(err)
			}
			// Which of the two it is depends on the machine's awk.
			mawk, others := audit.Compile(sources, false), audit.Compile(sources, true)
			if want != mawk && want != others {
				t.Errorf("-augenrules +own:\n%s", cmp.Diff(want, mawk))
			}
		})
	}
}

// TestLinesAreThoseOfAuditctl has the real program take away rules that are
// not there: it says of each whether it understood it, and adds nothing.
func TestLinesAreThoseOfAuditctl(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("auditctl reads no rule for anybody but root")
	}
	tree := unpack(t)
	const key = "imgbuild-test-that-is-never-loaded"
	judge := func(line string) string {
		words := strings.Fields(line)
		for i, w := range words {
			switch w {
			case "-a", "-A":
				words[i] = "-d"
			case "-w":
				words[i] = "-W"
			}
		}
		// Only this list's rules have keys.
		if strings.Contains(line, "exit") || strings.HasPrefix(line, "-w") {
			words = append(words, "-k", key)
		}
		out, _ := tree.Command("sbin/auditctl", words...).CombinedOutput()
		return string(out)
	}
	unknown := judge("-a always,exit -F arch=b64 -S open")
	if !strings.Contains(unknown, "No such file") {
		t.Skipf("auditctl reaches no audit system here: %s", unknown)
	}
	for _, line := range []string{
		"-w /etc/passwd -p wa", "-w /etc/passwd/ -p aw", "-w /etc/passwd", "-a always,exit -F arch=b64 -S chmod,fchmod -F auid>=1000 -F auid!=-1",
		"-a exit,always -F arch=b64 -F auid!=unset -S fchmod -S chmod", "-a always,exit -F arch=b64 -S execve -C uid!=euid -F auid!=4294967295",
		"-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=unset", "-a always,exit -S all -F dir=/etc/ssh -F perm=wa",
		"-a always,exit -F arch=b32 -S open -F exit=-EACCES", "-a never,exit -F arch=b64 -S adjtimex -F uid=root -F success=0",
		"-a never,user -F uid=4000000001", "-a always,exclude -F msgtype=CWD -F pid=4000000001", "-a never,task -F pid=4000000001", "-a always,exit -F arch=b64 -S open -F a1&=3 -F exit!=0",
		"-a always,exit -F exe=/bin/true -F arch=b64 -S execve", "-a always,exit -F arch=b64 -S mount -F ppid!=1 -F filetype=file",
	} {
		r, err := audit.Parse(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		for _, text := range []string{line, r.String()} {
			if out := judge(text); out != unknown {
				t.Errorf("auditctl refuses %q: %s", text, out)
			}
		}
	}
	for _, line := range wrong {
		if strings.HasPrefix(line, "-b") || strings.HasPrefix(line, "-f") || strings.HasPrefix(line, "-k") {
			continue // these would set something
		}
		if out := judge(line); out == unknown {
			t.Errorf("auditctl understands %q", line)
		}
	}
}
