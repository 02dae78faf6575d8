package ext4_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"testing"

	"imgbuild/builder/scan/ext4"
	"imgbuild/provisioners/system"
)

// line is all that is known of a file but its content, in one line: what both
// sides of a comparison say.
func line(info system.Info, target string, xattrs map[string]string) string {
	out := fmt.Sprintf("%v %d:%d size %d mtime %d inode %d links %d dev %d:%d", info.Mode, info.UID, info.GID, info.Size,
		info.ModTime, info.Inode, info.Links, info.Major, info.Minor)
	if target != "" {
		out += " -> " + target
	}
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		out += fmt.Sprintf(" %s=%x", name, xattrs[name])
	}
	return out
}

func digest(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// maxFiles ends the walk of a file system whose damage made it endless.
const maxFiles = 20000

// walkFS describes every file of a file system by path, and its content apart.
// The first error ends it.
func walkFS(f *ext4.FS) (lines, contents map[string]string, err error) {
	lines, contents = map[string]string{}, map[string]string{}
	var walk func(name string, parent, number uint32) error
	walk = func(name string, parent, number uint32) error {
		i, err := f.Inode(number)
		if err != nil {
			return err
		}
		info := system.Info{
			Mode: i.Mode, UID: int(i.UID), GID: int(i.GID), Size: i.Size, ModTime: i.ModTime,
			Inode: uint64(i.Number), Links: i.Links, Major: i.Major, Minor: i.Minor,
		}
		xattrs, err := f.Xattrs(i)
		if err != nil {
			return err
		}
		target := ""
		switch {
		case i.Mode&fs.ModeSymlink != 0:
			if target, err = f.Readlink(i); err != nil {
				return err
			}
		case i.Mode.IsRegular():
			file, err := f.Open(i)
			if err != nil {
				return err
			}
			if contents[name], err = digest(file); err != nil {
				return err
			}
		}
		if lines[name] = line(info, target, xattrs); len(lines) > maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		if !i.Mode.IsDir() {
			return nil
		}
		d, err := f.ReadDir(i)
		if err != nil {
			return err
		}
		if d.Parent != parent {
			return fmt.Errorf("%s has the parent %d, not %d", name, d.Parent, parent)
		}
		seen := map[uint32]bool{number: true}
		for _, e := range d.Entries {
			if seen[e.Inode] { // a second name: fine, but for directories
				if again, err := f.Inode(e.Inode); err != nil || again.Mode.IsDir() {
					return fmt.Errorf("%s has a directory twice", name)
				}
			}
			seen[e.Inode] = true
			if err := walk(path.Join(name, e.Name), number, e.Inode); err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
		}
		return nil
	}
	err = walk("/", ext4.RootInode, ext4.RootInode)
	return lines, contents, err
}

// walkReader describes the same of a system.
func walkReader(t *testing.T, r system.Reader) (lines, contents map[string]string) {
	t.Helper()
	lines, contents = map[string]string{}, map[string]string{}
	var walk func(name string)
	walk = func(name string) {
		info, err := r.Lstat(name)
		must(t, err)
		xattrs, err := r.Xattrs(name)
		must(t, err)
		target := ""
		switch {
		case info.Mode&fs.ModeSymlink != 0:
			target, err = r.Readlink(name)
			must(t, err)
		case info.Mode.IsRegular():
			f, err := r.Open(name)
			must(t, err)
			contents[name], err = digest(f)
			must(t, err, f.Close())
		}
		lines[name] = line(info, target, xattrs)
		if !info.Mode.IsDir() {
			return
		}
		names, err := r.ReadDir(name)
		must(t, err)
		for _, n := range names {
			walk(path.Join(name, n))
		}
	}
	walk("/")
	return lines, contents
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
