package account_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
)

// TestAShellsMaskIsFound has shells read profiles: where one of them ends with a
// mask that is too lax, and nowhere else, the rule finds one.
func TestAShellsMaskIsFound(t *testing.T) {
	peertest.Need(t, "dash", "bash")
	for _, profile := range []string{
		"umask 000", "umask 000 027", "umask -S 000", "umask -- 000", "A=b umask 000", "eval umask 000", "command umask 000",
		"# c \\\numask 000", "echo \\\\\numask 000", "um\\\nask 000", "umask \\\n  000", "echo \"a\\\"\"\numask 000\necho \"b\"", "echo 'a\\'\numask 000\necho 'b'",
		"cat <<E\ndon't\nE\numask 000", "cat <<-'E F'\n\"\n\tE F\numask 000", "echo $((1<<2))\numask 000", "cat <<E; umask 000\n'\nE\n", "cat <<A <<B\n'\nA\n\"\nB\numask 000",
		"umask >/dev/null 000", ">/dev/null umask 000", "umask 000 2>&1", "umask 000 &>/dev/null", "umask 000 | cat\numask 000", "{ umask 000; }", "if true; then umask 000; fi",
		"case a in a) umask 000;; esac", "true && umask 000", "x=$(echo \"it's # not\")\numask 000", "x=${#x}; umask 000", "echo a#b; umask 000", "echo a;# b\numask 000", "umask '000'",
		"f() { umask 000; }\nf", "umask 0", "umask 7", "umask 26", "umask 1777 000", "umask 027\numask g-w,o+r", "umask 027; umask a=rx",
		// What a shell does not take it does not do, and so it finds nothing.
		"umask 027 '", "umask 027", "umask u=rwx,g=rx,o=", "echo 'umask 000'", "echo \"\numask 000\n\"",
	} {
		lax := false
		for _, shell := range []string{"dash", "bash"} {
			name := filepath.Join(t.TempDir(), "profile")
			if err := os.WriteFile(name, []byte("umask 027\n"+profile+"\numask"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, _ := exec.Command(shell, name).Output() // of what it does not take there is no mask
			lines := strings.Fields(string(out))
			if len(lines) == 0 {
				continue
			}
			switch lines[len(lines)-1] {
			case "0027", "0777", "0077":
			default:
				lax = true
			}
		}
		files := healthy()
		files["/etc/profile"] = "umask 027\n"
		files["/etc/profile.d/x.sh"] = profile
		found, err := resource(t, "accounts: {default-umask: {}}").Check(t.Context(), build(t, files))
		if lax != (len(found) > 0) && err == nil {
			t.Errorf("%q: a shell ends with a lax mask: %v; found %v", profile, lax, found)
		}
	}
}
