package catalog_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/images/catalog"
)

// startRegistry runs Debian's docker-registry, which has no referrers API, on
// a loopback port and returns its address.
func startRegistry(t testing.TB) string {
	t.Helper()
	return startRegistryWith(t, "")
}

// startRegistryWith adds lines to the registry's configuration.
func startRegistryWith(t testing.TB, lines string) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	dir := t.TempDir()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := probe.Addr().String()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.yml")
	err = os.WriteFile(config, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
http: {addr: %s}
%s`, filepath.Join(dir, "data"), addr, lines), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	// Every REGISTRY_* variable is a setting to it, podman's too.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") })
	var said strings.Builder // read after the process has ended
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("docker-registry said: %.4000s", said.String())
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("docker-registry does not answer: %v", err)
		}
	}
}

// everywhere runs a test on a directory and on a registry.
func everywhere(t *testing.T, test func(*testing.T, catalog.Config)) {
	t.Run("directory", func(t *testing.T) { test(t, catalog.Config{Location: t.TempDir()}) })
	t.Run("registry", func(t *testing.T) {
		test(t, catalog.Config{Location: "docker://" + startRegistry(t) + "/team/images", Locks: t.TempDir()})
	})
}

func TestRegistryListsBaselines(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		c := open(t, cfg)
		mustBake(t, c, "web", "one", nil)
		mustBake(t, c, "db", "one", nil)
		got, err := c.Baselines(context.Background())
		if err != nil || fmt.Sprint(got) != "[db web]" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
