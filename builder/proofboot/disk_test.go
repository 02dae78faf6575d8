package proofboot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/catalog"
	"imgbuild/images/integrity"
	"imgbuild/images/peertest"
	"imgbuild/provisioners/tree"
)

// ofNewFileSystem is what mtree may say of a disk: mke2fs makes the root
// directory itself, on the day of the newest package, and one directory in each
// file system.
var ofNewFileSystem = regexp.MustCompile(`^\.:\s+modification time \([^)]*\)\s*(extra: (\S+/)?lost\+found\s*)+$`)

// holdToManifest holds a version to its evidence, and the file system that the
// kernel finds in its qcow2 to the signed manifest: by NetBSD's mtree, and by
// what mtree(5) has no words for.
func holdToManifest(t *testing.T, baked *image, disk string) {
	peertest.Need(t, "sfdisk", "mtree")
	verified := string(baked.imgbuild(t, "images", "verify", baked.Version))
	for _, want := range []string{"ok     digests: ", "ok     signature of the index: ", "ok     integrity manifest of the disk: ", "ok     provenance: "} {
		if !strings.Contains(verified, want) {
			t.Errorf("images verify does not say %q:\n%s", want, verified)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting the disk is root's")
	}
	text := baked.manifest(t)
	want, err := integrity.ReadMtree(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	lacksWhatFirstBootMakes(t, want)

	root := mount(t, disk)
	mtree := exec.Command("mtree", "-p", root)
	mtree.Stdin = bytes.NewReader(text)
	if out, err := mtree.CombinedOutput(); !ofNewFileSystem.Match(out) {
		t.Errorf("mtree: %v\n%s", err, out)
	}
	entries, err := tree.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	entries = slices.DeleteFunc(entries, func(e integrity.Entry) bool { return path.Base(e.Path) == "lost+found" })
	got, err := integrity.NewManifest(entries, integrity.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range integrity.Compare(want, got) {
		if d.Path == "." && len(d.Fields) == 1 && d.Fields[0].Name == "time" {
			continue
		}
		t.Errorf("from manifest to disk: %s", d)
	}
	if len(want) < 10_000 {
		t.Errorf("the manifest has %d paths: a whole server has more", len(want))
	}

	// No file of a package is changed but its configuration, by controls.
	for line := range strings.Lines(string(tool(t, "dpkg", "--root="+root, "--verify"))) {
		if fields := strings.Fields(line); len(fields) != 3 || fields[1] != "c" {
			t.Errorf("dpkg --verify: %s", line)
		}
	}

	// No private key under any name, outside of /usr: libraries carry public
	// ones to test themselves.
	grep := exec.Command("grep", "-rlE", "--exclude-dir=usr", "-e", "^-----BEGIN [A-Z ]*PRIVATE KEY-----", ".")
	grep.Dir = root
	if out, err := grep.CombinedOutput(); err == nil || grep.ProcessState.ExitCode() != 1 {
		t.Errorf("private keys are in the image (%v):\n%s", err, out)
	}
}

// lacksWhatFirstBootMakes looks for what ofFirstBoot asks a server for.
func lacksWhatFirstBootMakes(t *testing.T, m integrity.Manifest) {
	for _, e := range m {
		for _, pattern := range []string{
			"etc/ssh/ssh_host_*", "etc/ssl/private/*", "etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/postgresql/*/*", "var/lib/postgresql/*/*",
		} {
			if found, err := path.Match(pattern, e.Path); err != nil || found {
				t.Errorf("the image holds %s (%v)", e.Path, err)
			}
		}
	}
}

// manifest reads the integrity manifest of an image's disk, which images verify
// found to be the one signed for.
func (i *image) manifest(t *testing.T) []byte {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Location: i.Catalog})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Resolve(t.Context(), i.Version, catalog.RefuseRevoked)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := c.Evidence(t.Context(), v, integrity.MediaType)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range attached {
		if e.Annotations["io.imgbuild.output"] == "disk" {
			text, err := e.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	t.Fatalf("%s has no integrity manifest of its disk", i.Version)
	return nil
}

// rootType is the partition type of a root file system of amd64 in the
// Discoverable Partitions Specification.
const rootType = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"

// mount mounts the root of a disk, and what its fstab names, until the test ends.
func mount(t *testing.T, disk string) string {
	t.Helper()
	dir := t.TempDir()
	raw, at := filepath.Join(dir, "raw"), filepath.Join(dir, "root")
	tool(t, "qemu-img", "convert", "-O", "raw", disk, raw)
	var table struct {
		PartitionTable struct {
			SectorSize int64
			Partitions []partition
		}
	}
	if err := json.Unmarshal(tool(t, "sfdisk", "--json", raw), &table); err != nil {
		t.Fatal(err)
	}
	sector := table.PartitionTable.SectorSize
	place := func(p partition, at string) {
		tool(t, "mount", "-t", "ext4", "-o", fmt.Sprintf("ro,noload,loop,offset=%d,sizelimit=%d", p.Start*sector, p.Size*sector), raw, at)
		t.Cleanup(func() { tool(t, "umount", at) })
	}
	byUUID := map[string]partition{}
	for _, p := range table.PartitionTable.Partitions {
		uuid, err := exec.Command("blkid", "--probe", "--offset", fmt.Sprint(p.Start*sector), "--match-tag", "UUID", "--output", "value", raw).Output()
		if err == nil { // the partition of the BIOS boot loader has none
			byUUID[strings.TrimSpace(string(uuid))] = p
		}
		if p.Type == rootType {
			if err := os.Mkdir(at, 0o755); err != nil {
				t.Fatal(err)
			}
			place(p, at)
		}
	}
	fstab, err := os.ReadFile(filepath.Join(at, "etc/fstab"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(fstab)) {
		if f := strings.Fields(line); len(f) == 6 && f[2] == "ext4" && f[1] != "/" {
			place(byUUID[strings.TrimPrefix(f[0], "UUID=")], filepath.Join(at, f[1]))
		}
	}
	return at
}

// partition is one of sfdisk's, in sectors.
type partition struct {
	Start, Size int64
	Type        string
}

func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}
