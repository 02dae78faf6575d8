package proofpeers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"imgbuild/images/signing"
	"imgbuild/images/signing/cosigntest"
)

// cosignAccepts verifies a baked version as its users would, and then what
// only looks like it.
func cosignAccepts(t *testing.T, h *house, address string, baked image) {
	program, home := cosigntest.Program(t), newDir(t)
	name := address + "/team/images/peer-web"
	verify := func(key, reference string) error {
		cmd := exec.Command(program, "verify", "--key", key, "--private-infrastructure", "--allow-http-registry", reference)
		cmd.Env = append(os.Environ(), "HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			return &answer{args: cmd.Args, stdout: string(out), code: cmd.ProcessState.ExitCode()}
		}
		return nil
	}
	stranger, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(home, "other.pub")
	if err := os.WriteFile(other, stranger.Public().PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, reference := range map[string]string{"index": name + ":" + baked.number(), "container": name + "@" + baked.Container} {
		if err := verify(h.publicKey(), reference); err != nil {
			t.Errorf("the %s: %v", what, err)
		}
		if verify(other, reference) == nil {
			t.Errorf("the %s: a stranger's key is accepted", what)
		}
	}

	// Another index under the version's tag is not signed, and the signature
	// of the first does not become its own by being tagged so.
	repository, err := remote.NewRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	ctx := t.Context()
	_, raw := fetch(t, ctx, repository, baked.number())
	var index map[string]any
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	index["annotations"].(map[string]any)["org.opencontainers.image.title"] = "another"
	if raw, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	tampered := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := repository.Manifests().PushReference(ctx, tampered, bytes.NewReader(raw), baked.number()); err != nil {
		t.Fatal(err)
	}
	if verify(h.publicKey(), name+":"+baked.number()) == nil {
		t.Error("an index without a signature is accepted")
	}
	signature, text := fetch(t, ctx, repository, strings.Replace(baked.Digest, ":", "-", 1)+".sig")
	tag := strings.Replace(tampered.Digest.String(), ":", "-", 1) + ".sig"
	if err := repository.Manifests().PushReference(ctx, signature, bytes.NewReader(text), tag); err != nil {
		t.Fatal(err)
	}
	if verify(h.publicKey(), name+":"+baked.number()) == nil {
		t.Error("the signature of another index is accepted")
	}
	h.at("docker://"+address+"/team/images").refuses(t, 4, []string{"WRONG  signature of the index"}, "images", "verify", baked.Version)
}

// fetch reads a manifest of a registry.
func fetch(t *testing.T, ctx context.Context, from *remote.Repository, reference string) (ocispec.Descriptor, []byte) {
	t.Helper()
	desc, body, err := from.Manifests().FetchReference(ctx, reference)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return desc, raw
}
