package proofpeers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/updates"
)

// The baselines of the other release: a root that has apt, and a server on it.
const (
	plainRoot = `name: peer-root
description: a root with apt
suite: trixie
architectures: [amd64]
priorities: [required]
packages: [apt]
outputs:
  container:
    cmd: [/bin/bash]
`
	plainWeb = `name: peer-root-web
description: nginx on it
extends: peer-root
packages: [nginx-light, less]
`
)

// served is what updates serve --output json says.
type served struct {
	URL, Key  string
	Snapshots []struct{ Name, Sources string }
}

// serve runs updates serve until the test ends, when it ends well.
func (p *place) serve(t *testing.T, args ...string) served {
	t.Helper()
	cmd := p.start(append([]string{"updates", "serve", "--output", "json"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var s served
	decoding := json.NewDecoder(out).Decode(&s)
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("updates serve: %v\n%s", err, &said)
		}
	})
	if decoding != nil {
		t.Fatalf("updates serve: %v\n%s", decoding, &said)
	}
	return s
}

// aptRoot is a root directory in which apt knows one source: what is served, by
// way of a proxy that changes one byte of the files whose path has a text, or has
// none of them.
type aptRoot struct {
	dir          string
	turned, gone atomic.Pointer[string]
}

func newAptRoot(t *testing.T, tar string, s served) *aptRoot {
	t.Helper()
	r := &aptRoot{dir: newDir(t)}
	command(t, "tar", "-xpf", tar, "--numeric-owner", "-C", r.dir)
	r.turn("", "")
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = target.Host },
		ModifyResponse: func(response *http.Response) error {
			has := func(text string) bool { return text != "" && strings.Contains(response.Request.URL.Path, text) }
			if has(*r.gone.Load()) {
				response.StatusCode = http.StatusNotFound
			}
			if !has(*r.turned.Load()) {
				return nil
			}
			body, err := io.ReadAll(response.Body)
			if err == nil {
				body[len(body)/3] ^= 1
			}
			response.Body = io.NopCloser(bytes.NewReader(body))
			return err
		},
	})
	t.Cleanup(proxy.Close)
	key, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	sources := strings.ReplaceAll(s.Snapshots[0].Sources, s.URL, proxy.URL+"/")
	sources = strings.ReplaceAll(sources, s.Key, "/etc/apt/keyrings/imgbuild.asc")
	for name, text := range map[string]string{
		"etc/apt/sources.list":                  "",
		"etc/apt/sources.list.d/debian.sources": "",
		"etc/apt/sources.list.d/ours.sources":   sources,
		"etc/apt/keyrings/imgbuild.asc":         string(key),
		"usr/sbin/policy-rc.d":                  "#!/bin/sh\nexit 101\n",
		"dev/null":                              "",
		"tmp/nothing":                           "",
	} {
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	null := filepath.Join(r.dir, "dev/null")
	if err := unix.Mount("/dev/null", null, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(null, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return r
}

// turn says what is changed, and what is not there.
func (r *aptRoot) turn(turned, gone string) {
	r.turned.Store(&turned)
	r.gone.Store(&gone)
}

// apt runs apt-get in the root.
func (r *aptRoot) apt(args ...string) (string, error) {
	cmd := exec.Command("chroot", append([]string{r.dir, "apt-get", "-qy", "--no-install-recommends",
		"-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=0"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *aptRoot) must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := r.apt(args...); err != nil {
		t.Fatalf("apt-get %v: %v\n%s", args, err, out)
	}
}

// forget removes what apt has fetched.
func (r *aptRoot) forget(t *testing.T) {
	t.Helper()
	command(t, "sh", "-c", `rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/archives/*.deb`, "sh", r.dir)
}

// installs has apt install a whole lock, whose archive is its only source, and
// refuse what somebody has changed on its way.
func (r *aptRoot) installs(t *testing.T, lock *updates.Lock) {
	t.Helper()
	for _, c := range []struct{ turned, gone, want string }{
		{"/InRelease", "", "InRelease"},                                   // it is not signed so
		{"/Release.gpg", "/InRelease", "GPG error|OpenPGP|is not signed"}, // nor is the other form
		{"/binary-amd64/", "", "isn't as expected|Hash Sum mismatch"},     // the index is not what the release lists
	} {
		r.turn(c.turned, c.gone)
		r.forget(t)
		out, err := r.apt("update")
		if err == nil || !oneOf(out, c.want) {
			t.Errorf("with a changed %s: %v\n%s", c.turned, err, out)
		}
		if out, err := r.apt("install", "--download-only", "-o", "Dir::State::status=/tmp/nothing", "libc6"); err == nil {
			t.Errorf("with a changed %s apt installs:\n%s", c.turned, out)
		}
	}
	for _, gone := range []string{"/InRelease", ""} {
		r.turn("", gone)
		r.forget(t)
		r.must(t, "update")
	}
	var all []string
	for _, p := range lock.Packages {
		all = append(all, p.Name+"="+p.Version)
	}
	// Where nothing is installed, all is fetched: it is whole without any other source.
	everything := append([]string{"install", "--download-only", "-o", "Dir::State::status=/tmp/nothing"}, all...)
	r.turn(".deb", "")
	if out, err := r.apt(append(everything, "-o", "Acquire::Queue-Mode=access")...); err == nil || !oneOf(out, "Hash Sum mismatch") {
		t.Errorf("with changed packages: %v\n%s", err, out)
	}
	r.turn("", "")
	r.must(t, everything...)
	fetched, err := filepath.Glob(filepath.Join(r.dir, "var/cache/apt/archives/*.deb"))
	if err != nil || len(fetched) != len(lock.Packages) {
		t.Errorf("%d of %d packages were fetched, %v", len(fetched), len(lock.Packages), err)
	}
	r.must(t, append([]string{"install"}, all...)...)
	installed := command(t, "dpkg-query", "--admindir="+filepath.Join(r.dir, "var/lib/dpkg"), "-W", "-f", "${Package}=${Version} ${db:Status-Status}\n")
	for _, p := range all {
		if !strings.Contains(installed+"\n", p+" installed\n") {
			t.Errorf("%s is not installed", p)
		}
	}
}

func oneOf(text, words string) bool {
	for word := range strings.SplitSeq(words, "|") {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// now waits until what is served is of a lock.
func (s served) now(t *testing.T, lock *updates.Lock) {
	t.Helper()
	address := s.URL + "snapshots/" + s.Snapshots[0].Name + "/dists/" + s.Snapshots[0].Name + "/Release"
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("sha256 "+lock.Digest())) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the lock has changed, and this is served:\n%s", text)
		}
	}
}

// A server that was baked by a lock installs what a later lock has, as soon as that
// takes the place of the other where it is served.
func TestAServerInstallsWhatIsLocked(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	tar := filepath.Join(newDir(t), "root.tar")
	own, later := h.ownProject(t), h.at(h.catalog)
	own.must(t, "bake", "peer-web", "--tar", tar)
	later.project = h.later
	said, lock := own.serve(t, "peer-web"), later.lock(t, "peer-web")
	if err := lock.Write(own.lockFile("peer-web")); err != nil {
		t.Fatal(err)
	}
	said.now(t, lock)
	newAptRoot(t, tar, said).installs(t, lock)
}

// Locks, and what they name, are carried to a place without a network, where they
// are baked from and served.
func TestAnIsolatedSiteBakesAndServes(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.ownProject(t)
	for name, text := range map[string]string{"peer-root": plainRoot, "peer-root-web": plainWeb} {
		if err := h.recipe(p.project, name, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"peer-root", "peer-root-web"} {
		p.must(t, "lock", name)
	}
	p.must(t, "updates", "verify", "peer-root", "peer-root-web", "--repair")
	file := filepath.Join(newDir(t), "updates.zip")
	p.must(t, "updates", "export", file, "peer-root", "peer-root-web")

	isolated := h.at(filepath.Join(newDir(t), "catalog"))
	isolated.project = filepath.Join(newDir(t), "isolated")
	h.at(h.catalog).must(t, "init", isolated.project)
	for name, text := range map[string]string{"peer-root": plainRoot, "peer-root-web": plainWeb} {
		if err := h.recipe(isolated.project, name, text); err != nil {
			t.Fatal(err)
		}
	}
	archive := newDir(t)
	here := []string{"--archive-dir", archive, "--cache-dir", newDir(t), "--mirror", "http://127.0.0.1:9/", "--security-mirror", "http://127.0.0.1:9/"}
	isolated.refuses(t, 4, []string{"not by a trusted key", "keys/signing.pub", "trust:"}, append(here, "updates", "import", file)...)
	if _, err := os.Stat(isolated.lockFile("peer-root")); !os.IsNotExist(err) {
		t.Errorf("a lock was written: %v", err)
	}
	trust(t, isolated.project, h.publicKey())
	isolated.must(t, append(here, "updates", "import", file)...)
	isolated.refuses(t, 0, []string{"the archive is whole"}, append(here, "updates", "verify")...)

	tar := filepath.Join(newDir(t), "root.tar")
	isolated.must(t, append(here, "bake", "peer-root")...)
	isolated.must(t, append(here, "bake", "peer-root", "--tar", tar)...)
	newAptRoot(t, tar, isolated.serve(t, append(here, "peer-root-web")...)).installs(t, isolated.lock(t, "peer-root-web"))

	// When nothing but the image is left, all that it was baked from stays.
	root := isolated.lock(t, "peer-root")
	old := time.Now().AddDate(-1, 0, 0)
	all, err := filepath.Glob(filepath.Join(archive, "sha256/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []string{isolated.lockFile("peer-root"), isolated.lockFile("peer-root-web"), filepath.Join(archive, "records")} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
	}
	isolated.refuses(t, 2, []string{"is not this project's own"}, append(here, "updates", "gc")...)
	freed := decode[struct{ Removed, Kept int }](t, isolated, append(here, "updates", "gc", "--even-shared")...)
	if freed.Kept != len(root.Packages) || freed.Kept+freed.Removed != len(all) || freed.Removed == 0 {
		t.Errorf("of %d files %+v, and the image was baked from %d", len(all), freed, len(root.Packages))
	}
	// What it needs is missed, by name.
	lost := root.Packages[0]
	if err := os.Remove(filepath.Join(archive, "sha256", lost.SHA256[:2], lost.SHA256)); err != nil {
		t.Fatal(err)
	}
	isolated.refuses(t, 4, []string{"MISSING   " + lost.Name, "needed by image peer-root:"}, append(here, "updates", "verify")...)
}

// trust lists a public key in a project.
func trust(t *testing.T, project, key string) {
	t.Helper()
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(project, "imgbuild.yaml")
	old, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	with := bytes.Replace(old, []byte("\ntrust:\n"), []byte("\ntrust:\n  - name: factory\n    key: keys/factory.pub\n"), 1)
	for name, data := range map[string][]byte{"keys/factory.pub": text, "imgbuild.yaml": with} {
		if err := os.WriteFile(filepath.Join(project, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
