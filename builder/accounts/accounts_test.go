package accounts_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/accounts"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// newRoot makes a root with root and daemon, and more lines of passwd, each
// with a group of the same name and number and a file of its own.
func newRoot(t *testing.T, more ...string) (dir string, before *accounts.Accounts) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("files are given away by root only")
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(lines []string) {
		var passwd, group strings.Builder
		for _, line := range lines {
			name, id, _ := strings.Cut(line, ":")
			passwd.WriteString(name + ":x:" + id + ":" + id + "::/:/bin/sh\n")
			group.WriteString(name + ":x:" + id + ":\n")
		}
		for name, text := range map[string]string{"passwd": passwd.String(), "group": group.String()} {
			if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write([]string{"root:0", "daemon:1"})
	before, err := accounts.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(append([]string{"root:0", "daemon:1"}, more...))
	now, err := accounts.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range now.Users {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, id, id); err != nil {
			t.Fatal(err)
		}
	}
	return dir, before
}

func account(name string, id int) updates.Account {
	return updates.Account{Name: name, UID: &id, GID: &id}
}

func TestNumbersOfTheLockAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		made   []string
		locked []updates.Account
		want   map[string]int
	}{
		"nothing locked":                  {[]string{"app:999"}, nil, map[string]int{"app": 999}},
		"a locked number":                 {[]string{"app:999"}, []updates.Account{account("app", 998)}, map[string]int{"app": 998}},
		"two change places":               {[]string{"a:999", "b:998"}, []updates.Account{account("a", 998), account("b", 999)}, map[string]int{"a": 998, "b": 999}},
		"a new one has a locked number":   {[]string{"new:999", "app:998"}, []updates.Account{account("app", 999)}, map[string]int{"app": 999, "new": 998}},
		"and moves up where it can":       {[]string{"new:100", "app:101"}, []updates.Account{account("app", 100)}, map[string]int{"app": 100, "new": 101}},
		"people":                          {[]string{"ann:1000", "bob:1001"}, []updates.Account{account("bob", 1000)}, map[string]int{"bob": 1000, "ann": 1001}},
		"one that is not made any more":   {[]string{"app:999"}, []updates.Account{account("gone", 999)}, map[string]int{"app": 998}},
		"what all systems have in common": {[]string{"nobody:65534"}, []updates.Account{account("nobody", 999)}, map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, before := newRoot(t, c.made...)
			settled, err := accounts.Settle(dir, before, c.locked)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, a := range settled {
				if a.UID == nil || a.GID == nil || *a.UID != *a.GID {
					t.Errorf("%v", a)
					continue
				}
				got[a.Name] = *a.UID
				info, err := os.Lstat(filepath.Join(dir, a.Name))
				if err != nil {
					t.Fatal(err)
				}
				if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != *a.UID || int(st.Gid) != *a.GID {
					t.Errorf("the file of %v is owned by %v", a, info.Sys())
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatedNumbersAreNotMoved(t *testing.T) {
	dir, before := newRoot(t, "app:999")
	before.Add([]string{"app"}, []string{"app"})
	if made, err := accounts.Settle(dir, before, []updates.Account{account("app", 998)}); err != nil || len(made) > 0 {
		t.Errorf("got %v, %v", made, err)
	}
	if _, err := accounts.Settle(dir, before, []updates.Account{account("other", 999)}); fault.KindOf(err) != fault.World || fault.HintOf(err) == "" {
		t.Errorf("a number that is locked for another: %v", err)
	}
}

func TestScriptsLeaveNoTraps(t *testing.T) {
	dir, before := newRoot(t)
	passwd := filepath.Join(dir, "etc/passwd")
	for name, lay := range map[string]func() error{
		"a pipe":              func() error { return syscall.Mkfifo(passwd, 0o644) },
		"a link that leaves":  func() error { return os.Symlink("../../../../../../etc/passwd", passwd) },
		"a directory":         func() error { return os.Mkdir(passwd, 0o755) },
		"more than fits":      func() error { return os.Truncate(passwd, 17<<20) },
		"a number of letters": func() error { return os.WriteFile(passwd, []byte("app:x:many:1::/:\n"), 0o644) },
	} {
		if err := os.RemoveAll(passwd); err != nil {
			t.Fatal(err)
		}
		if name == "more than fits" {
			if err := os.WriteFile(passwd, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := lay(); err != nil {
			t.Fatal(err)
		}
		if _, err := accounts.Settle(dir, before, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
