package gpt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// GUID is a UUID in the byte order of its text (RFC 9562, 4.1). On disk its
// first three fields are little-endian (UEFI 2.10, appendix A).
type GUID [16]byte

// The partition types this project writes (UEFI 2.10, 5.3.3; the Discoverable
// Partitions Specification; GRUB's manual for the BIOS boot partition).
var (
	TypeBIOSBoot  = GUID{0x21, 0x68, 0x61, 0x48, 0x64, 0x49, 0x6e, 0x6f, 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49} // 21686148-6449-6e6f-744e-656564454649
	TypeESP       = GUID{0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b} // c12a7328-f81f-11d2-ba4b-00a0c93ec93b
	TypeRootAMD64 = GUID{0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd, 0x4d, 0xb1, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09} // 4f68bce3-e8cd-4db1-96e7-fbcaf984b709
	TypeRootARM64 = GUID{0xb9, 0x21, 0xb0, 0x45, 0x1d, 0xf0, 0x41, 0xc3, 0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae} // b921b045-1df0-41c3-af44-4c6f280d3fae
	// TypeData is a Linux file system that nothing mounts but fstab.
	TypeData = GUID{0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4} // 0fc63daf-8483-4772-8e79-3d69d8477de4
)

// Derive gives the GUID that belongs to name under seed: the same for the same
// pair, and different for any other. It is a UUID of version 8 (RFC 9562, 5.8)
// over SHA-256.
func Derive(seed, name string) GUID {
	var g GUID
	h := sha256.New()
	fmt.Fprintf(h, "imgbuild disk guid\x00%d\x00%s\x00%s", len(seed), seed, name)
	copy(g[:], h.Sum(nil))
	g[6] = g[6]&0x0f | 0x80
	g[8] = g[8]&0x3f | 0x80
	return g
}

// Parse reads the usual text form, in either case.
func Parse(s string) (GUID, error) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("%q is no GUID", s)
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(g[:], []byte(digits)); err != nil {
		return g, fmt.Errorf("%q is no GUID: %w", s, err)
	}
	return g, nil
}

// String gives the text form in lower case, as blkid and fstab(5) write it.
func (g GUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", g[0:4], g[4:6], g[6:8], g[8:10], g[10:16])
}

// onDisk gives the mixed-endian form of a partition table.
func (g GUID) onDisk() [16]byte {
	return [16]byte{g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]}
}
