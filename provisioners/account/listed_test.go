package account_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/account"
	"imgbuild/provisioners/system"
)

func TestAccountsAreListedWithoutSecrets(t *testing.T) {
	s := system.NewMemory()
	if err := system.MkdirAll(s, "/etc"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nops:x:1000:1000:Ops,,,:/home/ops:/bin/sh\nops:x:1:1::/:/bin/false\nopen::7:99::/:/bin/sh\nold:$1$x$y:8:0::/:/bin/sh\n+::::::\n# a comment\nnone:x:9:0::/:/bin/sh\n",
		"/etc/group":  "root:x:0:\nsudo:x:27:ops,root\nops:x:1000:\nadm:x:4:ops\n",
		"/etc/shadow": "root:*:1::::::\nops:$y$secret:1::::::\n",
	} {
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	users, groups, err := account.List(s)
	if err != nil {
		t.Fatal(err)
	}
	want := []account.Listed{
		{Name: "none", UID: 9, Group: "root", Home: "/", Shell: "/bin/sh", Password: account.PasswordLocked},
		{Name: "old", UID: 8, Group: "root", Home: "/", Shell: "/bin/sh", Password: account.PasswordSet},
		{Name: "open", UID: 7, Group: "99", Home: "/", Shell: "/bin/sh", Password: account.PasswordNone},
		{Name: "ops", UID: 1000, Group: "ops", Home: "/home/ops", Shell: "/bin/sh", Comment: "Ops,,,", Groups: []string{"adm", "sudo"}, Password: account.PasswordSet},
		{Name: "root", UID: 0, Group: "root", Home: "/root", Shell: "/bin/bash", Comment: "root", Groups: []string{"sudo"}, Password: account.PasswordLocked},
	}
	if diff := cmp.Diff(want, users); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]account.ListedGroup{{Name: "adm", GID: 4}, {Name: "ops", GID: 1000}, {Name: "root", GID: 0}, {Name: "sudo", GID: 27}}, groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if err := s.WriteFile("/etc/passwd", strings.NewReader("x:x:many:0::/:/bin/sh\n"), system.Attr{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := account.List(s); err == nil || !strings.Contains(err.Error(), "reading /etc/passwd: line 1: field 3") {
		t.Errorf("got %v", err)
	}
}
