package volume

import (
	"errors"
	"io"
	"strings"
)

// The forms that are read; any other string says what a file is instead.
const (
	qcow2Image = "a qcow2 image"
	rawImage   = "a raw image"
)

// marks are what known formats have at a place.
var marks = []struct {
	at   int
	mark string
	what string
}{
	{0, "QFI\xfb", qcow2Image},
	{512, "EFI PART", rawImage},
	{0, "KDMV", "a VMDK disk"},
	{0, "# Disk DescriptorFile", "the descriptor of a VMDK disk"},
	{64, "\x7f\x10\xda\xbe", "a VDI disk"},
	{0, "vhdxfile", "a VHDX disk"},
	{0, "conectix", "a VHD disk"},
	{0, "\x1f\x8b", "compressed with gzip"},
	{0, "\xfd7zXZ\x00", "compressed with xz"},
	{0, "\x28\xb5\x2f\xfd", "compressed with zstd"},
	{0, "BZh", "compressed with bzip2"},
	{0, "PK\x03\x04", "a zip archive"},
	{257, "ustar", "a tar archive, such as an OVA or a container image"},
	{0, "hsqs", "a SquashFS file system"},
	{1024 + 0x38, "\x53\xef", "an ext4 file system without a partition table"},
	{1024, "\xe2\xe1\xf5\xe0", "an EROFS file system"},
	{0, "XFSB", "an XFS file system"},
	{0x8001, "CD001", "a CD-ROM image"},
	{0, "\x7fELF", "a program"},
	{0, "%PDF", "a PDF document"},
	{510, "\x55\xaa", "a disk without a GUID partition table"},
}

// identify says what a file is by how it begins, as QEMU does: a file that could
// be read as one disk here and booted as another is refused.
func identify(r io.ReaderAt, size int64) (string, error) {
	if size == 0 {
		return "an empty file", nil
	}
	b := make([]byte, 33<<10)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if begins := string(b[:n]); strings.HasPrefix(begins, "QFI\xfb") && len(begins) > 520 && begins[512:520] == "EFI PART" {
		return "two disks in one, a qcow2 image and a raw one", nil
	}
	for _, m := range marks {
		if m.at < n && strings.HasPrefix(string(b[m.at:n]), m.mark) {
			return m.what, nil
		}
	}
	return "nothing that is known to be a disk", nil
}
