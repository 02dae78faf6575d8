package proofpeers_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/peertest"
)

// changing is what tells the answers of two places apart: when it was, and
// which of the two made a stage first.
var changing = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:]+Z?)?( UTC)?|(?m)^(cached|done ) .*$`)

func TestARegistryAnswersAsADirectoryDoes(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	directory, registry := h.copy(t), h.at("docker://"+registrytest.Start(t, "")+"/team/images")
	for _, i := range []image{h.web, h.newer, h.shop} {
		directory.must(t, "images", "export", i.Version, registry.catalog)
	}
	for _, step := range []struct {
		code int
		args string
	}{
		{0, "images list"},
		{0, "images show WEB --output json"},
		{0, "images show peer-web"},
		{0, "images verify WEB --output json"},
		{0, "images promote WEB released --who alice --why checked"},
		{0, "images promote NEWER released --who alice"},
		{0, "images history peer-web:released"},
		{0, "images show peer-web:released"},
		{0, "images diff WEB peer-web:released --files"},
		{2, "images show peer-web:nowhere"},
		{2, "images show peer-web:20010101.1"},
		{2, "images show nothing"},
		{0, "images revoke WEB --reason broken --who bob --cascade --rollback peer-web:released"},
		{0, "images list peer-shop"},
		{3, "images promote WEB released"},
		{3, "images promote peer-shop released"},
		{3, "images verify WEB"},
		{3, "images export WEB oci --form oci"},
		{3, "run WEB"},
		{3, "bake peer-shop"},
	} {
		args := strings.Fields(strings.NewReplacer("WEB", h.web.Version, "NEWER", h.newer.Version).Replace(step.args))
		var said []string
		for _, p := range []*place{directory, registry} {
			a := p.run(args...)
			if a.code != step.code {
				t.Errorf("%s: want exit %d of %v", p.catalog, step.code, a)
			}
			said = append(said, changing.ReplaceAllString(a.stdout+a.stderr, "-"))
		}
		if said[0] != said[1] {
			t.Errorf("%s: the directory answers\n%s\nthe registry answers\n%s", step.args, said[0], said[1])
		}
	}
}

func TestARegistryGetsABakeAndServesIt(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	address := registrytest.Start(t, "")
	p := h.at("docker://" + address + "/team/images")
	var baked image
	if err := p.bake("peer-web", &baked); err != nil {
		t.Fatal(err)
	}
	if baked.Container != h.web.Container || baked.Known {
		t.Errorf("the registry got %+v, the directory %+v", baked, h.web)
	}
	if again := decode[image](t, p, "bake", "peer-web"); !again.Known || again.Digest != baked.Digest {
		t.Errorf("baked again: %+v", again)
	}
	p.must(t, "images", "promote", baked.Version, "released")
	name := address + "/team/images/peer-web"
	p.refuses(t, 0, []string{"collects its garbage itself", "stages "}, "images", "gc")
	t.Run("skopeo", func(t *testing.T) {
		peertest.Need(t, "skopeo")
		for _, tag := range []string{baked.number(), "released"} {
			to := "oci:" + filepath.Join(newDir(t), "copy") + ":x"
			command(t, "skopeo", "copy", "--quiet", "--src-tls-verify=false", "docker://"+name+":"+tag, to)
			if got := inspect(t, to).Digest; got != baked.Container {
				t.Errorf("skopeo copied %s, the container is %s", got, baked.Container)
			}
		}
	})
	t.Run("podman", func(t *testing.T) {
		peertest.Need(t, "podman")
		skipRootless(t)
		dir := newDir(t)
		podman := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--events-backend", "none", "--cgroup-manager", "cgroupfs"}
		reference := name + ":" + baked.number()
		id := command(t, "podman", append(podman, "pull", "--quiet", "--tls-verify=false", reference)...)
		if got := command(t, "podman", append(podman, "image", "inspect", "--format", "{{.Digest}}", id)...); got != baked.Container && got != baked.Digest {
			t.Errorf("podman pulled %s; the container is %s of %s", got, baked.Container, baked.Digest)
		}
		if got := command(t, "podman", append(podman, "image", "inspect", "--format", "{{.Config.Entrypoint}} {{.Config.ExposedPorts}}", id)...); got != "[/usr/sbin/nginx -g daemon off;] map[80/tcp:{}]" {
			t.Errorf("the image's configuration is %s", got)
		}
	})
	t.Run("referrers", func(t *testing.T) { referrersAreListed(t, name, baked) })
	t.Run("cosign", func(t *testing.T) { cosignAccepts(t, h, address, baked) })
}

// referrersAreListed reads the referrers as the distribution specification
// says they are found where a registry has no API for them: under a tag of the
// subject's digest.
func referrersAreListed(t *testing.T, name string, baked image) {
	address, repository, _ := strings.Cut(name, "/")
	tag := strings.Replace(baked.Digest, ":", "-", 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", ocispec.MediaTypeImageIndex)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var index struct {
		Manifests []struct {
			ArtifactType string
			Annotations  map[string]string
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&index); err != nil {
		t.Fatalf("status %s: %v", response.Status, err)
	}
	var found []string
	for _, m := range index.Manifests {
		found = append(found, m.ArtifactType+" "+m.Annotations["in-toto.io/predicate-type"])
	}
	slices.Sort(found)
	want := []string{
		"application/vnd.dsse.envelope.v1+json https://cyclonedx.org/bom",
		"application/vnd.dsse.envelope.v1+json https://slsa.dev/provenance/v1",
		"application/vnd.dsse.envelope.v1+json https://spdx.dev/Document",
		"application/vnd.dsse.envelope.v1+json urn:imgbuild:predicate:controls:v1",
		"application/vnd.dsse.envelope.v1+json urn:imgbuild:predicate:integrity:v1",
		"application/vnd.dsse.envelope.v1+json urn:imgbuild:predicate:recipe:v1",
		"application/vnd.dsse.envelope.v1+json urn:imgbuild:predicate:scan:v1",
		"text/x-mtree ",
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %q\nwant  %q", found, want)
	}
}
