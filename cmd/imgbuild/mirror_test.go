package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/rogpeppe/go-internal/testscript"

	"imgbuild/builder/debian/repo/repotest"
)

// fixtureMirror is a small Debian for scripts: what "offers" writes, each script's own.
type fixtureMirror struct {
	t    *testing.T
	key  *openpgp.Entity
	root string
	url  string
}

func newFixtureMirror(t *testing.T) *fixtureMirror {
	m := &fixtureMirror{t: t, key: repotest.NewKey(t), root: t.TempDir()}
	server := httptest.NewServer(http.FileServer(http.Dir(m.root)))
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

// offers makes a suite have these packages and no others, of which the oldest must
// stay first: offers bookworm-security 'web 2; Depends: base'. The first call has the
// script lock from here instead of from Debian.
func (m *fixtureMirror) offers(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 1 {
		ts.Fatalf("usage: offers SUITE ['NAME VERSION; FIELD: VALUE'...]")
	}
	name := filepath.Base(ts.Getenv("WORK"))
	place := func(archive string) string { return filepath.Join(m.root, name, archive) }
	write := func(suite string, packages ...repotest.Package) {
		archive := "debian"
		if strings.HasSuffix(suite, "-security") {
			archive = "security"
		}
		repotest.Write(m.t, place(archive), suite, m.key, packages...)
	}
	if _, err := os.Stat(place("debian")); os.IsNotExist(err) {
		for _, suite := range []string{"bookworm", "bookworm-updates", "bookworm-security"} {
			write(suite)
		}
		keyring := ts.MkAbs("mirror.gpg")
		ts.Check(os.WriteFile(keyring, repotest.PublicKey(m.t, m.key), 0o644))
		ts.Setenv("IMGBUILD_KEYRING", keyring)
		ts.Setenv("IMGBUILD_MIRROR", m.url+"/"+name+"/debian")
		ts.Setenv("IMGBUILD_SECURITY_MIRROR", m.url+"/"+name+"/security")
	}
	var packages []repotest.Package
	for _, entry := range args[1:] {
		head, fields, _ := strings.Cut(entry, ";")
		name, version, _ := strings.Cut(head, " ")
		packages = append(packages, repotest.Package{
			Control: "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\n" + strings.ReplaceAll(strings.TrimSpace(fields), "; ", "\n"),
			File:    []byte(entry),
		})
	}
	write(args[0], packages...)
}
