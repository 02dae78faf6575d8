package layers

import (
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
)

// Hidden is a regular file with content that a layer has and that a later one
// takes away or replaces. No container shows it, and whoever has the image has it.
type Hidden struct {
	// Layer is the digest of the layer, as the manifest has it.
	Layer digest.Digest
	// Path is the name that the layer gives it, absolute and clean.
	Path string

	layer int // its position, from 1
	file  *file
}

// Size is that of the content in bytes.
func (h Hidden) Size() int64 { return h.file.info.Size }

// Hidden lists the files that do not show in the tree, in the order of layers.
func (i *Image) Hidden() []Hidden { return i.hidden }

// OpenHidden opens one of them.
func (i *Image) OpenHidden(h Hidden) io.ReadCloser {
	return i.spool.open(h.file.offset, h.file.info.Size)
}

// hidden are the files that the finished tree does not lead to: those without a
// number.
func (t *assembly) hidden(image *chosen) []Hidden {
	list := slices.DeleteFunc(t.contents, func(h Hidden) bool { return h.file.info.Inode != 0 })
	for i := range list {
		list[i].Layer = image.layers[list[i].layer-1].Digest
	}
	return slices.Clip(list)
}
