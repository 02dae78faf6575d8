package agent

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// maxSource bounds the files of all sources of a question, in bytes; as JSON
// they take a third more.
const maxSource = 16 << 20

// Source is a folder of definitions with the files that they name.
type Source struct {
	// Name begins the names of its files in errors.
	Name  string `json:"name"`
	Files []File `json:"files"`
}

// File is one file of a source.
type File struct {
	// Path is relative to the source.
	Path       string `json:"path"`
	Executable bool   `json:"executable,omitempty"`
	Content    []byte `json:"content"`
}

// Ask makes the question whether controls hold, of all that their definitions
// name.
func Ask(controls []*control.Control, vars node.Vars) (*Question, error) {
	q := &Question{Format: Format, Vars: write(vars)}
	folders := map[string]fs.FS{}
	for _, c := range controls {
		q.Controls = append(q.Controls, c.ID)
		doc := c.Pos().Doc
		folders[strings.TrimSuffix(strings.TrimSuffix(doc.Name, doc.Path), "/")] = doc.Files
	}
	left := maxSource
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		s := Source{Name: name}
		if err := s.take(folders[name], &left); err != nil {
			return nil, fmt.Errorf("reading %s to send it: %w", name, err)
		}
		q.Sources = append(q.Sources, s)
	}
	return q, nil
}

// write gives variables as YAML.
func write(vars node.Vars) string {
	tree := &node.Node{Kind: node.Map}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		tree.Entries = append(tree.Entries, node.Entry{Key: name, Value: vars[name]})
	}
	var b strings.Builder
	for _, line := range node.Lines(tree) {
		b.WriteString(line.Text + "\n")
	}
	return b.String()
}

// take reads all files of a folder. left is how many bytes may yet be sent.
func (s *Source) take(folder fs.FS, left *int) error {
	return fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fault.Inputf("%s is no regular file, and none else is sent to a server", name)
		}
		f, err := folder.Open(name)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(io.LimitReader(f, int64(*left)+1))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if *left -= len(content); *left < 0 {
			return fault.Inputf("the definitions of controls and the files beside them are larger than %d MiB", maxSource>>20)
		}
		s.Files = append(s.Files, File{Path: name, Executable: info.Mode()&0o100 != 0, Content: content})
		return nil
	})
}

// open makes a file system of a source: an archive in memory is the one that the
// standard library has.
func (s Source) open() (fs.FS, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	seen := map[string]bool{}
	for _, f := range s.Files {
		if !fs.ValidPath(f.Path) || f.Path == "." || seen[f.Path] {
			return nil, fault.Inputf("the question has a file %q that there cannot be, or twice", f.Path)
		}
		seen[f.Path] = true
		head := &zip.FileHeader{Name: f.Path}
		head.SetMode(0o644)
		if f.Executable {
			head.SetMode(0o755)
		}
		to, err := w.CreateHeader(head)
		if err == nil {
			_, err = to.Write(f.Content)
		}
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", f.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("opening the files of a question: %w", err)
	}
	return zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
}
