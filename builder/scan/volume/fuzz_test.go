package volume_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/scan/volume"
)

// FuzzOpen opens a small disk, raw or qcow2, that was changed in two places, and
// reads all of it: it ends, with an error or without.
func FuzzOpen(f *testing.F) {
	disk := raw(f, part{name: "root", kind: gpt.TypeRootAMD64, bytes: tiny(f, "map")})
	var bases [][]byte
	for _, path := range []string{disk, convert(f, disk, qcow2.Zstd), convert(f, disk, qcow2.Deflate)} {
		data, err := os.ReadFile(path)
		must(f, err)
		bases = append(bases, data)
	}
	path := filepath.Join(f.TempDir(), "disk")
	f.Add(byte(1), uint32(20), []byte{0, 0, 0, 9}, uint32(100), []byte{0, 0, 0, 112})
	f.Fuzz(func(t *testing.T, base byte, at uint32, first []byte, then uint32, second []byte) {
		data := bytes.Clone(bases[int(base)%len(bases)])
		copy(data[int(at)%len(data):], first)
		copy(data[int(then)%len(data):], second)
		must(t, os.WriteFile(path, data, 0o600))
		v, err := volume.Open(path)
		if err != nil {
			return
		}
		defer v.Close()
		_, _ = describe(v)
	})
}

// FuzzFstab reads a table of file systems.
func FuzzFstab(f *testing.F) {
	f.Add("UUID=1 / ext4 defaults 0 1\n# a comment\nLABEL=a\\040b /a\\040b auto noauto,x-y=\"z\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := volume.ParseFstab(text)
		if err == nil && entries > len(text) {
			t.Errorf("%d entries in %d bytes", entries, len(text))
		}
	})
}
