package builder_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAccountsKeepTheirNumbers bakes a recipe whose resources and script make
// accounts, then again with more of them that would take those numbers.
func TestAccountsKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-small")
	first := s.passwdOf(t, `
    app: {system: true}
    ann: {}
`, "groupadd --system late\n")
	if first["app"] == "" || first["ann"] == "" || first["late:"] == "" {
		t.Fatalf("got %v", first)
	}
	second := s.passwdOf(t, `
    aaa: {system: true}
    app: {system: true}
    another: {}
    ann: {}
    stated: {system: true, uid: 777}
`, "groupadd --system early\ngroupadd --system late\n")
	for name, number := range first {
		if second[name] != number {
			t.Errorf("%s had %s and has %s", name, number, second[name])
		}
	}
	if second["stated"] != "777" || second["another"] == "" {
		t.Errorf("got %v", second)
	}
	// A number that the recipe states is the recipe's to change.
	third := s.passwdOf(t, `
    app: {system: true, uid: 555}
    ann: {}
    stated: {system: true, uid: 776}
`, "groupadd --system late\n")
	if third["app"] != "555" || third["stated"] != "776" || third["late:"] != first["late:"] {
		t.Errorf("got %v", third)
	}
}

// passwdOf bakes the small root with users and a script, and returns the numbers
// of its users and, with a colon, of its groups.
func (s *shop) passwdOf(t *testing.T, users, script string) map[string]string {
	t.Helper()
	recipe := "name: proof-small\nsuite: bookworm\narchitectures: [amd64]\npackages: [cron]\n" +
		"path-exclude: [\"/usr/share/doc/*\", \"/usr/share/man/*\", \"/usr/share/locale/*\", \"/usr/share/info/*\"]\n" +
		"resources:\n  users:" + strings.TrimRight(users, "\n") + "\n" +
		"run:\n  - name: groups\n    script: |\n      " + strings.ReplaceAll(strings.TrimRight(script, "\n"), "\n", "\n      ") + "\n" +
		"outputs:\n  container:\n    cmd: [/bin/sh]\n"
	if err := os.WriteFile(s.recipeFile(), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "root.tar")
	if _, err := s.run(t.Context(), "bake", "proof-small", "--tar", path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	numbers := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return numbers
		}
		if err != nil {
			t.Fatal(err)
		}
		suffix, wanted := map[string]string{"etc/passwd": "", "etc/group": ":"}[strings.TrimPrefix(h.Name, "./")]
		if !wanted {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines(string(text)) {
			if f := strings.Split(line, ":"); len(f) > 2 && f[2] >= "1" {
				numbers[f[0]+suffix] = f[2]
			}
		}
	}
}
