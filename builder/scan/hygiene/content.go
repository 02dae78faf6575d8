package hygiene

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf16"

	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners/tree"
)

const (
	// maxText is the size up to which a file is searched for secrets of all kinds,
	// which people write into small ones, in bytes. Larger files are searched for
	// private keys and for paths of the build alone. It is what a part of a file
	// holds, so that a text is seen whole.
	maxText = tree.Window - tree.Overlap
	// maxProbe is how much of a file tells whether it is text.
	maxProbe = 8000
)

// derived tells what is made of packages alone: the lists and scripts that
// installed ones bring beside their files, and what dpkg, debconf and depmod
// gather from them. (Answers to debconf's questions are not among it.)
func (i *inspection) derived(name string) bool {
	if base, ok := strings.CutPrefix(name, "var/lib/dpkg/info/"); ok {
		return i.packages.brings(base)
	}
	return matches(name, "var/lib/dpkg/status", "var/lib/dpkg/available", "var/cache/debconf/templates.dat", "usr/lib/modules/*/modules.*")
}

// View implements tree.Viewer for the files that no package brought as they are.
func (i *inspection) View(e integrity.Entry) tree.View {
	if e.Size == 0 || i.derived(e.Path) {
		return nil
	}
	return newContent(i, path.Join("/", e.Path), e.Size, i.reader.Open)
}

func newContent(of *inspection, name string, size int64, open func(string) (io.ReadCloser, error)) *content {
	return &content{of: of, name: name, text: size <= maxText, open: open}
}

// content looks at one file.
type content struct {
	of        *inspection
	name      string
	open      func(name string) (io.ReadCloser, error)
	text      bool
	later     bool // some of it was seen
	path, key bool // what was found in a file that is no text
}

// Show implements tree.View. What a package brought and nobody changed is told
// from the rest by a digest of the whole, which costs as much as all the rest:
// it is made of texts, and of other files once something was found in them.
func (c *content) Show(part []byte, last bool) error {
	text := part
	if !c.later && c.text {
		if wide := fromUTF16(part); wide != nil {
			text = wide
		} else if bytes.IndexByte(part[:min(len(part), maxProbe)], 0) >= 0 {
			c.text = false
		}
	}
	c.key = c.key || !c.later && last && isBareKey(part)
	c.later = true
	if c.text {
		if c.of.brought(c.name, func() string { return md5Of(part) }) {
			return nil
		}
		c.of.addAll(c.of.texts(c.name, text))
		return nil
	}
	// No text that a person wrote; a key is one all the same.
	c.path = c.path || c.of.buildPath(part)
	c.key = c.key || holdsKey(part)
	if !last || !c.path && !c.key {
		return nil
	}
	var err error
	if c.of.brought(c.name, func() (sum string) { sum, err = c.digest(); return sum }) || err != nil {
		return err
	}
	if c.path {
		c.of.addAll([]report.Stray{{Kind: string(BuildPath), Path: c.name, Detail: buildPathDetail}})
	}
	if c.key {
		c.of.addAll([]report.Stray{{Kind: string(PrivateKey), Path: c.name, Detail: "it holds one"}})
	}
	return nil
}

// fromUTF16 is a text in UTF-8 that says by its first two bytes that it is in
// UTF-16 (The Unicode Standard, 23.8); nil for any other.
func fromUTF16(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return nil
	}
	var words []uint16
	for data = data[2:]; len(data) >= 2; data = data[2:] {
		words = append(words, order.Uint16(data))
	}
	return []byte(string(utf16.Decode(words)))
}

// texts returns what must not be in a text that people may have written.
func (i *inspection) texts(name string, data []byte) []report.Stray {
	found := text(i.detector, name, data)
	if i.buildPath(data) {
		found = append(found, report.Stray{Kind: string(BuildPath), Path: name, Detail: buildPathDetail})
	}
	return found
}

const buildPathDetail = "it names a directory of the machine that built it"

// buildPath tells whether data names a directory of the build.
func (i *inspection) buildPath(data []byte) bool {
	for _, dir := range i.expected.BuildPaths {
		if bytes.Contains(data, []byte(dir)) {
			return true
		}
	}
	return false
}

// brought tells whether a package brought the file with this digest, which is
// asked for if there is one to compare it with.
func (i *inspection) brought(name string, sum func() string) bool {
	want, ok := i.packages.sums[name]
	if !ok {
		want, ok = i.packages.sums[strings.TrimPrefix(name, "/usr")]
	}
	return ok && sum() == want
}

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// digest reads the file again.
func (c *content) digest() (string, error) {
	f, err := c.open(c.name)
	if err != nil {
		return "", fmt.Errorf("looking for secrets: %w", err)
	}
	defer f.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("looking for secrets: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
