package builder

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
)

// withoutRoom makes of an error that comes from a full file system one that
// names the directory without room and what to do; others it returns as they
// are.
func (b *Builder) withoutRoom(err error) error {
	if err == nil || !NoRoom(err) {
		return err
	}
	// What has no path in it was said by a program of the bake, or of a path
	// below the root that is made: both lie among the stages.
	dir, mend := cmp.Or(fullPlace(err), b.Stages.Dir), ""
	const cache = " (imgbuild images gc --limit 0 empties the cache) or set another cache.dir"
	for _, place := range []struct{ dir, mend string }{
		{b.Stages.Dir, cache}, {b.Unpacked.Dir, cache}, {b.LayerCache, cache}, {b.Archive.Dir(), " or set another archive.dir"},
	} {
		if within(dir, place.dir) {
			dir, mend = place.dir, place.mend
			break
		}
	}
	return fault.Failedf("there is no room in %s", dir).Because(err).
		WithHint("make room there%s, and run the same command again: what is finished is kept", mend)
}

// NoRoom says whether an error comes from a full file system or a used up
// quota: this program's own, or one that a program of the bake wrote.
func NoRoom(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) ||
		strings.Contains(err.Error(), "No space left on device") || strings.Contains(err.Error(), "Disk quota exceeded")
}

// fullPlace is the directory in which there was no room, "" when the error has
// no absolute path.
func fullPlace(err error) string {
	var path string
	var one *fs.PathError
	var two *os.LinkError
	switch {
	case errors.As(err, &one) && NoRoom(one):
		path = one.Path
	case errors.As(err, &two) && NoRoom(two):
		path = two.New
	}
	if !filepath.IsAbs(path) {
		return ""
	}
	return filepath.Dir(path)
}

// within says whether a path lies below a directory, or is it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
