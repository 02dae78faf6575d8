package pam_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStacksOpenAsLinuxPAMSays makes up stacks of modules that always do the
// same, and asks libpam whether they let somebody in.
func TestStacksOpenAsLinuxPAMSays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, program := range []string{"pamtester", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed")
		}
	}
	const services = 300
	random := rand.New(rand.NewPCG(6, 12))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	// stack is some lines; what it includes, it is not deeper than itself.
	stack := func(includes ...string) string {
		var b strings.Builder
		for range 1 + random.IntN(5) {
			control := pick("required", "requisite", "sufficient", "optional", "[success=1 default=ignore]", "[success=ok default=1]",
				"[success=done default=ignore]", "[success=ok default=die]", "[success=2 default=bad]", "[success=reset default=reset]", "[success=ignore default=ok]")
			// pam_debug stands for what may refuse, and does.
			module := pick("pam_permit.so", "pam_permit.so", "pam_deny.so", "pam_debug.so auth=perm_denied")
			if len(includes) > 0 && random.IntN(4) == 0 {
				control, module = pick("include", "substack"), pick(includes...)
			}
			fmt.Fprintf(&b, "auth %s %s\n", control, module)
		}
		return b.String()
	}
	dir := t.TempDir()
	files := map[string]string{"a": stack(), "b": stack()}
	for i := range services {
		files[fmt.Sprintf("svc%d", i)] = stack("a", "b")
		if i%50 == 0 {
			files[fmt.Sprintf("svc%d", i)] = "auth required pam_permit.so\nauth include gone\n"
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf(`mount --bind "$0" /etc/pam.d && for i in $(seq 0 %d); do if pamtester svc$i root authenticate >/dev/null 2>&1; then echo svc$i; fi; done`, services-1)
	out, err := exec.Command("unshare", "--mount", "sh", "-ec", script, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for _, name := range strings.Fields(string(out)) {
		open[name] = true
	}
	if len(open) < services/10 || len(open) > services*9/10 {
		t.Fatalf("%d of %d are open: they say too little", len(open), services)
	}
	all := map[string]string{"/etc/pam.d/common-auth": "auth required pam_unix.so\n"}
	for name, text := range files {
		all["/etc/pam.d/"+name] = text
	}
	l := line(t, "x", "{stack: common-auth, everywhere: true, type: auth, control: required, module: pam_unix.so}")
	found, err := l.Check(context.Background(), memory(t, all))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, d := range found {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.Subject, "/etc/pam.d/"), ":")
		said[name] = true
	}
	for i := range services {
		if name := fmt.Sprintf("svc%d", i); said[name] != open[name] {
			t.Errorf("open: %v, said to be: %v\n%sa:\n%sb:\n%s", open[name], said[name], files[name], files["a"], files["b"])
		}
	}
}
