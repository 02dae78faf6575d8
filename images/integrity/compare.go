package integrity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is one path that two manifests do not agree on.
type Difference struct {
	Path string `json:"path"`
	Kind Kind   `json:"kind"`
	// Class is the path's in the first manifest; of an added path, in the second.
	Class Class `json:"class"`
	// Fields says what changed; empty for a path that only one side has.
	Fields []Field `json:"fields,omitempty"`
}

// Kind is how a path differs.
type Kind string

// The kinds of difference, seen from the first manifest to the second.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Field is one property that changed: type, mode, uid, gid, size, time,
// sha256, target, hardlink, class, device, or xattr. and an attribute's name.
type Field struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// String is the difference in one line. It names the class of what is expected
// to differ on a server.
func (d Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", d.Kind, d.Path)
	if d.Class != Immutable {
		fmt.Fprintf(&b, " (%s)", d.Class)
	}
	for _, f := range d.Fields {
		fmt.Fprintf(&b, " %s:%s→%s", f.Name, shown(f.From), shown(f.To))
	}
	return b.String()
}

func shown(value string) string {
	if value == "" {
		return "(none)"
	}
	return value
}

// Compare returns what changed from one manifest to the other, by path.
func Compare(from, to Manifest) []Difference {
	var out []Difference
	for len(from) > 0 || len(to) > 0 {
		switch order := heads(from, to); {
		case order < 0:
			out = append(out, Difference{Path: from[0].Path, Kind: Removed, Class: from[0].Class})
			from = from[1:]
		case order > 0:
			out = append(out, Difference{Path: to[0].Path, Kind: Added, Class: to[0].Class})
			to = to[1:]
		default:
			fields := compareEntries(from[0], to[0])
			if from[0].HardLink != to[0].HardLink {
				fields = append(fields, Field{"hardlink", from[0].HardLink, to[0].HardLink})
			}
			if from[0].Class != to[0].Class {
				fields = append(fields, Field{"class", string(from[0].Class), string(to[0].Class)})
			}
			if len(fields) > 0 {
				out = append(out, Difference{Path: from[0].Path, Kind: Changed, Class: from[0].Class, Fields: fields})
			}
			from, to = from[1:], to[1:]
		}
	}
	return out
}

// heads compares the next paths of two manifests; an exhausted one comes last.
func heads(a, b Manifest) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return comparePaths(a[0].Path, b[0].Path)
}

// compareEntries compares all but path, class and hard link.
func compareEntries(a, b Entry) []Field {
	var out []Field
	add := func(name, from, to string) {
		if from != to {
			out = append(out, Field{name, from, to})
		}
	}
	add("type", typeName(a.Mode), typeName(b.Mode))
	add("mode", fmt.Sprintf("%04o", unixMode(a.Mode)), fmt.Sprintf("%04o", unixMode(b.Mode)))
	add("uid", fmt.Sprint(a.UID), fmt.Sprint(b.UID))
	add("gid", fmt.Sprint(a.GID), fmt.Sprint(b.GID))
	add("size", fmt.Sprint(a.Size), fmt.Sprint(b.Size))
	add("time", fmt.Sprint(a.ModTime), fmt.Sprint(b.ModTime))
	add("sha256", a.SHA256, b.SHA256)
	add("target", a.Target, b.Target)
	add("device", fmt.Sprintf("%d,%d", a.Major, a.Minor), fmt.Sprintf("%d,%d", b.Major, b.Minor))
	names := slices.Collect(maps.Keys(a.Xattrs))
	for name := range b.Xattrs {
		if _, both := a.Xattrs[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		from, inFrom := a.Xattrs[name]
		to, inTo := b.Xattrs[name]
		if inFrom != inTo || from != to {
			out = append(out, Field{"xattr." + name, printable(from, inFrom), printable(to, inTo)})
		}
	}
	return out
}

// printable quotes an attribute's bytes; an absent attribute is empty.
func printable(value string, present bool) string {
	if !present {
		return ""
	}
	return fmt.Sprintf("%q", value)
}
