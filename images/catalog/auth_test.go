package catalog_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"imgbuild/images/catalog"
)

func TestCredentialHelperIsAsked(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	passwords := filepath.Join(dir, "htpasswd")
	write := func(path, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(passwords, "ann:"+string(hash)+"\n", 0o600)
	addr := startRegistryWith(t, "auth: {htpasswd: {realm: test, path: "+passwords+"}}\n")
	cfg := catalog.Config{Location: "docker://" + addr + "/team", Locks: t.TempDir()}
	t.Setenv("DOCKER_CONFIG", dir)
	if _, err := bake(context.Background(), open(t, cfg), "web", "one", t.TempDir(), nil); err == nil {
		t.Fatal("the registry let anybody in")
	}
	// The helper's protocol: github.com/docker/docker-credential-helpers.
	write(filepath.Join(dir, "docker-credential-cave"), `#!/bin/sh
read -r server
printf '{"ServerURL":"%s","Username":"ann","Secret":"open sesame"}' "$server"
`, 0o755)
	write(filepath.Join(dir, "config.json"), `{"credHelpers":{"`+addr+`":"cave"}}`, 0o600)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := open(t, cfg)
	v := mustBake(t, c, "web", "one", nil)
	if !strings.HasSuffix(v.Number, ".1") {
		t.Errorf("the refused bake took a number: %s", v.Number)
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
