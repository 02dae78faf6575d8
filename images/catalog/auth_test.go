package catalog_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/fault"
)

// startLockedRegistry runs a registry that lets only ann in.
func startLockedRegistry(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(t.TempDir(), "htpasswd")
	write(t, passwords, "ann:"+string(hash)+"\n", 0o600)
	return registrytest.Start(t, "auth: {htpasswd: {realm: test, path: "+passwords+"}}\n")
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// forgetLogins hides the logins of whoever runs the tests.
func forgetLogins(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		t.Setenv(name, t.TempDir())
	}
	t.Setenv("REGISTRY_AUTH_FILE", "")
}

func TestCredentialHelperIsAsked(t *testing.T) {
	forgetLogins(t)
	dir := os.Getenv("DOCKER_CONFIG")
	addr := startLockedRegistry(t)
	cfg := catalog.Config{Location: "docker://" + addr + "/team", Locks: t.TempDir()}
	if _, err := bake(context.Background(), open(t, cfg), "web", "one", t.TempDir(), nil); err == nil {
		t.Fatal("the registry let anybody in")
	}
	// The helper's protocol: github.com/docker/docker-credential-helpers.
	write(t, filepath.Join(dir, "docker-credential-cave"), `#!/bin/sh
read -r server
printf '{"ServerURL":"%s","Username":"ann","Secret":"open sesame"}' "$server"
`, 0o755)
	write(t, filepath.Join(dir, "config.json"), `{"credHelpers":{"`+addr+`":"cave"}}`, 0o600)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := open(t, cfg)
	v := mustBake(t, c, "web", "one", nil)
	if !strings.HasSuffix(v.Number, ".1") {
		t.Errorf("the refused bake took a number: %s", v.Number)
	}
}

func TestPodmansLoginsAreFound(t *testing.T) {
	addr := startLockedRegistry(t)
	cfg := catalog.Config{Location: "docker://" + addr + "/team", Locks: t.TempDir()}
	login := func(password string) string {
		return `{"auths":{"` + addr + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("ann:"+password)) + `"}}}`
	}
	for name, put := range map[string]func(t *testing.T){
		"REGISTRY_AUTH_FILE": func(t *testing.T) {
			t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(t.TempDir(), "logins.json"))
			write(t, os.Getenv("REGISTRY_AUTH_FILE"), login("open sesame"), 0o600)
			// What is named outright comes first.
			write(t, filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "containers/auth.json"), login("wrong"), 0o600)
		},
		"runtime directory": func(t *testing.T) {
			write(t, filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "containers/auth.json"), login("open sesame"), 0o600)
			write(t, filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), login("wrong"), 0o600)
		},
		"home": func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", "")
			t.Setenv("XDG_CONFIG_HOME", "")
			write(t, filepath.Join(os.Getenv("HOME"), ".config/containers/auth.json"), login("open sesame"), 0o600)
		},
		"docker": func(t *testing.T) {
			write(t, filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), login("open sesame"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			forgetLogins(t)
			put(t)
			v := mustBake(t, open(t, cfg), "web", name, nil)
			// And so are they for a repository that need not be a catalog's.
			repo, err := catalog.Foreign(t.Context(), registry.Reference{Registry: addr, Repository: "team/web"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := repo.Resolve(t.Context(), v.Number); err != nil || got.Digest != v.Index.Digest {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	forgetLogins(t)
	file := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "containers/auth.json")
	write(t, file, "{", 0o600)
	if _, err := catalog.Open(t.Context(), cfg); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), file) {
		t.Errorf("a damaged file: got %v", err)
	}
}

func TestForeignReadOnlyLayoutIsRead(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	v := mustBake(t, open(t, catalog.Config{Location: dir}), "web", "one", nil)
	for _, own := range []string{".lock", ".use", ".tmp"} {
		if err := os.RemoveAll(filepath.Join(dir, "web", own)); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, catalog.Config{Location: dir})
	if _, err := c.Verify(ctx, v); err != nil {
		t.Error(err)
	}
	from, release, err := c.Content(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content.FetchAll(ctx, from, v.Index); err != nil {
		t.Error(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := c.List(ctx, "nothing"); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "web"))
	if err != nil || len(files) != 3 {
		t.Errorf("reading left files behind: %v, %v", files, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "nothing")); !os.IsNotExist(err) {
		t.Errorf("listing made a directory: %v", err)
	}
}
