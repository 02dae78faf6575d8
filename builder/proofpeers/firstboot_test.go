package proofpeers_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/integrity"
	"imgbuild/images/peertest"
)

const (
	// keysRecipe serves by the certificate that package ssl-cert makes.
	keysRecipe = `name: peer-keys
description: nginx with a key of its own
extends: peer-web
packages: [ssl-cert]
resources:
  files:
    /etc/nginx/conf.d/tls.conf:
      content: |
        server {
          listen 443 ssl;
          root /srv/www;
          ssl_certificate /etc/ssl/certs/ssl-cert-snakeoil.pem;
          ssl_certificate_key /etc/ssl/private/ssl-cert-snakeoil.key;
        }
    /etc/nginx-plain.conf:
      content: |
        pid /tmp/nginx.pid;
        error_log stderr;
        events {}
        http {
          access_log off;
          client_body_temp_path /tmp/body;
          proxy_temp_path /tmp/proxy;
          fastcgi_temp_path /tmp/fastcgi;
          uwsgi_temp_path /tmp/uwsgi;
          scgi_temp_path /tmp/scgi;
          server { listen 8080; root /srv/www; }
        }
outputs:
  container:
    ports: [443/tcp]
`
	// plainRecipe runs the same as a user that may not make the key.
	plainRecipe = `name: peer-plain
description: nginx without privileges
extends: peer-keys
outputs:
  container:
    entrypoint: [/usr/sbin/nginx, -c, /etc/nginx-plain.conf, -g, daemon off;]
    ports: [8080/tcp]
    user: www-data
`
	dataRecipe = `name: peer-data
description: a database
extends: debian-12
packages: [postgresql]
outputs:
  container:
    entrypoint: [/usr/bin/pg_ctlcluster, --foreground, "15", main, start]
    cmd: []
remove:
  outputs: [vm]
`
	// ownRecipe runs the same as the database's own user, who may make it.
	ownRecipe = `name: peer-own
description: a database without privileges
extends: peer-data
outputs:
  container:
    user: postgres
`
)

// bakes adds recipes to a copy of the house's project and bakes each of them.
func (h *house) bakes(t *testing.T, recipes ...[2]string) (*place, []image) {
	t.Helper()
	p := h.with(t, "")
	baked := make([]image, len(recipes))
	for i, r := range recipes {
		if err := h.recipe(p.project, r[0], r[1]); err != nil {
			t.Fatal(err)
		}
		if err := p.bake(r[0], &baked[i]); err != nil {
			t.Fatal(err)
		}
	}
	return p, baked
}

// said is what a container writes, from its own goroutine.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// starts runs a version's container until the test ends.
func (p *place) starts(ctx context.Context, t *testing.T, i image, ports ...int) (*launch.Container, *said) {
	t.Helper()
	baseline, _, _ := strings.Cut(i.Version, ":")
	words := &said{}
	spec := launch.ContainerSpec{Layout: p.layout(baseline), Reference: i.number(), Dir: newDir(t), Ports: map[int]int{}, Output: words}
	for _, port := range ports {
		spec.Ports[port] = 0
	}
	c, err := launch.StartContainer(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, words
}

// soon asks a running container until it answers.
func soon(ctx context.Context, t *testing.T, c *launch.Container, ask func() error) {
	t.Helper()
	if err := launch.Until(ctx, c.Ended(), ask); err != nil {
		t.Fatal(c.Explain(err))
	}
}

// private is how a private key begins, with some of the key itself: programs
// hold the words alone.
var private = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{40}`)

// lacks looks in a version's signed manifest for what first boot has to make.
func (p *place) lacks(t *testing.T, i image, patterns ...string) {
	t.Helper()
	c := p.open(t)
	v, err := c.Resolve(t.Context(), i.Version, catalog.RefuseRevoked)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := evidence.Manifest(t.Context(), c, v, p.house.trust(t), evidence.OutputContainer)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range manifest {
		for _, pattern := range patterns {
			if found, err := path.Match(pattern, e.Path); err != nil || found {
				t.Errorf("%s holds %s (%v)", i.Version, e.Path, err)
			}
		}
	}
	// The classes of the manifest are those of the list.
	if id, ok := manifest.Find("etc/machine-id"); !ok || id.Class != integrity.Seeded || id.Size != 0 {
		t.Errorf("the machine id is %+v", id)
	}
}

// holdsNoKey unpacks a version's container as a stranger would and looks for
// private keys, whatever their name, outside /usr, whose libraries carry public
// ones to test themselves.
func (p *place) holdsNoKey(t *testing.T, i image) {
	t.Helper()
	dir := newDir(t)
	exported, bundle := filepath.Join(dir, "gzip"), filepath.Join(dir, "bundle")
	p.must(t, "images", "export", i.Version, exported, "--form", "oci-gzip")
	command(t, "umoci", "unpack", "--image", exported+":"+i.number(), bundle)
	root := filepath.Join(bundle, "rootfs")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path == filepath.Join(root, "usr") {
			return fs.SkipDir
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && private.Match(text) {
			t.Errorf("%s holds a private key in %s", i.Version, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEveryContainerMakesAKeyOfItsOwn(t *testing.T) {
	peertest.Need(t, "podman", "umoci")
	t.Parallel()
	h := theHouse(t)
	skipRootless(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	p, baked := h.bakes(t, [2]string{"peer-keys", keysRecipe}, [2]string{"peer-plain", plainRecipe})
	keys, plain := baked[0], baked[1]
	p.lacks(t, keys, "etc/ssl/private/*", "etc/ssl/certs/ssl-cert-snakeoil.pem")
	p.holdsNoKey(t, keys)

	var seen [2][]byte // the key of the server's certificate
	for i := range seen {
		c, _ := p.starts(ctx, t, keys, 443)
		soon(ctx, t, c, func() error {
			// Who answers by a certificate has its key.
			conn, err := tls.Dial("tcp", c.Address(443), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return err
			}
			seen[i] = conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo
			return conn.Close()
		})
		if out, err := c.Run(ctx, []string{"stat", "--format", "%a %U %G", "/etc/ssl/private/ssl-cert-snakeoil.key"}); err != nil || out != "640 root ssl-cert" {
			t.Errorf("the key is %q, %v", out, err)
		}
	}
	if bytes.Equal(seen[0], seen[1]) {
		t.Error("two containers have the same key")
	}

	// A user that may not make the key is told, and gets what needs none.
	c, words := p.starts(ctx, t, plain, 8080)
	if body, err := c.WaitHTTP(ctx, 8080, "/", http.StatusOK); err != nil || string(body) != "hello\n" {
		t.Errorf("as www-data nginx answers %q, %v", body, err)
	}
	const want = "imgbuild: there is no /etc/ssl/private/ssl-cert-snakeoil.key, and user 33 cannot make it"
	if got := words.String(); strings.Count(got, "imgbuild: ") != 1 || !strings.Contains(got, want) {
		t.Errorf("want %q in:\n%s", want, got)
	}
}

func TestEveryContainerMakesADatabaseOfItsOwn(t *testing.T) {
	peertest.Need(t, "podman")
	t.Parallel()
	h := theHouse(t)
	skipRootless(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	p, baked := h.bakes(t, [2]string{"peer-data", dataRecipe}, [2]string{"peer-own", ownRecipe})
	p.lacks(t, baked[0], "etc/ssl/private/*", "etc/postgresql/*/*", "var/lib/postgresql/*/*")

	const question = "psql --no-align --tuples-only --command 'SELECT system_identifier FROM pg_control_system()'"
	ask := func(c *launch.Container, args ...string) (id string) {
		soon(ctx, t, c, func() (err error) {
			id, err = c.Run(ctx, args)
			return err
		})
		return id
	}
	// As root, as which it starts, and as the database's user alone.
	asRoot, _ := p.starts(ctx, t, baked[0])
	one := ask(asRoot, "runuser", "-u", "postgres", "--", "sh", "-c", question)
	asPostgres, words := p.starts(ctx, t, baked[1])
	if other := ask(asPostgres, "sh", "-c", question); one == "" || one == other {
		t.Errorf("two containers have the databases %q and %q", one, other)
	}
	if strings.Contains(words.String(), "PostgreSQL cluster") {
		t.Errorf("postgres may make its cluster, and is told:\n%s", words)
	}
	// Nothing is made twice.
	if out, err := asRoot.Run(ctx, []string{"sh", "-c", "rm -r /var/lib/imgbuild && /usr/lib/imgbuild/first-boot"}); err != nil || out != "" {
		t.Errorf("at a second start: %q, %v", out, err)
	}
	if again := ask(asRoot, "runuser", "-u", "postgres", "--", "sh", "-c", question); again != one {
		t.Errorf("after a second start the database is %q, was %q", again, one)
	}
}
