package signing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/signing"
	"imgbuild/images/signing/cosigntest"
)

func push(t *testing.T, repository *remote.Repository, artifact signing.Artifact) {
	t.Helper()
	ctx := context.Background()
	for _, blob := range artifact.Blobs {
		if err := repository.Blobs().Push(ctx, blob.Descriptor, bytes.NewReader(blob.Content)); err != nil {
			t.Fatal(err)
		}
	}
	manifest := artifact.Manifest
	var err error
	if artifact.Tag == "" {
		err = repository.Manifests().Push(ctx, manifest.Descriptor, bytes.NewReader(manifest.Content))
	} else {
		err = repository.Manifests().PushReference(ctx, manifest.Descriptor, bytes.NewReader(manifest.Content), artifact.Tag)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func blob(mediaType string, content []byte) signing.Blob {
	return signing.Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
		Content:    content,
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pushImage pushes an index, tagged, of one container image with one layer.
func pushImage(t *testing.T, repository *remote.Repository, tag string) (index, container ocispec.Descriptor) {
	t.Helper()
	layer := blob(ocispec.MediaTypeImageLayer, make([]byte, 1024))
	config := blob(ocispec.MediaTypeImageConfig, encode(t, ocispec.Image{
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Descriptor.Digest}},
	}))
	manifest := blob(ocispec.MediaTypeImageManifest, encode(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.Descriptor, Layers: []ocispec.Descriptor{layer.Descriptor},
	}))
	push(t, repository, signing.Artifact{Manifest: manifest, Blobs: []signing.Blob{layer, config}})
	list := blob(ocispec.MediaTypeImageIndex, encode(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{manifest.Descriptor},
	}))
	push(t, repository, signing.Artifact{Tag: tag, Manifest: list})
	return list.Descriptor, manifest.Descriptor
}

func TestCosignVerifiesImagesAndAttestations(t *testing.T) {
	t.Parallel()
	program, address := cosigntest.Program(t), registrytest.Start(t, "")
	ctx := context.Background()
	key, old := newKey(t), newKey(t)
	name := address + "/web"
	repository, err := remote.NewRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	index, container := pushImage(t, repository, "1")
	for _, subject := range []ocispec.Descriptor{index, container} {
		// A rotated key's signature stays beside the new one.
		var signatures []signing.ImageSignature
		for _, k := range []*signing.Key{old, key} {
			signature, err := signing.SignImage(ctx, name, subject.Digest.String(), day, k)
			if err != nil {
				t.Fatal(err)
			}
			signatures = append(signatures, signature)
		}
		artifact, err := signing.SignatureArtifact(subject.Digest.String(), signatures)
		if err != nil {
			t.Fatal(err)
		}
		push(t, repository, artifact)
	}
	statement := sbomStatement()
	statement.Subjects[0].Digest = index.Digest.String()
	envelope, err := signing.SignStatement(ctx, statement, key)
	if err != nil {
		t.Fatal(err)
	}
	attestation, err := signing.AttestationArtifact(index.Digest.String(), [][]byte{envelope})
	if err != nil {
		t.Fatal(err)
	}
	push(t, repository, attestation)
	referrer, err := signing.AttestationReferrer(index, envelope)
	if err != nil {
		t.Fatal(err)
	}
	push(t, repository, referrer)

	dir := t.TempDir()
	file := func(name string, content []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=secret", "HOME="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	good := file("good.pub", key.Public().PEM(), nil)
	bad := file("bad.pub", newKey(t).Public().PEM(), nil)
	for _, reference := range []string{name + ":1", name + "@" + container.Digest.String()} {
		if out, err := run("verify", "--key", good, "--private-infrastructure", "--allow-http-registry", reference); err != nil {
			t.Errorf("cosign verify %s: %v\n%s", reference, err, out)
		}
		if out, err := run("verify", "--key", bad, "--private-infrastructure", "--allow-http-registry", reference); err == nil {
			t.Errorf("cosign accepted a stranger's key: %s", out)
		}
	}
	if out, err := run("verify-attestation", "--key", good, "--type", "cyclonedx", "--private-infrastructure", "--allow-http-registry", name+":1"); err != nil || !strings.Contains(out, "payload") {
		t.Errorf("cosign verify-attestation: %v\n%s", err, out)
	}

	// The other way round: cosign signs with our key file, and we verify.
	private, err := key.EncryptedPEM([]byte("secret"))
	keyFile := file("cosign.key", private, err)
	index2, _ := pushImage(t, repository, "2")
	if index2.Digest != index.Digest {
		t.Fatal("the same image got two digests")
	}
	message := file("message", []byte("hello"), nil)
	signature := filepath.Join(dir, "message.sig")
	if out, err := run("sign-blob", "--key", keyFile, "--tlog-upload=false", "--yes", "--output-signature", signature, message); err != nil {
		t.Errorf("cosign sign-blob: %v\n%s", err, out)
	}
	if out, err := run("verify-blob", "--key", good, "--signature", signature, "--private-infrastructure", message); err != nil {
		t.Errorf("cosign verify-blob: %v\n%s", err, out)
	}
	if out, err := run("sign", "--key", keyFile, "--tlog-upload=false", "--yes", "--allow-http-registry", name+"@"+index.Digest.String()); err != nil {
		t.Errorf("cosign sign: %v\n%s", err, out)
	}
	manifest := fetch(t, repository.Manifests().FetchReference, strings.Replace(index.Digest.String(), ":", "-", 1)+".sig")
	parsed, err := signing.ParseSignatureManifest(manifest, func(d ocispec.Descriptor) ([]byte, error) {
		return fetch(t, repository.Blobs().FetchReference, d.Digest.String()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed) != 3 {
		t.Errorf("found %d signatures after cosign added one to two", len(parsed))
	}
	trust := trusting(t, signing.TrustedKey{Name: "release", Key: key.Public()})
	for _, s := range parsed[1:] {
		if signer, err := signing.VerifyImage(ctx, index.Digest.String(), []signing.ImageSignature{s}, trust); err != nil || signer.Name != "release" {
			t.Errorf("verifying %s: %v", s.Payload, err)
		}
		if _, err := signing.VerifyImage(ctx, container.Digest.String(), []signing.ImageSignature{s}, trust); err == nil {
			t.Error("a signature of the index was taken for the container's")
		}
	}

	cosignKeys := filepath.Join(dir, "generated")
	if out, err := run("generate-key-pair", "--output-key-prefix", cosignKeys); err != nil {
		t.Fatalf("cosign generate-key-pair: %v\n%s", err, out)
	}
	generated, err := os.ReadFile(cosignKeys + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signing.ParseKey(generated, []byte("secret")); err != nil {
		t.Errorf("reading cosign's key: %v", err)
	}
}
