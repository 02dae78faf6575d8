package sudo_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// forms are lines at the borders of what sudoers(5) allows.
var forms = []string{
	"a ALL=ALL:b=ALL", "a ALL = ALL : b = ALL", "Defaults:a,b use_pty", "Defaults: a use_pty", "Defaults :a use_pty", "Defaults:a , b use_pty", "Defaults use_pty logfile=/x",
	"Defaults use_pty,", "Defaults ,use_pty", "Defaults", "a ALL=", "a ALL", "a", "a b c = d", "a ALL = /bin/x, ", "a ALL=(root ALL", "a ALL=() ALL", "a ALL=(a:b) NOPASSWD: ALL",
	"a ALL=NOPASSWD ALL", "a ALL=NOPASSWD:NOEXEC:ALL", "a ALL = nopasswd: ALL", "User_Alias A=b:B=c", "User_Alias a=b", "User_Alias A", "User_Alias A=", "Cmd_Alias A=/x",
	"@include", "#include", "#includedir /tmp/none", "@includedir /tmp/none # c", "#1000 ALL=ALL", "a ALL=ALL #x", "a ALL=/bin/x #x", "a ALL=/bin/x a#b", "a ALL=/bin/x a\\#b",
	"%a,%#5,+n,!b ALL=ALL", "a ALL=!ALL", "a ALL=! /bin/x", "a ALL=(b) (c) ALL", "a ALL=ROLE=x ALL", "a ALL=CWD=\"/a b\" ALL", "a ALL=CWD=/a NOPASSWD: CHROOT=/b ALL", "a ALL=FOO=x ALL",
	"a ALL=NOPASSWD: CWD=/a ALL", "Defaults logfile=", "Defaults logfile = \"/a b\"", "Defaults logfile=/a\\ b", "Defaults !logfile=/a", "Defaults env_keep+=\"A\",env_keep-=B", "Defaults env_keep =\"A\"",
	"Defaults ! use_pty", "Defaults !!use_pty", "Defaults@h,i use_pty", "Defaults!/bin/ls use_pty", "Defaults!/bin/ls,/bin/x use_pty", "Defaults>a use_pty", "DefaultsX use_pty", "Defaults\tuse_pty",
	"Defaults secure_path=/a:/b", "Defaults passprompt=\"a\\\"b\"", "Defaults badpass_message=\"it's, ok\"", "Defaults badpass_message=it's", "a ALL=sudoedit /x", "a ALL=/x ^a,b$", "a ALL=^/x$ y",
	"a ALL=list", "a ALL = /bin/", "a ALL = relative", "a 10.0.0.1/8=ALL", "a fe80::1=ALL", "a ALL=sha256:aa /x", "a ALL=A:fe80::1=ALL", "a ALL=A : fe80::1 = ALL", "\\\na ALL=ALL", "a ALL\\\n=ALL", "a\\ b ALL=ALL", "\"a b\" ALL=ALL",
	"a ALL=ALL\\", "Defaults use_pty \\", "Defaults lecture=always", "Defaults:\"a b\" use_pty", "Defaults timestamp_timeout=\"5\"", "a ALL = NOPASSWD: ALL, PASSWD: /x : h2 = NOPASSWD: /y", "a ALL = A\\:b : c = d",
	"Defaults::a use_pty", "Defaults!in/ls use_pty", "Defaults!sudoedit use_pty", "Defaults use_pty, logfile=/a\"", "Defaults use_pty, env_delete-=!C", "Defaults use_pty, badpass_message=a=b", "Defaults badpass_message=a>b", "Defaults usePty", "a, ALL = ALL",
	"a, !b 'ALL, !h = ALL", "a, '!h ALL = ALL", ":a ALL = ALL", "a ALL=(ALL:+ALL) ALL", "a ALL=((b) ALL", "a ALL=/bin/l=x ALL", "a ALL=/bin/ls a=x", "User_Alias A = a b", "Host_Alias H =( a", "Cmnd_Alias C = bin/ls", "Cmnd_Alias C = /bin/ls \"\", !/bin/a b",
	"a fe80::1/10, ::1 = ALL", "# c \\",
	"Host_Alias H = a, !b, fe80::/10 : I = c", "Runas_Alias R = a, #5", "a ALL=(R : %g) ALL", "a ALL=(ALL) ALL, (ALL) NOPASSWD:ALL", "ALL ALL=(ALL) ALL", "a = ALL", "a ALL = ALL = ALL", "a ALL == ALL",
}

// lenient are those that sudo refuses and that are read all the same: what is
// wrong with them gives nobody anything.
var lenient = []string{
	"a ALL=CWD=\"/a b\" ALL", "a ALL=CWD=/a NOPASSWD: CHROOT=/b ALL", "a ALL=NOPASSWD: CWD=/a ALL", "a ALL=sha256:aa /x",
	"a ALL=(R : %g) ALL",
}

// TestWhatVisudoReadsIsRead: what sudo reads is read, and what it refuses is
// an error.
func TestWhatVisudoReadsIsRead(t *testing.T) {
	if _, err := exec.LookPath("visudo"); err != nil {
		t.Skip("visudo is not installed")
	}
	dir := t.TempDir()
	for _, text := range forms {
		name := filepath.Join(dir, "sudoers")
		if err := os.WriteFile(name, []byte(text+"\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		out, theirs := exec.Command("visudo", "-c", "-q", "-f", name).CombinedOutput()
		_, ours := setting(t, "NOPASSWD: absent").Check(context.Background(), memory(t, map[string]string{"/etc/sudoers": text + "\n"}))
		if (theirs == nil) != (ours == nil) && !(ours == nil && slices.Contains(lenient, text)) {
			t.Errorf("%q: visudo: %v %s; here: %v", text, theirs, out, ours)
		}
	}
}
