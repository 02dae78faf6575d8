package volume_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/scan/volume"
	"imgbuild/images/fault"
)

// TestWhatIsNoDiskIsNamed says what a file is, and what is accepted.
func TestWhatIsNoDiskIsNamed(t *testing.T) {
	at := func(place int, mark string) []byte {
		return append(append(make([]byte, place), mark...), make([]byte, 4096)...)
	}
	for want, data := range map[string][]byte{
		"an empty file":                 nil,
		"nothing that is known":         []byte("just a text\n"),
		"a VMDK disk":                   at(0, "KDMV"),
		"a VHDX disk":                   at(0, "vhdxfile"),
		"compressed with gzip":          at(0, "\x1f\x8b\x08"),
		"compressed with xz":            at(0, "\xfd7zXZ\x00"),
		"a tar archive":                 at(257, "ustar"),
		"a program":                     at(0, "\x7fELF"),
		"without a partition table":     tiny(t, "map"),
		"a CD-ROM image":                at(0x8001, "CD001"),
		"a disk without a GUID":         at(510, "\x55\xaa"),
		"too small":                     at(512, "EFI PART"),
		"its protective MBR is missing": append(at(512, "EFI PART"), make([]byte, 1<<20)...),
	} {
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, data, 0o600))
		_, err := volume.Open(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || fault.KindOf(err) != fault.Input ||
			!strings.Contains(fault.HintOf(err), "raw or qcow2") {
			t.Errorf("want %q: %v (%s)", want, err, fault.HintOf(err))
		}
	}
	if _, err := volume.Open(t.TempDir()); fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
		t.Errorf("a directory: %v", err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(pipe, 0o600))
	if _, err := volume.Open(pipe); fault.KindOf(err) != fault.Input {
		t.Errorf("a pipe: %v", err)
	}
}

// TestNoOtherFileIsRead has images that name one, and others that must not be
// trusted.
func TestNoOtherFileIsRead(t *testing.T) {
	dir := t.TempDir()
	secret := raw(t, part{name: "root", kind: gpt.TypeRootAMD64, bytes: tiny(t, "checksums")})
	at := func(name string) string { return filepath.Join(dir, name) }
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", at("backing"))
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+at("data"), at("external"), "10M")
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on", at("extended"), "10M")
	run(t, "qemu-img", "create", "-q", "-f", "qcow2", at("encrypted"), "10M")
	header, err := os.ReadFile(at("encrypted"))
	must(t, err)
	binary.BigEndian.PutUint32(header[32:], 2) // crypt_method: LUKS
	must(t, os.WriteFile(at("encrypted"), header, 0o600))
	for name, want := range map[string]string{
		"backing": "its backing file", "external": "external data file", "extended": "extended L2 entries", "encrypted": "encrypted",
	} {
		if _, err := volume.Open(at(name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHeadersAreHeldAgainstTheFile changes fields that would have a reader take
// much memory, or look anywhere.
func TestHeadersAreHeldAgainstTheFile(t *testing.T) {
	whole, err := os.ReadFile(convert(t, raw(t, part{name: "root", kind: gpt.TypeRootAMD64, bytes: tiny(t, "checksums")}), qcow2.Zstd))
	must(t, err)
	be := binary.BigEndian
	for name, change := range map[string]func(h []byte){
		"version 4":               func(h []byte) { be.PutUint32(h[4:], 4) },
		"no clusters":             func(h []byte) { be.PutUint32(h[20:], 64) },
		"tiny clusters":           func(h []byte) { be.PutUint32(h[20:], 8) },
		"no size":                 func(h []byte) { be.PutUint64(h[24:], 0) },
		"exabytes":                func(h []byte) { be.PutUint64(h[24:], 1<<60) },
		"larger than its table":   func(h []byte) { be.PutUint64(h[24:], 1<<30) },
		"a table of 32 GiB":       func(h []byte) { be.PutUint32(h[36:], 1<<32-1) },
		"a table behind the end":  func(h []byte) { be.PutUint64(h[40:], 1<<40) },
		"a table at an odd place": func(h []byte) { be.PutUint64(h[40:], be.Uint64(h[40:])+512) },
		"dirty":                   func(h []byte) { h[79] |= 1 },
		"corrupt":                 func(h []byte) { h[79] |= 2 },
		"unknown feature":         func(h []byte) { h[72] |= 0x80 },
		"unknown compression":     func(h []byte) { h[104] = 7 },
		"a short header":          func(h []byte) { be.PutUint32(h[100:], 100) },
		"a backing file":          func(h []byte) { be.PutUint64(h[8:], 200); be.PutUint32(h[16:], 11) },
	} {
		data := append([]byte(nil), whole...)
		change(data)
		path := filepath.Join(t.TempDir(), "disk.qcow2")
		must(t, os.WriteFile(path, data, 0o600))
		if _, err := volume.Open(path); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	must(t, os.WriteFile(path, whole[:len(whole)/3], 0o600))
	if _, err := volume.Open(path); err == nil {
		t.Error("a third of it: opened")
	}
}
