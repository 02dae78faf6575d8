package integrity

import "slices"

// access are the fields that say who may do what with a file. An access list
// lets further people in without a trace in the mode (acl(5)): the bits of the
// group are its mask. Capabilities make a program more than its mode says.
var access = []string{"mode", "uid", "gid", "xattr.system.posix_acl_access", "xattr.system.posix_acl_default", "xattr.security.capability"}

// Drift returns those differences from an image's manifest to the one of a
// server that runs it which the classes do not allow: any of an immutable path,
// but for the time of a directory, which says no more than that something in it
// came or went; mode, owner and access list of a seeded path that both have; none
// of a variable path.
func Drift(image, server Manifest) []Difference {
	var out []Difference
	for _, d := range Compare(image, server) {
		switch d.Class {
		case Variable:
			continue
		case Seeded:
			d.Fields = slices.DeleteFunc(d.Fields, func(f Field) bool { return !slices.Contains(access, f.Name) })
			if len(d.Fields) == 0 {
				continue
			}
		case Immutable:
			was, _ := image.Find(d.Path)
			d.Fields = slices.DeleteFunc(d.Fields, func(f Field) bool {
				return f.Name == "class" || f.Name == "time" && was.Mode.IsDir()
			})
			if d.Kind == Changed && len(d.Fields) == 0 {
				continue
			}
		}
		out = append(out, d)
	}
	return out
}
