package system_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/system"
)

func files(t *testing.T, list map[string]string) *system.Memory {
	t.Helper()
	sys := system.NewMemory()
	for name, text := range list {
		if err := system.MkdirAll(sys, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = sys.Symlink(target, name)
		} else {
			err = sys.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o640, GID: 33})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestGlobIsThatOfTheShell(t *testing.T) {
	sys := files(t, map[string]string{
		"/etc/a/b.conf": "", "/etc/a/B.conf": "", "/etc/a/.c.conf": "", "/etc/a/d.cnf": "", "/etc/b/b.conf": "", "/etc/file": "",
		"/etc/l": "-> a", "/etc/a/gone.conf": "-> nowhere",
	})
	for pattern, want := range map[string][]string{
		"/etc/a/*.conf":  {"/etc/a/B.conf", "/etc/a/b.conf", "/etc/a/gone.conf"},
		"/etc/a/.*.conf": {"/etc/a/.c.conf"},
		"/etc/*/b.conf":  {"/etc/a/b.conf", "/etc/b/b.conf", "/etc/l/b.conf"},
		"/etc/[!a]/*":    {"/etc/b/b.conf", "/etc/l/B.conf", "/etc/l/b.conf", "/etc/l/d.cnf", "/etc/l/gone.conf"},
		"/etc/a/?.c*":    {"/etc/a/B.conf", "/etc/a/b.conf", "/etc/a/d.cnf"},
		"/etc/nothing/*": nil,
		"/etc/file/*":    nil,
		"/../../etc/b/*": {"/etc/b/b.conf"},
	} {
		got, err := system.Glob(sys, pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", pattern, diff)
		}
	}
	for _, pattern := range []string{"relative/*", "/etc/["} {
		if got, err := system.Glob(sys, pattern); err == nil {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}

func TestMatchKnowsBrackets(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a.b", true}, {"*", "a/b", false}, {"a?c", "abc", true}, {`a\*`, "ab", false}, {`a\*`, "a*", true},
		{"[!a]", "b", true}, {"[^a]", "a", false}, {"[]a]", "]", true}, {"[a-]", "-", true}, {"[-a]", "b", false},
	} {
		if got, err := system.Match(c.pattern, c.name); got != c.want || err != nil {
			t.Errorf("%s, %s: %v %v", c.pattern, c.name, got, err)
		}
	}
	for _, pattern := range []string{"[", "[a", "[]", "[[:alpha:]]", "a[!"} {
		if got, err := system.Match(pattern, "a"); err == nil {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}
