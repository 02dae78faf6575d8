package container

import (
	"io/fs"
	"path"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/images/integrity"
)

// checkEntries refuses a list that could make a layer mean anything but the
// tree: paths out of order or out of the root, files under something that is
// no directory, names that a container runtime takes for whiteouts, links
// to entries that do not come before.
func checkEntries(entries []integrity.Entry) error {
	kinds := make(map[string]fs.FileMode, len(entries))
	kinds["."] = fs.ModeDir
	last := ""
	for i := range entries {
		e := &entries[i]
		if e.Path != "." && (e.Path == "" || path.Clean(e.Path) != e.Path || strings.HasPrefix(e.Path, "/") ||
			e.Path == ".." || strings.HasPrefix(e.Path, "../") || strings.ContainsRune(e.Path, 0)) {
			return fault.Worldf("entry %q is not a path within the root", e.Path)
		}
		if e.Path == "." {
			continue // some names sort before it
		}
		if e.Path <= last {
			return fault.Worldf("entry %q is not in order after %q", e.Path, last)
		}
		last = e.Path
		if kinds[path.Dir(e.Path)]&fs.ModeDir == 0 {
			return fault.Worldf("entry %q lies under something that is not a directory", e.Path)
		}
		if strings.HasPrefix(path.Base(e.Path), ".wh.") {
			return fault.Worldf("file %q has a name that container runtimes take for a deletion", e.Path).
				WithHint("exclude it in the recipe with path-exclude")
		}
		switch e.Mode.Type() {
		case 0, fs.ModeDir, fs.ModeSymlink, fs.ModeNamedPipe, fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		default:
			return fault.Worldf("file %q is of a type (%s) that an image cannot hold", e.Path, e.Mode.Type())
		}
		if e.HardLink != "" {
			first, ok := kinds[e.HardLink]
			if !ok || first.Type() != e.Mode.Type() || first.IsDir() {
				return fault.Worldf("entry %q is a hard link to %q, which does not come before it", e.Path, e.HardLink)
			}
		}
		kinds[e.Path] = e.Mode
	}
	return nil
}
