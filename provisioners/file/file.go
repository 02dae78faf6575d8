package file

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// maxTemplate bounds a template and a file whose lines are edited, in bytes.
const maxTemplate = 1 << 20

// File is a regular file. With Content or From it is described whole: owner
// and group root and mode 0644 unless given. Without them only the attributes
// that are given are looked at, and the file must exist.
type File struct {
	Path    string  `json:"-"`
	Content *string `json:"content,omitempty" jsonschema_description:"the text, with ${variables} filled in"`
	// From is nil when Template filled Content.
	From     *node.File `json:"from,omitempty" jsonschema_description:"a file of the project, copied as it is"`
	Template bool       `json:"template,omitempty" jsonschema_description:"fill ${variables} into the file named by from"`
	Absent   bool       `json:"absent,omitempty" jsonschema_description:"there must be no file"`
	Attributes

	// template is the file of the project that was filled into Content.
	template *node.File
	// mode is that of a file described whole whose mode is not given; 0 is 0644.
	mode Mode
}

// NewFile decodes the file at the path e.Key.
func NewFile(e node.Entry, vars node.Vars) (*File, error) {
	f := &File{Path: e.Key}
	if err := node.Decode(e.Value, f); err != nil {
		return nil, err
	}
	n := e.Value
	p := &node.Problems{}
	p.Add(checkPath(e.Pos, e.Key))
	if f.Absent {
		p.Add(checkAbsent(n))
	} else if len(n.Entries) == 0 {
		p.Addf(e.Pos, `file %s: expected "content", "from", "absent" or an attribute`, e.Key)
	}
	if f.Content != nil && f.From != nil {
		p.Addf(n.At("content"), `"content" does not go with "from" (%s)%s`, n.At("from"), dropInherited(e))
	}
	if f.Template && f.From == nil {
		p.Addf(n.At("template"), `"template" goes with "from" only; "content" is always one`)
	}
	if err := p.Err(); err != nil || !f.Template {
		return f, err
	}
	return f, f.fill(n.Get("from"), vars)
}

// dropInherited is the end of an error about a file that has "content" of one
// recipe of a chain and "from" of another; "" when one recipe gives both.
func dropInherited(e node.Entry) string {
	if e.Value.At("content").Doc == e.Value.At("from").Doc {
		return ""
	}
	keys := "from"
	if e.Value.Get("template") != nil {
		keys += ", template"
	}
	return fmt.Sprintf("; drop what is inherited by remove: {resources: {files: {%s: [%s]}}}, or [content] there", e.Key, keys)
}

// fill makes a template the content.
func (f *File) fill(from *node.Node, vars node.Vars) error {
	if f.From.Size > maxTemplate {
		return node.Errorf(from.Pos, "%q is larger than 1 MiB, too large for a template", from.Text)
	}
	text, err := f.From.Text()
	if err != nil {
		return node.Errorf(from.Pos, "%v", err)
	}
	doc := &node.Document{Name: strings.TrimSuffix(from.Pos.Doc.Name, from.Pos.Doc.Path) + f.From.Name}
	filled, err := vars.Expand(text, func(offset int) node.Position {
		before := text[:offset]
		return node.Position{Doc: doc, Line: strings.Count(before, "\n") + 1, Column: offset - strings.LastIndexByte(before, '\n')}
	})
	if err != nil {
		return err
	}
	f.Content, f.From, f.Template, f.template = &filled, nil, false, f.From
	return nil
}

// Identity is the path's; two resources cannot share one.
func (f *File) Identity() string { return "file " + f.Path }

// Paths are the places that the resource alone decides on.
func (f *File) Paths() []string { return []string{f.Path} }

// Files are those of the project that the content comes from.
func (f *File) Files() []*node.File {
	if from := cmp.Or(f.From, f.template); from != nil {
		return []*node.File{from}
	}
	return nil
}

func (f *File) whole() bool { return f.Content != nil || f.From != nil }

// Check tells how the system's file differs.
func (f *File) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := r.Lstat(f.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return nil, err
	case f.Absent && missing:
		return nil, nil
	case f.Absent:
		return []system.Difference{{Subject: f.Path, Have: "there", Want: "absent"}}, nil
	case missing:
		return []system.Difference{{Subject: f.Path, Have: "absent", Want: "a regular file"}}, nil
	case !info.Mode.IsRegular():
		return []system.Difference{{Subject: f.Path, Have: kind(info.Mode), Want: "a regular file"}}, nil
	}
	want, err := f.attributes(r, info)
	if err != nil {
		return nil, err
	}
	list := compare(f.Path, info, want)
	if !f.whole() {
		return list, nil
	}
	size, sum := f.expected()
	have, err := digest(r, f.Path, info.Size, size)
	if err != nil {
		return nil, err
	}
	if have != sum {
		list = append(list, system.Difference{Subject: f.Path + ": content", Have: short(have), Want: short(sum)})
	}
	return list, nil
}

// attributes are those the file should have.
func (f *File) attributes(r system.Reader, have system.Info) (system.Attr, error) {
	base := system.Attr{Mode: have.Mode, UID: have.UID, GID: have.GID}
	if f.whole() {
		base = system.Attr{Mode: fs.FileMode(cmp.Or(f.mode, 0o644))}
	}
	return f.want(r, base)
}

// expected are the content's size and digest.
func (f *File) expected() (int64, string) {
	if f.From != nil {
		return f.From.Size, f.From.SHA256
	}
	sum := sha256.Sum256([]byte(*f.Content))
	return int64(len(*f.Content)), hex.EncodeToString(sum[:])
}

// digest takes the digest of a file, unless its size says already that it is
// another one; then it is "".
func digest(r system.Reader, name string, size, want int64) (string, error) {
	if size != want {
		return "", nil
	}
	content, err := r.Open(name)
	if err != nil {
		return "", err
	}
	defer content.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func short(sum string) string {
	if sum == "" {
		return "of another size"
	}
	return "sha256:" + sum[:12]
}

// Apply makes the file as it should be. Directories that are missing on the
// way are made for root with mode 0755.
func (f *File) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := f.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	info, err := s.Lstat(f.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return false, err
	case !missing && info.Mode.IsDir():
		return false, errors.New("a directory is in its place; remove that with an absent directory first")
	case f.Absent:
		return true, s.Remove(f.Path)
	case !f.whole() && (missing || !info.Mode.IsRegular()):
		return false, fault.Worldf(`there is no such file, and neither "content" nor "from" to make it of`)
	}
	want, err := f.attributes(s, info)
	if err != nil {
		return false, err
	}
	if !f.whole() {
		return true, settle(s, f.Path, info, want)
	}
	if err := system.MkdirAll(s, path.Dir(f.Path)); err != nil {
		return false, err
	}
	content, err := f.open()
	if err != nil {
		return false, err
	}
	err = s.WriteFile(f.Path, content, want)
	if closeErr := content.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return false, fmt.Errorf("writing: %w", err)
	}
	return true, nil
}

func (f *File) open() (io.ReadCloser, error) {
	if f.From != nil {
		return f.From.Open()
	}
	return io.NopCloser(bytes.NewReader([]byte(*f.Content))), nil
}
