package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
// script lock from here instead of from Debian. The file of one with "X-Broken: yes" is none
// that can be installed.
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
		control := "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\n" + strings.ReplaceAll(strings.TrimSpace(fields), "; ", "\n")
		file := []byte(entry)
		if !strings.Contains(control, "X-Broken: yes") {
			file = debFile(m.t, name, version, control)
		}
		packages = append(packages, repotest.Package{Control: control, File: file})
	}
	write(args[0], packages...)
}

// shell is what stands for /bin/sh in the packages that are essential.
var shell = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "imgbuild-shell-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sh")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./testdata/dpkg")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", path, err, said)
	}
	text, err := os.ReadFile(path)
	return string(text), err
})

// debFile is a package (deb(5)) that can be installed: it has one file, which says its
// version, and where it is essential what stands for a shell.
func debFile(t *testing.T, name, version, control string) []byte {
	t.Helper()
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	member := func(name string, data []byte) {
		fmt.Fprintf(&deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data))
		deb.Write(data) // tar files are of whole blocks
	}
	// Of each pair the first is a path, which is a directory's if it ends in a slash.
	tarball := func(entries ...[2]string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, e := range entries {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: e[0], Mode: 0o755, Size: int64(len(e[1]))}
			if strings.HasSuffix(e[0], "/") {
				h.Typeflag = tar.TypeDir
			}
			err := w.WriteHeader(h)
			if err == nil {
				_, err = io.WriteString(w, e[1])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	member("debian-binary", []byte("2.0\n"))
	member("control.tar", tarball([2]string{"./control", strings.TrimSpace(control) + "\nMaintainer: nobody <nobody@mirror.example>\nDescription: a package\n"}))
	files := [][2]string{{"./usr/"}, {"./usr/share/"}, {"./usr/share/" + name + "/"}, {"./usr/share/" + name + "/version", version + "\n"}}
	if strings.Contains(control, "Essential: yes") {
		sh, err := shell()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, [2]string{"./bin/"}, [2]string{"./bin/sh", sh}, [2]string{"./etc/"}, [2]string{"./etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"})
	}
	member("data.tar", tarball(files...))
	return deb.Bytes()
}
