// Package registrytest runs a registry for tests: Debian's docker-registry,
// which has no referrers API, from its unpacked package, for once installed it
// serves on every interface.
package registrytest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/images/peertest"
)

// Start runs a registry on a loopback port until the test ends, and returns its
// host:port. settings are further lines of its configuration, which are YAML;
// mostly none. Where docker-registry is not to be had the test is skipped.
func Start(t testing.TB, settings string) string {
	t.Helper()
	tree, dir := peertest.Unpack(t, "docker-registry"), t.TempDir()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
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
%s`, filepath.Join(dir, "data"), address, settings), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := tree.Command("usr/bin/docker-registry", "serve", config)
	// Every REGISTRY_* variable is a setting to it, podman's too.
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") })
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
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			response.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("docker-registry does not answer: %v", err)
		}
	}
}
