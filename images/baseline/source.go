package baseline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// folder is where a project keeps its recipes.
const folder = "baselines"

// controlsFolder has the controls, of a project as of what is shipped.
const controlsFolder = "controls"

// Source is where recipes are found by name: in a project's baselines folder,
// then among the shipped ones.
type Source struct {
	root   *os.Root
	places []place
}

type place struct {
	origin string
	// shown stands before a file's path in errors.
	shown string
	files fs.FS
	dir   string
}

// NewSource opens a project directory; "" means that there is none. shipped
// has the shipped recipes at its top. What recipes of the project name is read
// from the project directory alone, links that leave it are not followed.
func NewSource(project string, shipped fs.FS) (*Source, error) {
	s := &Source{}
	if project != "" {
		root, err := os.OpenRoot(project)
		if err != nil {
			return nil, fmt.Errorf("opening project: %w", err)
		}
		s.root = root
		s.places = append(s.places, place{origin: "project", files: root.FS(), dir: folder})
	}
	if shipped != nil {
		s.places = append(s.places, place{origin: "shipped", shown: "shipped:", files: shipped, dir: "."})
	}
	return s, nil
}

// Close lets the project directory go. Recipes loaded from it cannot read
// their files any more.
func (s *Source) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// Listing is one recipe that a source has.
type Listing struct {
	Name string
	// Origin is "project" or "shipped".
	Origin string
	// File is where it is, as errors show it.
	File string
}

// List names the recipes by name. A shipped one that the project has a recipe
// of the same name for is left out.
func (s *Source) List(ctx context.Context) ([]Listing, error) {
	var list []Listing
	seen := map[string]bool{}
	for _, p := range s.places {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := fs.ReadDir(p.files, p.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("listing baselines: %w", err)
		}
		for _, e := range found {
			name, ok := strings.CutSuffix(e.Name(), ".yaml")
			if ok && !e.IsDir() && !seen[name] {
				seen[name] = true
				list = append(list, Listing{Name: name, Origin: p.origin, File: p.shown + path.Join(p.dir, e.Name())})
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

// Controls reads the controls that come with the program and those of the
// project's folder of that name.
func (s *Source) Controls() (*control.Set, error) {
	var sources []control.Source
	for _, p := range s.places {
		files, err := fs.Sub(p.files, controlsFolder)
		if err != nil {
			return nil, fmt.Errorf("reading controls: %w", err)
		}
		sources = append(sources, control.Source{Name: p.shown + controlsFolder, Files: files})
	}
	return control.Load(sources...)
}

// waiversFile has the waivers of a project.
const waiversFile = "waivers.yaml"

// Waivers reads the project's accepted exceptions to controls of the set and to
// strays of the kinds that there are; none without a project or such a file.
func (s *Source) Waivers(set *control.Set, kinds []string) ([]*control.Waiver, error) {
	if s.root == nil {
		return nil, nil
	}
	list, err := control.LoadWaivers(s.root.FS(), waiversFile, set, kinds)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// find reads a recipe by name. from is the node that named it, nil for a name
// from the command line.
func (s *Source) find(ctx context.Context, name string, from *node.Node) (*node.Node, error) {
	for _, p := range s.places {
		file := path.Join(p.dir, name+".yaml")
		data, err := readFile(p.files, file)
		if errors.Is(err, fs.ErrNotExist) || !fs.ValidPath(file) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading baseline: %w", err)
		}
		return node.Parse(p.shown+file, p.files, file, data)
	}
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	if from != nil {
		return nil, node.Errorf(from.Pos, "there is no baseline %q%s", name, node.Suggest(name, names))
	}
	return nil, fault.Inputf("there is no baseline %q%s", name, node.Suggest(name, names)).WithHint("imgbuild baselines list")
}

// relative reads the recipe file that a recipe names by a path.
func (s *Source) relative(from *node.Node) (*node.Node, error) {
	file, err := node.ProjectFile(from)
	if err != nil {
		return nil, err
	}
	doc := from.Pos.Doc
	data, err := readFile(doc.Files, file.Name)
	if err != nil {
		return nil, node.Errorf(from.Pos, "%v", err)
	}
	return node.Parse(strings.TrimSuffix(doc.Name, doc.Path)+file.Name, doc.Files, file.Name, data)
}

// readFile reads a recipe, refusing one that no person wrote.
func readFile(files fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil, fault.Inputf("%s is not a regular file of at most 1 MiB", name)
	}
	return fs.ReadFile(files, name)
}
