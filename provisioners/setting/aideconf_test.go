package setting_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
)

const aideHead = "database_in=file:/x\ndatabase_out=file:/y\nOwn = p+u\n"

// TestAideConfIsReadAsAideReadsIt has aide check its configuration: what it
// refuses is an error here.
func TestAideConfIsReadAsAideReadsIt(t *testing.T) {
	peertest.Need(t, "aide")
	file := filepath.Join(t.TempDir(), "aide.conf")
	refused := 0
	for _, c := range []struct {
		text string
		// unclear says that it cannot be told here, though aide reads it.
		unclear bool
	}{
		{"/usr/sbin/x p+sha512\n", false}, {"/ f Own\n=/var$ d Own+n-u\n!/var/.*\n!/(?!a|b)x/.*$ f\n", false}, {"gzip_dbout=no\nreport_level=list_entries\nreport_ignore_changed_attrs=i+b\n", false},
		{"@@define A b\n@@ifdef A\n/x p\n@@else\n/y p\n@@endif\n", false}, {"# x\n\n  /x\tp\n", false}, {"More = Own+sha256\n/x More\n", false},
		{"/usr/sbin/x\n", false}, {"/usr/sbin/x p+sha513\n", false}, {"/usr/sbin/x Other\n", false}, {"usr p\n", false}, {"garbage\n", false}, {"@@ifdef A\n/x p\n", false}, {"@@endif\n", false}, {"@@else\n", false},
		{"@@never x\n", false}, {"/x(y p\n", false}, {"/x q p\n", false}, {"gzip_dbout=maybe\n", false}, {"report_level=much\n", false}, {"never_heard=1\n", false}, {"!/x f p\n", false}, {"!x\n", false}, {"Own =\n", false},
		{"!/usr/sbin\n", true}, {"!/usr\n", true}, {"!/(?!b)usr/.*\n", true}, {"@@ifdef A\n/usr/sbin/tool p\n@@endif\n", true}, {"@@include /nowhere\n", false},
	} {
		text := aideHead + c.text
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, peer := exec.Command("aide", "--config-check", "--config="+file).CombinedOutput()
		if peer != nil {
			refused++
		}
		err := reads(t, "/etc/aide/aide.conf", "words", "/usr/sbin/tool", text)
		if (peer != nil || c.unclear) != (err != nil) {
			t.Errorf("%q: aide says %q, %v; here: %v", c.text, out, peer, err)
		}
	}
	if refused < 10 {
		t.Errorf("aide refused %d files alone", refused)
	}
}

func TestTheFirstRuleOfAideCounts(t *testing.T) {
	r := newSetting(t, "path: /etc/aide/aide.conf, format: words, key: /usr/sbin/x, value: p+u")
	s := memory(t, map[string]string{
		"/etc/aide/aide.conf": aideHead + "@@x_include /etc/aide/aide.conf.d ^[a-z]+$\n/usr/sbin/x$ n\n/usr/sbin/x p+u\n", "/etc/aide/aide.conf.d/a": "/etc p\n", "/etc/aide/aide.conf.d/b.bak": "garbage\n",
	})
	if got := have(t, s, r); got != "n" {
		t.Errorf("it is %q", got)
	}
	applied(t, s, r)
	s = memory(t, map[string]string{"/etc/aide/aide.conf": aideHead + "@@include /etc/aide/aide.conf.d ^[a-z]+$\n/usr/sbin/x p+u\n", "/etc/aide/aide.conf.d/a": "!/usr/sbin/x\n"})
	if _, err := r.Check(t.Context(), s); err == nil || !strings.Contains(err.Error(), "may leave the path out") {
		t.Errorf("a rule of an included file: %v", err)
	}
}
