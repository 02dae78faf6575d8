package integrity

import "slices"

// Drift returns those differences from an image's manifest to the one of a
// server that runs it which the classes do not allow: any of an immutable path,
// but for the time of a directory, which says no more than that something in it
// came or went; mode and owner of a seeded path that both have; none of a
// variable path.
func Drift(image, server Manifest) []Difference {
	var out []Difference
	for _, d := range Compare(image, server) {
		switch d.Class {
		case Variable:
			continue
		case Seeded:
			d.Fields = slices.DeleteFunc(d.Fields, func(f Field) bool {
				return f.Name != "mode" && f.Name != "uid" && f.Name != "gid"
			})
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
