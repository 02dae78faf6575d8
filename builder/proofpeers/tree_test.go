package proofpeers_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/sandbox"
	"imgbuild/builder/stage"
)

// sealedRoot mounts the root that a version of peer-web was made from as its
// bake saw it.
func (h *house) sealedRoot(t *testing.T, i image) string {
	t.Helper()
	cache, err := stage.Open(filepath.Join(h.dir, "cache", "stages"), 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	shown := decode[struct{ Stages map[string]string }](t, h.at(h.catalog), "images", "show", i.Version)
	var diffs []string // newest first
	for id := stage.ID(shown.Stages["root"]); id != ""; {
		s, ok := cache.Lookup(id)
		if !ok {
			t.Fatalf("stage %s of %s is not in the cache", id, i.Version)
		}
		t.Cleanup(func() { s.Release() })
		diffs = append(diffs, s.Diff())
		id = s.Definition.Parent
	}
	dir := newDir(t)
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	// The root directory of an overlay is the upper one.
	if out, err := exec.Command("touch", "--reference", diffs[0], filepath.Join(dir, "upper")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	unmount, err := sandbox.Overlay(diffs, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return root
}

// sealed describes the root that a version was made from; a run of the tests
// reads each once.
func (h *house) sealed(t *testing.T, i image) map[string]string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.described[i.Version] == nil {
		h.described[i.Version] = describe(t, h.sealedRoot(t, i))
	}
	return h.described[i.Version]
}

// describe gives a line for every path below root: type, mode, owner, device
// and the like from the kernel alone.
func describe(t *testing.T, root string) map[string]string {
	t.Helper()
	lines, links := map[string]string{}, map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%06o %d:%d dev %d mtime %d", st.Mode, st.Uid, st.Gid, st.Rdev, st.Mtim.Sec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			sum, err := hashOf(path)
			if err != nil {
				return err
			}
			line += " " + sum
			if inode := fmt.Sprint(st.Dev, " ", st.Ino); st.Nlink > 1 {
				if links[inode] == "" {
					links[inode] = name
				}
				line += " linked to " + links[inode]
			}
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		attributes, err := xattrs(path)
		lines[name] = line + attributes
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func hashOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return fmt.Sprintf("%x", sum.Sum(nil)), err
}

// xattrs lists extended attributes; those of the overlay itself belong to the
// mount, not to the files.
func xattrs(path string) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return "", err
	}
	names := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		if strings.Contains(name, ".overlay.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, " %s=%q", name, value[:n])
	}
	return out.String(), nil
}

// sameTree compares two descriptions.
func sameTree(t *testing.T, want, got map[string]string) {
	t.Helper()
	if changed := differing(want, got); len(changed) > 0 {
		t.Errorf("%d of %d paths differ", len(changed), len(want))
		for _, name := range changed[:min(len(changed), 10)] {
			t.Errorf("%s:\n want %s\n got  %s", name, want[name], got[name])
		}
	}
}

// differing lists the paths of which two descriptions say different things.
func differing(a, b map[string]string) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return a[name] == b[name] })
}
