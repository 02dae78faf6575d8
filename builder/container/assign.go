package container

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/images/integrity"
	"imgbuild/images/updates"
)

// The bounds of the split. 20 + 16 + 1 layers stay far below the 127 that
// overlay drivers take; few enough for a registry, enough that an update of
// one package moves a small part of the image.
const (
	ownLayers  = 20
	ownMinimum = 512 << 10 // bytes of .deb files of one source package
	buckets    = 16
	restLayer  = "rest"
	infoDir    = "var/lib/dpkg/info/"
)

// LayerFormat is raised when the bytes of a layer change for the same entries.
// The container's stage id holds it, and so does the name of each cached layer.
const LayerFormat = "imgbuild layer 1"

// part is one layer before it is written.
type part struct {
	// name says what the layer holds: "source:nginx", "bucket:07", "rest".
	name    string
	entries []integrity.Entry
}

// size is the number of content bytes.
func (p *part) size() int64 {
	var n int64
	for i := range p.entries {
		if p.entries[i].HardLink == "" {
			n += p.entries[i].Size
		}
	}
	return n
}

// layersOf maps each package of the root set to the name of its layer. It
// looks at nothing but the lock: packages of one source change together, so
// they share a layer; large sources have one of their own, the rest is spread
// by a hash of the source's name, which no other package's update moves.
func layersOf(lock *updates.Lock) map[string]string {
	sizes := map[string]int64{}
	for i := range lock.Packages {
		if p := &lock.Packages[i]; p.Set == updates.Root {
			sizes[sourceOf(p)] += p.Size
		}
	}
	sources := make([]string, 0, len(sizes))
	for s := range sizes {
		sources = append(sources, s)
	}
	slices.SortFunc(sources, func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	bySource := make(map[string]string, len(sources))
	for i, s := range sources {
		if i < ownLayers && sizes[s] >= ownMinimum {
			bySource[s] = "source:" + s
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(s)) // never fails
		bySource[s] = fmt.Sprintf("bucket:%02d", h.Sum32()%buckets)
	}
	byPackage := map[string]string{}
	for i := range lock.Packages {
		if p := &lock.Packages[i]; p.Set == updates.Root {
			byPackage[p.Name] = bySource[sourceOf(p)]
		}
	}
	return byPackage
}

func sourceOf(p *updates.Package) string {
	if p.Source != "" {
		return p.Source
	}
	return p.Name
}

// split shares the tree out over layers. Every file is in exactly one of
// them. A layer repeats the directories above its files, with a time stamp of
// 0, so that a newer epoch alone changes no layer of packages; the last layer
// repeats all directories with their own time stamps, and being on top, what
// it says holds.
func split(entries []integrity.Entry, lock *updates.Lock, owner func(string) string) []part {
	layers := layersOf(lock)
	parts := map[string]*part{restLayer: {name: restLayer}}
	in := func(name string) *part {
		if parts[name] == nil {
			parts[name] = &part{name: name}
		}
		return parts[name]
	}
	dirs := map[string]*integrity.Entry{}
	placed := map[string]string{} // path of a file → its layer, for links to it
	have := map[string]map[string]bool{}
	var parents func(p *part, dir string)
	parents = func(p *part, dir string) {
		if dir == "." || have[p.name][dir] {
			return
		}
		parents(p, path.Dir(dir))
		d := *dirs[dir]
		d.ModTime = 0
		p.entries = append(p.entries, d)
		if have[p.name] == nil {
			have[p.name] = map[string]bool{}
		}
		have[p.name][dir] = true
	}
	rest := parts[restLayer]
	for i := range entries {
		e := &entries[i]
		if e.Path == "." {
			continue
		}
		name := layerOf(e, layers, placed, owner)
		if e.Mode&fs.ModeDir != 0 {
			dirs[e.Path] = e
			rest.entries = append(rest.entries, *e)
			if name != restLayer {
				parents(in(name), e.Path)
			}
			continue
		}
		placed[e.Path] = name
		p := in(name)
		if name != restLayer {
			parents(p, path.Dir(e.Path))
		}
		p.entries = append(p.entries, *e)
	}
	out := make([]part, 0, len(parts))
	for _, p := range parts {
		if p != rest {
			// A directory is appended when the first file under it comes, which
			// may be after a sibling that sorts behind it.
			slices.SortFunc(p.entries, func(a, b integrity.Entry) int { return cmp.Compare(a.Path, b.Path) })
			out = append(out, *p)
		}
	}
	// "source:…" before "bucket:…": the large ones first.
	slices.SortFunc(out, func(a, b part) int {
		return cmp.Or(
			-cmp.Compare(a.name[:strings.IndexByte(a.name, ':')], b.name[:strings.IndexByte(b.name, ':')]),
			cmp.Compare(a.name, b.name))
	})
	return append(out, *rest)
}

// layerOf names the layer of one entry.
func layerOf(e *integrity.Entry, layers, placed map[string]string, owner func(string) string) string {
	if e.HardLink != "" {
		return placed[e.HardLink] // links cannot cross layers
	}
	pkg := ""
	if owner != nil {
		pkg = owner(e.Path)
	}
	if pkg == "" {
		if base, ok := strings.CutPrefix(e.Path, infoDir); ok && e.Mode.IsRegular() {
			// dpkg's own record of a package: NAME.list or NAME:ARCH.list
			if dot := strings.LastIndexByte(base, '.'); dot > 0 {
				pkg = base[:dot]
			}
		}
	}
	pkg, _, _ = strings.Cut(pkg, ":")
	if name, ok := layers[pkg]; ok {
		return name
	}
	return restLayer
}
