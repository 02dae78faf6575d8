package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"imgbuild/images/fault"
)

// The limits of what recipes take from their project.
const (
	maxTreeFiles = 50_000
	maxTreeBytes = 2 << 30
)

// File is a file of the project that a recipe names, with the digest it had
// when the recipe was read. What is read later is held against that digest.
type File struct {
	// Name is relative to the document's tree of files.
	Name string
	// SHA256 is the content's digest in lower-case hex.
	SHA256 string
	// Size is in bytes.
	Size int64
	// Executable tells the owner's x bit.
	Executable bool

	files fs.FS
}

// MarshalJSON is the content's identity: a file that was only moved in the
// project is the same file.
func (f *File) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		SHA256     string `json:"sha256"`
		Executable bool   `json:"executable,omitempty"`
	}{f.SHA256, f.Executable})
}

// UnmarshalNode finds the file that a text node names.
func (f *File) UnmarshalNode(n *Node) error {
	found, err := ProjectFile(n)
	if err == nil {
		*f = *found
	}
	return err
}

// Open opens the content. Reading it to its end fails with a fault.World error
// when it is no longer what it was.
func (f *File) Open() (io.ReadCloser, error) {
	file, err := f.files.Open(f.Name)
	if err != nil {
		return nil, fmt.Errorf("opening project file: %w", err)
	}
	return &checked{file: file, of: f, hash: sha256.New()}, nil
}

// Text reads the whole content.
func (f *File) Text() (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

type checked struct {
	file fs.File
	of   *File
	hash hash.Hash
}

func (c *checked) Close() error { return c.file.Close() }

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.hash.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.hash.Sum(nil)) != c.of.SHA256 {
		return n, fault.Worldf("project file %s changed while it was used", c.of.Name).WithHint("run the command again")
	}
	return n, err
}

// resolve turns a name written in a recipe into a path of the document's tree.
func resolve(n *Node) (string, error) {
	doc := n.Pos.Doc
	switch {
	case n.Kind != String || n.Text == "":
		return "", Errorf(n.Pos, "expected the name of a file, found %s", n.describe())
	case path.IsAbs(n.Text):
		return "", Errorf(n.Pos, "%q is absolute; files are named relative to the recipe", n.Text)
	case doc == nil || doc.Files == nil:
		return "", Errorf(n.Pos, "there is no project to take %q from", n.Text)
	}
	name := path.Join(path.Dir(doc.Path), n.Text)
	if !fs.ValidPath(name) {
		return "", Errorf(n.Pos, "%q leaves the project", n.Text)
	}
	return name, nil
}

// ProjectFile finds the regular file that a text node names, relative to the
// recipe it stands in and never outside its project, and takes its digest.
func ProjectFile(n *Node) (*File, error) {
	name, err := resolve(n)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(n.Pos.Doc.Files, name)
	if err != nil {
		return nil, Errorf(n.Pos, "cannot read %q: %s%s", n.Text, cause(err), neighbours(n, name))
	}
	if !info.Mode().IsRegular() {
		return nil, Errorf(n.Pos, "%q is not a regular file", n.Text)
	}
	f, err := digest(n.Pos.Doc.Files, name, info)
	if err != nil {
		return nil, Errorf(n.Pos, "cannot read %q: %s", n.Text, cause(err))
	}
	return f, nil
}

func digest(files fs.FS, name string, info fs.FileInfo) (*File, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, io.LimitReader(file, maxTreeBytes+1))
	if err != nil {
		return nil, err
	}
	if size > maxTreeBytes {
		return nil, errors.New("it is larger than 2 GiB")
	}
	return &File{
		Name: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size,
		Executable: info.Mode()&0o100 != 0, files: files,
	}, nil
}

// cause is an error of io/fs without the path that the message has already.
func cause(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// neighbours suggests a file that lies beside the one not found.
func neighbours(n *Node, name string) string {
	entries, err := fs.ReadDir(n.Pos.Doc.Files, path.Dir(name))
	if err != nil {
		return ""
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if near := Nearest(path.Base(name), have); near != "" {
		return fmt.Sprintf("; did you mean %q?", path.Join(path.Dir(n.Text), near))
	}
	return ""
}

// TreeEntry is one file below a directory of the project.
type TreeEntry struct {
	// Path is relative to the directory, slash-separated.
	Path string `json:"path"`
	// File is nil for a directory and a link.
	File *File `json:"file,omitempty"`
	// Target is a symbolic link's, relative and within the directory.
	Target string `json:"target,omitempty"`
}

// FilesOf are the files among the entries of a directory.
func FilesOf(entries []TreeEntry) []*File {
	var files []*File
	for _, e := range entries {
		if e.File != nil {
			files = append(files, e.File)
		}
	}
	return files
}

// ProjectTree lists the directory that a text node names, in path order,
// without what exclude matches: a pattern of path.Match that is compared with
// the whole relative path when it has a slash, with the last part otherwise.
// What is excluded is excluded with all below it.
func ProjectTree(n *Node, exclude []string) ([]TreeEntry, error) {
	root, err := resolve(n)
	if err != nil {
		return nil, err
	}
	files := n.Pos.Doc.Files
	info, err := fs.Stat(files, root)
	if err != nil {
		return nil, Errorf(n.Pos, "cannot read %q: %s%s", n.Text, cause(err), neighbours(n, root))
	}
	if !info.IsDir() {
		return nil, Errorf(n.Pos, "%q is not a directory", n.Text)
	}
	var list []TreeEntry
	var size int64
	err = fs.WalkDir(files, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		rel := strings.TrimPrefix(name, root+"/")
		if root == "." {
			rel = name
		}
		if excluded(rel, exclude) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		entry := TreeEntry{Path: rel}
		switch {
		case d.IsDir():
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			if entry.File, err = digest(files, name, info); err != nil {
				return err
			}
			size += entry.File.Size
		case d.Type()&fs.ModeSymlink != 0:
			if entry.Target, err = fs.ReadLink(files, name); err != nil {
				return err
			}
			if to := path.Join(path.Dir(rel), entry.Target); path.IsAbs(entry.Target) || !fs.ValidPath(to) {
				return fmt.Errorf("the link %s leaves the directory", rel)
			}
		default:
			return fmt.Errorf("%s is neither a file, a directory nor a link", rel)
		}
		list = append(list, entry)
		if len(list) > maxTreeFiles || size > maxTreeBytes {
			return fmt.Errorf("more than %d files or 2 GiB", maxTreeFiles)
		}
		return nil
	})
	if err != nil {
		return nil, Errorf(n.Pos, "cannot read %q: %s", n.Text, cause(err))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

func excluded(rel string, patterns []string) bool {
	for _, p := range patterns {
		subject := path.Base(rel)
		if strings.Contains(p, "/") {
			subject = rel
		}
		if ok, err := path.Match(p, subject); ok && err == nil {
			return true
		}
	}
	return false
}
