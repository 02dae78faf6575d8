package compare

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"imgbuild/images/integrity"
)

// Field is one property in which a thing differs.
type Field struct {
	Name   string `json:"name"`
	Server string `json:"server"`
	Image  string `json:"image"`
}

// Origin is where a file comes from.
type Origin string

// The origins.
const (
	// Conffile is a package's file that an administrator may change.
	Conffile Origin = "conffile"
	// Packaged is any other file of a package.
	Packaged Origin = "package"
	// Derived is what scripts of packages make, such as caches and links to
	// alternatives: it follows from what is installed.
	Derived Origin = "derived"
	// HandMade is what no package brought or made.
	HandMade Origin = "hand-made"
)

// File is a path that both have not alike and that does not follow from another
// difference.
type File struct {
	Kind   Kind   `json:"kind"`
	Path   string `json:"path"`
	Origin Origin `json:"origin"`
	// Package brought it.
	Package string `json:"package,omitempty"`
	// Directory says that it is one; Size is that of a regular file that the
	// server has, in bytes.
	Directory bool  `json:"directory,omitempty"`
	Size      int64 `json:"size,omitempty"`
	// Within is the topmost directory above a file that only the server has that
	// only the server has as well, and no package; empty without one.
	Within string `json:"within,omitempty"`
	// Fields are what differs when both have it.
	Fields []Field `json:"fields,omitempty"`
	// Why says on which side a package's file is not as the package brought it.
	Why string `json:"why,omitempty"`
}

// The reasons.
const (
	whyServer = "changed on the server"
	whyImage  = "changed in the image"
	whyBoth   = "changed on the server and in the image"
	whyGone   = "removed on the server"
	whyTaken  = "removed from the image"
)

// tree is one side's files.
type tree struct {
	*packages
	manifest integrity.Manifest
	// users and groups are the names of numbers.
	users, groups map[int]string
	// manual are the alternatives that a person chose; made are paths that
	// scripts of packages made.
	manual, made map[string]bool
}

func newTree(s Side, p *packages) *tree {
	t := &tree{packages: p, manifest: s.Manifest, users: map[int]string{}, groups: map[int]string{}, manual: map[string]bool{}, made: map[string]bool{}}
	for _, u := range s.Inventory.Users {
		if t.users[u.UID] == "" {
			t.users[u.UID] = u.Name
		}
	}
	for _, g := range s.Inventory.Groups {
		if t.groups[g.GID] == "" {
			t.groups[g.GID] = g.Name
		}
	}
	for _, name := range s.Inventory.Chosen {
		t.manual[name] = true
	}
	for _, name := range s.Inventory.Made {
		t.made[name] = true
	}
	return t
}

// named is a number's name, or the number.
func named(names map[int]string, id int) string {
	if name := names[id]; name != "" {
		return name
	}
	return fmt.Sprint(id)
}

type files struct{ server, image *tree }

// compare goes through both manifests, which are in the order of paths.
func (f *files) compare() []File {
	list := []File{}
	add := func(file File, ok bool) {
		if ok {
			list = append(list, file)
		}
	}
	s, i := f.server.manifest, f.image.manifest
	for len(s) > 0 || len(i) > 0 {
		switch {
		case len(i) == 0 || len(s) > 0 && before(s[0].Path, i[0].Path):
			add(f.added(s[0]))
			s = s[1:]
		case len(s) == 0 || before(i[0].Path, s[0].Path):
			add(f.missing(i[0]))
			i = i[1:]
		default:
			add(f.both(s[0], i[0]))
			s, i = s[1:], i[1:]
		}
	}
	return emptied(within(list))
}

// within notes the directories above files: in the order of a manifest they come
// first.
func within(list []File) []File {
	tops := map[string]string{}
	for i, f := range list {
		if f.Kind != Added || f.Origin != HandMade {
			continue
		}
		parent := path.Dir(f.Path)
		top := tops[parent]
		list[i].Within = top
		if f.Directory {
			if top == "" {
				top = f.Path
			}
			tops[f.Path] = top
		}
	}
	return list
}

// before is the order of a manifest: the root first, then bytes.
func before(a, b string) bool { return a != b && b != "." && (a == "." || a < b) }

// emptied leaves out directories that something told of lies in: they follow
// from it.
func emptied(list []File) []File {
	parents := map[string]bool{}
	for _, f := range list {
		if f.Kind != Changed {
			for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
				parents[dir] = true
			}
		}
	}
	return slices.DeleteFunc(list, func(f File) bool { return f.Directory && f.Kind != Changed && parents[f.Path] })
}

// added is a path that only the server has.
func (f *files) added(e integrity.Entry) (File, bool) {
	file := File{Kind: Added, Path: e.Path, Directory: e.Mode.IsDir(), Size: e.Size}
	if e.Class != integrity.Immutable || toldElsewhere(e) {
		return file, false
	}
	owner := f.server.owners[e.Path]
	if owner == nil {
		file.Origin = f.server.origin(e)
		return file, true
	}
	file.Origin, file.Package = f.server.origin(e), owner.Name
	if f.server.altered[e.Path] {
		file.Kind, file.Why = Changed, whyServer
		return file, true
	}
	// The image's package brought it too: the image took it out.
	other := f.image.like(owner)
	file.Why = whyTaken
	return file, other != nil && brought(other.Files, e.Path)
}

func brought(files []string, path string) bool {
	_, found := slices.BinarySearch(files, path)
	return found
}

// missing is a path that only the image has.
func (f *files) missing(e integrity.Entry) (File, bool) {
	file := File{Kind: Missing, Path: e.Path, Directory: e.Mode.IsDir()}
	if e.Class != integrity.Immutable || toldElsewhere(e) {
		return file, false
	}
	file.Origin = f.image.origin(e)
	owner := f.image.owners[e.Path]
	if owner == nil {
		return file, true
	}
	file.Package, file.Why = owner.Name, whyGone
	other := f.server.like(owner)
	return file, other != nil && brought(other.Files, e.Path)
}

// both is a path that both have.
func (f *files) both(s, i integrity.Entry) (File, bool) {
	file := File{Kind: Changed, Path: s.Path, Directory: s.Mode.IsDir(), Size: s.Size, Origin: f.server.origin(s)}
	if s.Class == integrity.Variable || i.Class == integrity.Variable || toldElsewhere(s) && toldElsewhere(i) {
		return file, false
	}
	attributes, content := f.fields(s, i)
	if s.Class == integrity.Seeded || i.Class == integrity.Seeded {
		content = nil // each server has its own
	}
	here, there := f.server.owners[s.Path], f.image.owners[i.Path]
	if here != nil {
		file.Package = here.Name
	} else if there != nil {
		file.Package, file.Origin = there.Name, f.image.origin(i)
	}
	if here != nil && there != nil && len(content) > 0 {
		onServer, inImage := f.server.altered[s.Path], f.image.altered[i.Path]
		switch {
		case onServer && inImage:
			file.Why = whyBoth
		case onServer:
			file.Why = whyServer
		case inImage:
			file.Why = whyImage
		case here.Version != there.Version:
			content = nil // each has its package's
		}
	}
	file.Fields = append(attributes, content...)
	return file, len(file.Fields) > 0
}

// fields are what differs of two files: of mode and owner, which are compared by
// name, and of the rest. When they were changed does not count.
func (f *files) fields(s, i integrity.Entry) (attributes, content []Field) {
	add := func(to *[]Field, name, server, image string) {
		if server != image {
			*to = append(*to, Field{name, server, image})
		}
	}
	if (s.Mode|i.Mode)&fs.ModeSymlink == 0 { // a link's mode says nothing
		add(&attributes, "mode", octal(s.Mode), octal(i.Mode))
	}
	add(&attributes, "owner", named(f.server.users, s.UID), named(f.image.users, i.UID))
	add(&attributes, "group", named(f.server.groups, s.GID), named(f.image.groups, i.GID))
	names := slices.Collect(maps.Keys(s.Xattrs))
	for name := range i.Xattrs {
		if _, known := s.Xattrs[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		add(&attributes, name, fmt.Sprintf("%x", s.Xattrs[name]), fmt.Sprintf("%x", i.Xattrs[name]))
	}
	add(&content, "type", typeOf(s.Mode), typeOf(i.Mode))
	add(&content, "sha256", s.SHA256, i.SHA256)
	add(&content, "target", s.Target, i.Target)
	add(&content, "device", fmt.Sprintf("%d,%d", s.Major, s.Minor), fmt.Sprintf("%d,%d", i.Major, i.Minor))
	return attributes, content
}

func octal(mode fs.FileMode) string {
	bits := uint32(mode.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return fmt.Sprintf("%04o", bits)
}

func typeOf(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "link"
	}
	return strings.ToLower(mode.Type().String()[:1])
}
