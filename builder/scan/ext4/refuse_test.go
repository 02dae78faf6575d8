package ext4_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"imgbuild/builder/scan/ext4"
)

// TestWhatIsNotUnderstoodIsNamed sets features in the superblock of a file
// system that has no checksums.
func TestWhatIsNotUnderstoodIsNamed(t *testing.T) {
	const compat, incompat, roCompat = 1024 + 0x5c, 1024 + 0x60, 1024 + 0x64
	for want, change := range map[string]struct {
		at  int
		bit uint
	}{
		"journal": {incompat, 2}, "journal_dev": {incompat, 3}, "compression": {incompat, 0}, "encrypt": {incompat, 16}, "casefold": {incompat, 17},
		"dirdata": {incompat, 12}, "FEATURE_I31": {incompat, 31}, "btree_dir": {roCompat, 2}, "replica": {roCompat, 11}, "FEATURE_R20": {roCompat, 20},
		"FEATURE_C30": {compat, 30}, "imagic_inodes": {compat, 1},
	} {
		data := image(t, "map")
		word := data[change.at:]
		binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)|1<<change.bit)
		if _, err := ext4.Open(bytes.NewReader(data), int64(len(data))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if ext4.Is(bytes.NewReader(make([]byte, 4096))) || ext4.Is(bytes.NewReader(nil)) || !ext4.Is(bytes.NewReader(image(t, "map"))) {
		t.Error("Is errs")
	}
}

// TestOnlyWhatFitsIsRead asks for what the kind of a file does not have.
func TestOnlyWhatFitsIsRead(t *testing.T) {
	v := openBytes(t, image(t, "checksums"))
	root, err := v.Inode(ext4.RootInode)
	must(t, err)
	if _, err := v.Open(root); err == nil {
		t.Error("a directory is opened")
	}
	if _, err := v.Readlink(root); err == nil {
		t.Error("a directory is read as a link")
	}
	d, err := v.ReadDir(root)
	must(t, err)
	many, err := v.Inode(d.Lookup("many"))
	must(t, err)
	links, err := v.ReadDir(many)
	if err != nil || len(links.Entries) != 120 || links.Lookup("m") != 0 || links.Lookup("zzz") != 0 {
		t.Fatalf("%d links, %v", len(links.Entries), err)
	}
	link, err := v.Inode(links.Entries[0].Inode)
	must(t, err)
	if target, err := v.Readlink(link); target != "x" || err != nil {
		t.Errorf("%q, %v", target, err)
	}
	if _, err := v.ReadDir(link); err == nil {
		t.Error("a link is read as a directory")
	}
	for _, number := range []uint32{0, 190, 1 << 30} {
		if _, err := v.Inode(number); err == nil {
			t.Errorf("inode %d is read", number)
		}
	}
}

// TestReadAt reads pieces of a file with holes against the whole.
func TestReadAt(t *testing.T) {
	for name := range images {
		v := openBytes(t, image(t, name))
		i, err := v.Inode(ext4.RootInode)
		must(t, err)
		for _, part := range []string{"a", "extents"} {
			d, err := v.ReadDir(i)
			must(t, err)
			i, err = v.Inode(d.Lookup(part))
			must(t, err)
		}
		f, err := v.Open(i)
		must(t, err)
		want := make([]byte, i.Size)
		for at := int64(0); at < i.Size; at += 3 * 1024 {
			copy(want[at:], content)
		}
		for _, size := range []int{1, 100, 1024, 5000, 30000} {
			for at := int64(0); at <= i.Size+10; at += 777 {
				got := make([]byte, size)
				n, err := f.ReadAt(got, at)
				end := max(min(at+int64(size), i.Size), min(at, i.Size))
				if piece := want[min(at, i.Size):end]; !bytes.Equal(got[:n], piece) || (err != nil) != (n < size) {
					t.Fatalf("%s: %d bytes of %d at %d: %v", name, n, size, at, err)
				}
			}
		}
		if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("a place before the file is read")
		}
	}
}
