package advisory

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
)

// imagesMagic begins a written Images; its last byte is the version of the
// layout, and a digest of the rest follows it.
const imagesMagic = "imgbuild packages of images\x00\x01"

// maxImages is the largest file of an Images in bytes: ten thousand images of
// 400 source packages have some 5 MB.
const maxImages = 1 << 30

// Images knows which images have which packages, under the names that
// advisories use, so that those which one advisory may concern are found without
// reading the packages of any: [Index.Packages], then With. It grows only; to
// forget images is to make another.
type Images struct {
	ids    []string
	known  map[string]bool
	images map[string][]uint32
}

// NewImages is an Images without any.
func NewImages() *Images {
	return &Images{known: map[string]bool{}, images: map[string][]uint32{}}
}

// Has tells whether an image was added.
func (i *Images) Has(id string) bool { return i.known[id] }

// Add notes the packages of an image by its id; one that is known already is
// left as it is, for images do not change. Packages of ecosystems that are not
// known are left out: no advisory finds them, and [Index.Match] names them.
func (i *Images) Add(id string, packages []installed.Package) error {
	if err := checkName("id", id); err != nil {
		return fmt.Errorf("adding an image: %w", err)
	}
	if i.known[id] {
		return nil
	}
	number := uint32(len(i.ids))
	i.ids = append(i.ids, id)
	i.known[id] = true
	for _, p := range packages {
		of, err := ecosystem.Of(p.Ecosystem)
		if err != nil {
			continue
		}
		names := []string{p.Source}
		if of.Naming == ecosystem.ByEither {
			names = append(names, p.Name)
		}
		for _, name := range names {
			key := packageKey(ecosystem.Release(p.Ecosystem), name)
			list := i.images[key]
			if len(list) == 0 || list[len(list)-1] != number {
				i.images[key] = append(list, number)
			}
		}
	}
	return nil
}

// With are the images that have any of the packages, in the order in which they
// were added. A name without a release, as records have it that are about all
// releases of a distribution, is found in every one.
func (i *Images) With(names ...Name) []string {
	var numbers []uint32
	for _, n := range names {
		numbers = append(numbers, i.images[packageKey(n.Release, n.Package)]...)
		if strings.Contains(n.Release, ":") {
			continue
		}
		for key, list := range i.images {
			if release, name, _ := strings.Cut(key, "\x00"); name == n.Package && strings.HasPrefix(release, n.Release+":") {
				numbers = append(numbers, list...)
			}
		}
	}
	slices.Sort(numbers)
	var ids []string
	for _, n := range slices.Compact(numbers) {
		ids = append(ids, i.ids[n])
	}
	return ids
}

// Write writes it, for [ReadImages].
func (i *Images) Write(w io.Writer) error {
	var o out
	o.count(len(i.ids))
	for _, id := range i.ids {
		o.text(id)
	}
	o.count(len(i.images))
	for _, key := range slices.Sorted(maps.Keys(i.images)) {
		o.text(key)
		o.ascending(i.images[key])
	}
	sum := sha256.Sum256(o)
	for _, part := range [][]byte{[]byte(imagesMagic), sum[:], o} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("writing the packages of images: %w", err)
		}
	}
	return nil
}

// ReadImages reads what Write has written.
func ReadImages(r io.Reader) (*Images, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxImages+1))
	if err != nil {
		return nil, fmt.Errorf("reading the packages of images: %w", err)
	}
	if len(data) > maxImages {
		return nil, fmt.Errorf("reading the packages of images: there are more than %d bytes", maxImages)
	}
	rest, ok := bytes.CutPrefix(data, []byte(imagesMagic))
	if !ok || len(rest) < sha256.Size {
		return nil, errors.New("reading the packages of images: it is none, or of another version: make it again")
	}
	sum, rest := rest[:sha256.Size], rest[sha256.Size:]
	if got := sha256.Sum256(rest); !bytes.Equal(got[:], sum) {
		return nil, errors.New("reading the packages of images: it is damaged: make it again")
	}
	i := NewImages()
	part := in{rest: string(rest)}
	i.ids = part.texts()
	for _, id := range i.ids {
		i.known[id] = true
	}
	for range part.count() {
		key, list := part.text(), part.ascending()
		if len(list) > 0 && int(list[len(list)-1]) >= len(i.ids) || !slices.IsSorted(list) {
			part.fail()
		}
		i.images[key] = list
	}
	if part.failed || part.rest != "" {
		return nil, errors.New("reading the packages of images: it does not hold together: make it again")
	}
	return i, nil
}

// IDs are the images, in the order in which they were added.
func (i *Images) IDs() []string { return slices.Clone(i.ids) }
