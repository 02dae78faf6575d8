package proofboot_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/images/peertest"
)

// TestTheApacheServerServes puts both forms of an image through a boot trial,
// which isolates them, and asks its container on an open network.
func TestTheApacheServerServes(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "podman", "crun", "qemu-system-x86_64", "qemu-img")
	reach(t, "bookworm")
	baked := bake(t, "debian-12-apache")
	t.Run("container", func(t *testing.T) { containerAnswers(t, baked) })
	t.Run("boot trial", func(t *testing.T) { bootTrial(t, baked) })
}

func containerAnswers(t *testing.T, baked *image) {
	layout := filepath.Join(scratch, "layout")
	imgbuild(t, "images", "export", baked.Version, layout, "--form", "oci")
	_, number, _ := strings.Cut(baked.Version, ":")
	c, err := launch.StartContainer(t.Context(), launch.ContainerSpec{Layout: layout, Reference: number, Dir: scratch, Ports: map[int]int{80: 0}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	body, err := c.WaitHTTP(ctx, 80, "/", http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), "debian-12-apache") {
		t.Errorf("the page is not the baseline's:\n%s", body)
	}
}
