package passwd_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/passwd"
)

// secret is what no error may quote.
const secret = "$y$j9T$secret"

// good has a record for each file.
func good() map[string]string {
	return map[string]string{
		passwd.Users: "root:x:0:0:root:/root:/bin/sh\na:x:1000:1000:A,,,:/:/bin/sh\n", passwd.Groups: "root:x:0:\na:x:1000:root\n",
		passwd.Shadow: "root:" + secret + ":19000:0:99999:7:::\na:*:19000:0:99999:7:::\n", passwd.GroupsShadow: "root:*::\na:!::root\n",
	}
}

// broken are lines that no administrator wants, by file.
var broken = map[string][]string{
	passwd.Users:        {"b:x", "b", "b:x:1:1::/", "b:x:y:1::/:/bin/sh", "b:x:1:y::/:/bin/sh", "b:x::1::/:/bin/sh", ":x:1:1::/:/bin/sh", "b:x:1:1::/:/bin/sh:more", "b c:x:1:1::/:/bin/sh", "b:x:-1:1::/:/bin/sh", "garbage"},
	passwd.Groups:       {"b:x", "b", "b:x:y:", ":x:1:", "b:x::", "b:x:1::more", "garbage"},
	passwd.Shadow:       {"b:" + secret, "b", "b:" + secret + ":x:0:99999:7:::", "b:" + secret + ":1:0:9:7:::::", "b:" + secret + ":1:0:9:y:::", ":" + secret + ":1:0:9:7:::", "garbage"},
	passwd.GroupsShadow: {"b", "b:" + secret, "b:" + secret + ":", "b:" + secret + ":::", ":" + secret + "::", "garbage"},
}

func TestABrokenRecordIsAnErrorWithItsLine(t *testing.T) {
	for name, text := range good() {
		list, err := passwd.Parse(name, "# x\n\n"+text+"+nis\n-@b\n")
		if err != nil || len(list) != 2 || list[1].Line != 4 || list[1].Fields[0] != "a" {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		for _, line := range append([]string{"b:x\x00"}, broken[name]...) {
			list, err := passwd.Parse(name, text+line+"\n")
			if err == nil || !strings.Contains(err.Error(), "line 3") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s with %q: %v, %v", name, line, list, err)
			}
		}
	}
	if _, err := passwd.Parse("/etc/motd", ""); err == nil {
		t.Error("a file without records is read")
	}
}

// TestPwckFindsWhatIsBroken has pwck(8) and grpck(8) look at the same lines.
func TestPwckFindsWhatIsBroken(t *testing.T) {
	peertest.Need(t, "pwck", "grpck")
	check := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			peertest.Write(t, dir, name, text)
		}
		at := func(name string) string { return filepath.Join(dir, name) }
		users, _ := exec.Command("pwck", "-r", "-q", at(passwd.Users), at(passwd.Shadow)).CombinedOutput()
		groups, _ := exec.Command("grpck", "-r", at(passwd.Groups), at(passwd.GroupsShadow)).CombinedOutput()
		return string(users) + string(groups)
	}
	if said := check(good()); strings.Contains(said, "invalid") {
		t.Fatalf("of what is right: %s", said)
	}
	for name, lines := range broken {
		for _, line := range lines {
			files := good()
			files[name] += line + "\n"
			if said := check(files); said == "" {
				t.Errorf("%s with %q: pwck and grpck find nothing", name, line)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for name, text := range good() {
		f.Add(name, text)
		f.Add(name, broken[name][0])
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		list, err := passwd.Parse(name, text)
		if err != nil {
			return
		}
		for _, r := range list {
			if r.Fields[0] == "" || len(r.Fields) < 4 || r.Line > 1+strings.Count(text, "\n") {
				t.Errorf("%q: %v", text, r)
			}
		}
	})
}
