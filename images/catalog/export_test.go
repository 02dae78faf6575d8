package catalog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
)

func TestCopyCarriesEvidenceAndSignatures(t *testing.T) {
	ctx := context.Background()
	key, trust := signingtest.Keyring(t, "release")
	here := open(t, catalog.Config{Location: t.TempDir(), Trust: trust})
	v := mustBake(t, here, "web", "one", nil)
	sig, err := signing.SignImage(ctx, "registry.example/web", v.Container.Digest.String(), day, key)
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := signing.SignatureArtifact(v.Container.Digest.String(), []signing.ImageSignature{sig})
	if err != nil {
		t.Fatal(err)
	}
	if err := here.PutTagged(ctx, v, artifact); err != nil {
		t.Fatal(err)
	}
	addr := registrytest.Start(t, "")
	there := open(t, catalog.Config{Location: "docker://" + addr + "/prod", Locks: t.TempDir(), Trust: trust})
	back := open(t, catalog.Config{Location: t.TempDir(), Trust: trust})
	from := here
	for _, to := range []*catalog.Catalog{there, back} {
		for range 2 { // the second changes nothing
			if err := from.Copy(ctx, v, to); err != nil {
				t.Fatal(err)
			}
		}
		got, err := to.Resolve(ctx, v.Ref(), catalog.RefuseRevoked)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("the copy differs:\n%s", diff)
		}
		if sum, err := to.Verify(ctx, got); err != nil || sum.Blobs != 9 {
			t.Errorf("verifying the copy: %+v, %v", sum, err)
		}
		if docs, err := to.Evidence(ctx, got, ""); err != nil || len(docs) != 1 {
			t.Errorf("evidence: got %v, %v", docs, err)
		}
		if raw, _, err := to.Tagged(ctx, got, artifact.Tag); err != nil || !bytes.Equal(raw, artifact.Manifest.Content) {
			t.Errorf("signature: got %q, %v", raw, err)
		}
		from = to
	}
	other := open(t, catalog.Config{Location: t.TempDir()})
	clash := mustBake(t, other, "web", "other", nil)
	if err := other.Copy(ctx, clash, there); fault.KindOf(err) != fault.World {
		t.Errorf("another image under the same number: got %v", err)
	}
	pullsTheContainer(t, addr+"/prod/web", v)
}

// pullsTheContainer lets skopeo and podman pull a version from a registry.
func pullsTheContainer(t *testing.T, name string, v *catalog.Version) {
	t.Helper()
	if program, err := exec.LookPath("skopeo"); err == nil {
		to := filepath.Join(t.TempDir(), "copy")
		if out, err := exec.Command(program, "copy", "--src-tls-verify=false", "docker://"+name+":"+v.Number, "oci:"+to).CombinedOutput(); err != nil {
			t.Fatalf("skopeo: %v: %s", err, out)
		}
		out, err := exec.Command(program, "inspect", "--format", "{{.Digest}}", "oci:"+to).Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != v.Container.Digest.String() {
			t.Errorf("skopeo pulled %s, %v; the container is %s", got, err, v.Container.Digest)
		}
	}
	program, err := exec.LookPath("podman")
	if err != nil || os.Geteuid() != 0 {
		return
	}
	dir, err := os.MkdirTemp("", "pod") // podman refuses a longer one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	storage := []string{"--root", filepath.Join(dir, "a"), "--runroot", filepath.Join(dir, "b"), "--storage-driver", "vfs", "--events-backend", "none"}
	if out, err := exec.Command(program, append(storage, "pull", "--tls-verify=false", name+":"+v.Number)...).CombinedOutput(); err != nil {
		t.Fatalf("podman: %v: %s", err, out)
	}
	out, err := exec.Command(program, append(storage, "image", "inspect", name+":"+v.Number)...).Output()
	var seen []struct{ RepoDigests []string }
	if err := errors.Join(err, json.Unmarshal(out, &seen)); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || !strings.Contains(strings.Join(seen[0].RepoDigests, " "), v.Container.Digest.String()) {
		t.Errorf("podman pulled %+v; the container is %s", seen, v.Container.Digest)
	}
}

func TestDisksComeBackAsTheyWere(t *testing.T) {
	ctx := context.Background()
	dir, out := t.TempDir(), t.TempDir()
	c := open(t, catalog.Config{Location: dir})
	// A raw disk with data at its ends and a hole of 40 MiB between.
	disk := make([]byte, 48<<20)
	random := rand.NewChaCha8([32]byte{1})
	for _, part := range [][]byte{disk[:3<<20+5], disk[len(disk)-100:]} {
		if _, err := random.Read(part); err != nil {
			t.Fatal(err)
		}
	}
	raw := filepath.Join(out, "disk.raw")
	if err := os.WriteFile(raw, disk, 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := c.Begin(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var manifests []string
	var disks []catalog.Disk
	for range 2 {
		stored, err := d.AddDisk(ctx, "raw", "amd64", raw)
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, stored.Manifest.Digest.String())
		disks = []catalog.Disk{stored}
	}
	if manifests[0] != manifests[1] {
		t.Errorf("one disk gave two digests: %v", manifests)
	}
	v, err := d.Commit(ctx, catalog.New{Disks: disks, Baked: day}, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(out, "again.raw")
	if err := c.ExportDisk(ctx, v, "raw", to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, disk) {
		t.Errorf("the disk came back as something else: %v", err)
	}
	if program, err := exec.LookPath("du"); err == nil {
		if used, err := exec.Command(program, "-k", to).Output(); err != nil || strings.HasPrefix(string(used), "49") {
			t.Errorf("the disk came back without its hole: %s, %v", used, err)
		}
	}
	if err := c.ExportDisk(ctx, v, "raw", to); fault.KindOf(err) != fault.Input {
		t.Errorf("over an existing file: got %v", err)
	}
	if err := c.ExportDisk(ctx, v, "vmdk", to+"2"); fault.KindOf(err) != fault.Input {
		t.Errorf("a format that is not there: got %v", err)
	}
	if err := c.ExportContainer(ctx, v, catalog.OCIDirectory, to+"2"); fault.KindOf(err) != fault.Input {
		t.Errorf("a container that is not there: got %v", err)
	}
	left, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
