package proofpeers_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog"
	"imgbuild/images/signing"
)

// blob is where a layout keeps a blob.
func (p *place) blob(digest string) string {
	return filepath.Join(p.layout("peer-web"), "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// manifest reads a manifest or an index of the layout of peer-web.
func (p *place) manifest(t *testing.T, digest string) (m ocispec.Manifest, manifests []ocispec.Descriptor) {
	t.Helper()
	raw, err := os.ReadFile(p.blob(digest))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	for _, into := range []any{&m, &index} {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return m, index.Manifests
}

// flip changes one byte in the middle of a blob. The blob is shared with other
// catalogs by a hard link, so that it is written anew.
func (p *place) flip(t *testing.T, digest string) {
	t.Helper()
	path := p.blob(digest)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o444); err != nil {
		t.Fatal(err)
	}
}

// attached finds a document attached to a version: that of a predicate type,
// or of an artifact type. It returns its manifest's digest and its own.
func (p *place) attached(t *testing.T, subject, kind string) (manifest, document string) {
	t.Helper()
	for _, d := range p.entries(t).Manifests {
		m, _ := p.manifest(t, d.Digest.String())
		if m.Subject != nil && m.Subject.Digest.String() == subject && (m.Annotations["in-toto.io/predicate-type"] == kind || m.ArtifactType == kind) {
			return d.Digest.String(), m.Layers[0].Digest.String()
		}
	}
	t.Fatalf("nothing of %s is attached to %s", kind, subject)
	return "", ""
}

// entries reads the index.json of the layout of peer-web.
func (p *place) entries(t *testing.T) ocispec.Index {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.layout("peer-web"), "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// edit changes the entries of index.json by hand.
func (p *place) edit(t *testing.T, change func([]ocispec.Descriptor) []ocispec.Descriptor) {
	t.Helper()
	index := p.entries(t)
	index.Manifests = change(index.Manifests)
	raw, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.layout("peer-web"), "index.json")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// retag moves a tag without any record.
func (p *place) retag(t *testing.T, tag, digest string) {
	t.Helper()
	p.edit(t, func(all []ocispec.Descriptor) []ocispec.Descriptor {
		var target ocispec.Descriptor
		for _, d := range all {
			if d.Digest.String() == digest {
				target = d
			}
		}
		target.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
		all = slices.DeleteFunc(all, func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] == tag })
		return append(all, target)
	})
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	const mtree = "text/x-mtree"
	drop := func(p *place, t *testing.T, unwanted func(ocispec.Descriptor) bool) {
		p.edit(t, func(all []ocispec.Descriptor) []ocispec.Descriptor { return slices.DeleteFunc(all, unwanted) })
	}
	for name, c := range map[string]struct {
		// harm returns what the program has to say of it.
		harm func(t *testing.T, p *place) (words []string)
		// image is what to verify instead of the version.
		image string
	}{
		"a layer's byte": {harm: func(t *testing.T, p *place) []string {
			container, _ := p.manifest(t, h.web.Container)
			layer := container.Layers[len(container.Layers)/2].Digest.String()
			p.flip(t, layer)
			return []string{"WRONG  digests: ", "blob " + layer + " is damaged", "ok     signature of the container"}
		}},
		"a layer gone": {harm: func(t *testing.T, p *place) []string {
			container, _ := p.manifest(t, h.web.Container)
			layer := container.Layers[0].Digest.String()
			if err := os.Remove(p.blob(layer)); err != nil {
				t.Fatal(err)
			}
			return []string{"WRONG  digests: ", "blob " + layer + " cannot be read"}
		}},
		"the container's configuration": {harm: func(t *testing.T, p *place) []string {
			container, _ := p.manifest(t, h.web.Container)
			config := container.Config.Digest.String()
			p.flip(t, config)
			return []string{"WRONG  digests: ", "blob " + config + " is damaged"}
		}},
		"the container's manifest": {harm: func(t *testing.T, p *place) []string {
			p.flip(t, h.web.Container)
			return []string{"WRONG  digests: ", h.web.Container}
		}},
		"the integrity manifest's byte": {harm: func(t *testing.T, p *place) []string {
			_, document := p.attached(t, h.web.Digest, mtree)
			p.flip(t, document)
			return []string{"WRONG  digests: ", "WRONG  integrity manifest of the container: ", document, "ok     provenance"}
		}},
		"an SBOM's byte": {harm: func(t *testing.T, p *place) []string {
			_, document := p.attached(t, h.web.Digest, signing.PredicateCycloneDX)
			p.flip(t, document)
			return []string{"WRONG  digests: ", "WRONG  CycloneDX: ", document, "ok     SPDX"}
		}},
		"no provenance": {harm: func(t *testing.T, p *place) []string {
			manifest, _ := p.attached(t, h.web.Digest, signing.PredicateProvenance)
			drop(p, t, func(d ocispec.Descriptor) bool { return d.Digest.String() == manifest })
			return []string{"WRONG  provenance: there is none", "1 of "}
		}},
		"no integrity manifest": {harm: func(t *testing.T, p *place) []string {
			manifest, _ := p.attached(t, h.web.Digest, mtree)
			drop(p, t, func(d ocispec.Descriptor) bool { return d.Digest.String() == manifest })
			return []string{"WRONG  integrity manifest of the container: ", "signed for, but not attached"}
		}},
		"no signature": {harm: func(t *testing.T, p *place) []string {
			tag := strings.Replace(h.web.Container, ":", "-", 1) + ".sig"
			drop(p, t, func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] == tag })
			return []string{"WRONG  signature of the container: ", "it is not signed", "ok     signature of the index"}
		}},
		"a stranger's signature": {harm: func(t *testing.T, p *place) []string {
			p.signAgain(t, h.web.Version, h.web.Digest)
			return []string{"WRONG  signature of the index: ", "not by a trusted key", "ok     signature of the container"}
		}},
		"the channel's tag": {image: "peer-web:released", harm: func(t *testing.T, p *place) []string {
			p.must(t, "images", "promote", h.newer.Version, "released", "--who", "alice")
			p.retag(t, "released", h.web.Digest)
			words := []string{`tag "released" points to ` + h.web.Digest, "by alice on", h.newer.Digest}
			p.refuses(t, 4, words, "images", "promote", h.web.Version, "released")
			p.refuses(t, 4, words, "run", "peer-web:released")
			p.refuses(t, 0, append(words, "DOUBTFUL"), "images", "list")
			// To what the record says it may come back.
			p.must(t, "images", "promote", h.newer.Version, "released")
			p.must(t, "images", "show", "peer-web:released")
			p.retag(t, "released", h.web.Digest)
			return words
		}},
		"a channel's tag without a record": {image: "peer-web:released", harm: func(t *testing.T, p *place) []string {
			p.retag(t, "released", h.web.Digest)
			return []string{`tag "released"`, "no signed record says so"}
		}},
		"the version's tag": {harm: func(t *testing.T, p *place) []string {
			p.retag(t, h.web.number(), h.newer.Digest)
			return []string{"tag " + h.web.Version + " names the index of version " + h.newer.number()}
		}},
		"another baseline's image": {image: "copied:" + h.web.number(), harm: func(t *testing.T, p *place) []string {
			if out, err := exec.Command("cp", "-al", p.layout("peer-web"), p.layout("copied")).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			words := []string{h.web.Digest + " in copied is not an image version of this baseline"}
			p.refuses(t, 4, words, "images", "export", "copied:"+h.web.number(), filepath.Join(newDir(t), "oci"), "--form", "oci")
			return words
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := h.copy(t)
			words, image := c.harm(t, p), c.image
			if image == "" {
				image = h.web.Version
			}
			p.refuses(t, 4, words, "images", "verify", image)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		a := h.at(h.catalog).run("images", "verify", h.web.Version)
		if a.code != 0 || strings.Contains(a.stdout, "WRONG") || strings.Count(a.stdout, "\nok ") != 10 {
			t.Error(a)
		}
	})
	t.Run("nobody's key", func(t *testing.T) {
		p, project := h.at(h.catalog), filepath.Join(newDir(t), "stranger")
		p.must(t, "init", project)
		p.refuses(t, 4, []string{"WRONG  signature of the index", "WRONG  CycloneDX", "WRONG  provenance", "WRONG  integrity manifest", "ok     digests"},
			"images", "verify", h.web.Version, "--project", project)
		for _, args := range [][]string{
			{"images", "export", h.web.Version, filepath.Join(newDir(t), "oci"), "--form", "oci"},
			{"images", "promote", h.web.Version, "released"},
			{"run", h.web.Version},
		} {
			p.refuses(t, 4, []string{"not by a trusted key"}, append(args, "--project", project)...)
		}
	})
}

// signAgain replaces cosign's signatures of a digest by a stranger's.
func (p *place) signAgain(t *testing.T, version, digest string) {
	t.Helper()
	ctx := context.Background()
	stranger, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signing.SignImage(ctx, "peer-web", digest, time.Now(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := signing.SignatureArtifact(digest, []signing.ImageSignature{signature})
	if err != nil {
		t.Fatal(err)
	}
	c := p.open(t)
	v, err := c.Resolve(ctx, version, catalog.AllowRevoked)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.PutTagged(ctx, v, artifact); err != nil {
		t.Fatal(err)
	}
}
