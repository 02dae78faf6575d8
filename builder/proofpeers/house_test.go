package proofpeers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"imgbuild/builder/host"
	"imgbuild/builder/shipped"
	"imgbuild/images/catalog"
	"imgbuild/images/signing"
)

// The baselines that are baked: a web server, and one that extends it.
const (
	webRecipe = `name: peer-web
description: nginx for the readers of images
extends: debian-12
packages: [nginx-light]
resources:
  directories:
    /srv/www: {}
  files:
    /srv/www/index.html: {content: "hello\n"}
    /etc/nginx/conf.d/site.conf: {content: "server { listen 80 default_server; root /srv/www; }\n"}
  symlinks:
    /etc/nginx/sites-enabled/default: {absent: true}
outputs:
  container:
    entrypoint: [/usr/sbin/nginx, -g, daemon off;]
    cmd: []
    ports: [80/tcp]
remove:
  outputs: [vm]
`
	shopRecipe = `name: peer-shop
description: a shop on peer-web
extends: peer-web
resources:
  files:
    /srv/www/shop.html: {content: "a shop\n"}
`
)

// changed is what the web server's recipe says from its second version on.
var changed = strings.NewReplacer("[nginx-light]", "[nginx-light, less]", `"hello\n"`, `"hello again\n"`)

// house is a project in which two versions were baked, one of peer-web and one
// of peer-shop on it, and a later state of that project, in which a newer
// version of peer-web was.
type house struct {
	dir, project, later string
	catalog, program    string
	web, shop, newer    image

	mu        sync.Mutex
	described map[string]map[string]string // by version
}

// image is what bake --output json says.
type image struct {
	Version, Digest, Container string
	Known                      bool
}

func (i image) number() string { return i.Version[strings.LastIndexByte(i.Version, ':')+1:] }

// built bakes the versions once a run. Tests change none of it: they work on
// copies of the catalog.
var built = sync.OnceValues(func() (*house, error) {
	h := &house{
		dir: scratch, project: filepath.Join(scratch, "project"), later: filepath.Join(scratch, "later"),
		catalog: filepath.Join(scratch, "catalog"), described: map[string]map[string]string{},
	}
	var err error
	if h.program, err = program(); err != nil {
		return nil, err
	}
	now, later := h.at(h.catalog), h.at(h.catalog)
	later.project = h.later
	for _, step := range []func() error{
		func() error { return now.succeeds("init", h.project) },
		func() error { return h.recipe(h.project, "peer-web", webRecipe) },
		func() error { return h.recipe(h.project, "peer-shop", shopRecipe) },
		func() error { return now.bake("peer-web", &h.web) },
		func() error { return now.bake("peer-shop", &h.shop) },
		func() error { return exec.Command("cp", "-a", h.project, h.later).Run() },
		func() error { return h.recipe(h.later, "peer-web", changed.Replace(webRecipe)) },
		func() error { return later.succeeds("lock", "peer-web") },
		func() error { return later.bake("peer-web", &h.newer) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return h, nil
})

func (h *house) recipe(project, name, text string) error {
	return os.WriteFile(filepath.Join(project, "baselines", name+".yaml"), []byte(text), 0o644)
}

// theHouse returns the baked versions, and skips where no mirror is known.
func theHouse(t *testing.T) *house {
	t.Helper()
	sources, err := host.AptSources()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sources.Mirror(host.ArchiveDebian, "bookworm"); err != nil {
		t.Skip("no mirror in apt's sources: ", err)
	}
	h, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// place is one catalog as a user of the project sees it.
type place struct {
	house *house
	// catalog is a directory, or docker://HOST/PREFIX.
	catalog string
	project string
}

func (h *house) at(catalog string) *place {
	return &place{house: h, catalog: catalog, project: h.project}
}

// copy links the house's catalog into another directory: blobs never change,
// and everything else is replaced whole.
func (h *house) copy(t *testing.T) *place {
	t.Helper()
	to := filepath.Join(newDir(t), "catalog")
	if out, err := exec.Command("cp", "-al", h.catalog, to).CombinedOutput(); err != nil {
		t.Fatalf("linking the catalog: %v\n%s", err, out)
	}
	return h.at(to)
}

// answer is what a command line came to.
type answer struct {
	args           []string
	stdout, stderr string
	code           int
}

func (a *answer) Error() string {
	return fmt.Sprintf("imgbuild %s: exit %d\n%s%s", strings.Join(a.args, " "), a.code, a.stdout, a.stderr)
}

// start is the program as a user of the project would run it.
func (p *place) start(args ...string) *exec.Cmd {
	h := p.house
	cmd := exec.Command(h.program, args...)
	home := filepath.Join(h.dir, "home")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "XDG_") || strings.HasPrefix(v, "HOME=")
	})
	cmd.Env = append(cmd.Env, "HOME="+home, "IMGBUILD_CATALOG="+p.catalog,
		"IMGBUILD_CACHE_DIR="+filepath.Join(h.dir, "cache"), "IMGBUILD_ARCHIVE_DIR="+shipped.PackageArchive())
	cmd.Dir = p.project
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = h.dir // before init
	}
	return cmd
}

// run runs the program to its end.
func (p *place) run(args ...string) *answer {
	cmd := p.start(args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	a := &answer{args: args}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(&log, err)
		a.code = -1
	} else {
		a.code = cmd.ProcessState.ExitCode()
	}
	a.stdout, a.stderr = out.String(), log.String()
	return a
}

// succeeds runs a command and returns what it said when it failed.
func (p *place) succeeds(args ...string) error {
	if a := p.run(args...); a.code != 0 {
		return a
	}
	return nil
}

// bake bakes a baseline.
func (p *place) bake(name string, into *image) error {
	a := p.run("bake", name, "--output", "json")
	if a.code != 0 {
		return a
	}
	return json.Unmarshal([]byte(a.stdout), into)
}

// must runs a command that has to succeed and returns its standard output.
func (p *place) must(t *testing.T, args ...string) string {
	t.Helper()
	a := p.run(args...)
	if a.code != 0 {
		t.Fatal(a)
	}
	return a.stdout
}

// refuses runs a command that has to end with an exit code and to say all of
// the given words.
func (p *place) refuses(t *testing.T, code int, words []string, args ...string) {
	t.Helper()
	a := p.run(args...)
	if a.code != code {
		t.Errorf("want exit %d of %v", code, a)
	}
	for _, w := range words {
		if !strings.Contains(a.stdout+a.stderr, w) {
			t.Errorf("want %q in %v", w, a)
		}
	}
}

// decode runs a command with --output json and reads its document.
func decode[T any](t *testing.T, p *place, args ...string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(p.must(t, append(args, "--output", "json")...)), &out); err != nil {
		t.Fatalf("imgbuild %v: %v", args, err)
	}
	return out
}

// layout is the OCI layout of a baseline in a catalog that is a directory.
func (p *place) layout(baseline string) string { return filepath.Join(p.catalog, baseline) }

// open opens the catalog as the project does.
func (p *place) open(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.Background(), catalog.Config{Location: p.catalog, Trust: p.house.trust(t), Locks: newDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *house) publicKey() string { return filepath.Join(h.project, "keys", "signing.pub") }

func (h *house) trust(t *testing.T) signing.Trust {
	t.Helper()
	text, err := os.ReadFile(h.publicKey())
	if err != nil {
		t.Fatal(err)
	}
	key, err := signing.ParsePublicKey(text)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: "project", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return trust
}
