package system_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/provisioners/system"
)

// nodes is a tree whose files are known by numbers, as a disk's are: 0 is the
// root.
type nodes []node

type node struct {
	mode     fs.FileMode
	target   string
	children map[string]int
}

func (n nodes) Root() int { return 0 }

func (n nodes) Child(dir int, name string) (int, error) {
	if name == "broken" {
		return 0, errBroken
	}
	child, ok := n[dir].children[name]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return child, nil
}

func (n nodes) Info(file int) (system.Info, error) { return system.Info{Mode: n[file].mode}, nil }

func (n nodes) Target(link int) (string, error) { return n[link].target, nil }

var errBroken = errors.New("broken")

// plant makes the same tree in memory and on disk: names ending in "/" are
// directories, others links, or files for the target "".
func plant(t *testing.T, dir string, names [][2]string) nodes {
	t.Helper()
	tree := nodes{{mode: fs.ModeDir, children: map[string]int{}}}
	for _, n := range names {
		name, isDir := strings.CutSuffix(n[0], "/")
		made := node{target: n[1]}
		path := filepath.Join(dir, name)
		switch {
		case isDir:
			made.mode, made.children = fs.ModeDir, map[string]int{}
			must(t, os.Mkdir(path, 0o755))
		case n[1] != "":
			made.mode = fs.ModeSymlink
			must(t, os.Symlink(n[1], path))
		default:
			must(t, os.WriteFile(path, nil, 0o644))
		}
		parent, err := system.Resolve(tree, "plant", filepath.Dir("/"+name))
		must(t, err)
		tree[parent].children[filepath.Base(name)] = len(tree)
		tree = append(tree, made)
	}
	return tree
}

// TestNamesResolveAsTheKernelResolvesThem asks both about every name that the
// parts give in up to four places.
func TestNamesResolveAsTheKernelResolvesThem(t *testing.T) {
	dir := t.TempDir()
	names := [][2]string{
		{"d/", ""}, {"d/e/", ""}, {"d/e/f", ""}, {"d/up", ".."}, {"d/e/out", "../../../../d"}, {"d/e/root", "/"}, {"f", ""},
		{"slash", "d/"}, {"dot", "d/."}, {"file", "f"}, {"fileslash", "f/"}, {"absolute", "/d/e"}, {"loop", "loop"},
		{"ping", "pong"}, {"pong", "/ping"}, {"nothing", "not/there"}, {"d/e/twice", "../../absolute/root/slash/e"},
		{"d/e/lexical", "../../absolute/../f"},
	}
	// Forty links are followed, one more is not.
	last := "d"
	for i := range 41 {
		names = append(names, [2]string{fmt.Sprintf("link%d", i), last})
		last = fmt.Sprintf("link%d", i)
	}
	tree := plant(t, dir, names)
	root, err := system.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	parts := []string{"d", "e", "f", "up", "out", "root", "slash", "dot", "file", "fileslash", "absolute", "loop", "ping", "nothing",
		"twice", "lexical", "link39", "link40", "missing"}
	found := 0
	var try func(name string, depth int)
	try = func(name string, depth int) {
		if name != "" {
			for what, ask := range map[string]struct {
				tree func(system.Files[int], string, string) (int, error)
				root func(string) (system.Info, error)
			}{"stat": {system.Resolve[int], root.Stat}, "lstat": {system.ResolveLink[int], root.Lstat}} {
				got, err := ask.tree(tree, what, name)
				want, wantErr := ask.root(name)
				if (err == nil) != (wantErr == nil) || errors.Is(err, fs.ErrNotExist) != errors.Is(wantErr, fs.ErrNotExist) ||
					err == nil && tree[got].mode.Type() != want.Mode.Type() {
					t.Errorf("%s %s: %v; the kernel: %v, %v", what, name, err, want.Mode, wantErr)
				}
				if err == nil {
					found++
				}
			}
		}
		if depth == 0 {
			return
		}
		for _, p := range parts {
			try(name+"/"+p, depth-1)
		}
	}
	try("", 3)
	if found < 100 {
		t.Errorf("only %d names lead anywhere", found)
	}
}

func TestResolveRefuses(t *testing.T) {
	tree := nodes{
		{mode: fs.ModeDir, children: map[string]int{"empty": 1, "long": 2, "f": 3}},
		{mode: fs.ModeSymlink}, {mode: fs.ModeSymlink, target: strings.Repeat("./", 2047) + "ff"}, {},
	}
	for name, want := range map[string]error{
		"/empty": fs.ErrNotExist, "/broken/x": errBroken, "/missing": fs.ErrNotExist, "/f/x": nil, "/long": nil,
		"relative": fs.ErrInvalid, "/../f": fs.ErrInvalid, "/f/": fs.ErrInvalid, "": fs.ErrInvalid, "/f\x00": fs.ErrInvalid,
	} {
		_, err := system.Resolve(tree, "open", name)
		var at *fs.PathError
		if !errors.As(err, &at) || at.Op != "open" || at.Path != name || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if at, err := system.ResolveLink(tree, "open", "/"); err != nil || at != 0 {
		t.Errorf("the root: %d, %v", at, err)
	}
}
