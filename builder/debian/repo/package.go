package repo

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/builder/debian/deb822"
)

// MaxPackages is the most packages of one index; Debian's main has 70,000.
const MaxPackages = 1 << 20

// packagesBlock is a divisor of MaxPackages.
const packagesBlock = 1 << 10

// Package is one entry of a Packages index.
type Package struct {
	Name         string
	Version      string
	Architecture string
	// Source and SourceVersion name the source package that it was built from.
	Source        string
	SourceVersion string
	Section       string
	Priority      string
	// Essential is the field of that name; Protected is that or Important.
	Essential bool
	Protected bool
	MultiArch string
	// The dependency fields, as they stand.
	PreDepends, Depends, Recommends, Suggests string
	Conflicts, Breaks, Replaces, Enhances     string
	Provides                                  string
	// Path is relative to the archive's root.
	Path string
	// Size is the file's length in bytes.
	Size int64
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string
}

// kept are the fields of an index that a lock needs; the cache holds no others.
var kept = map[string]bool{
	"Package": true, "Version": true, "Architecture": true, "Source": true, "Section": true,
	"Priority": true, "Essential": true, "Protected": true, "Important": true, "Multi-Arch": true,
	"Pre-Depends": true, "Depends": true, "Recommends": true, "Suggests": true,
	"Conflicts": true, "Breaks": true, "Replaces": true, "Enhances": true,
	"Provides": true, "Filename": true, "Size": true, "SHA256": true,
}

// strip copies the paragraphs of a Packages index to w with only the kept
// fields, and returns what ReadPackages does.
func strip(w io.Writer, index io.Reader) ([]Package, error) {
	var out []byte
	return readPackages(index, func(p *deb822.Paragraph) error {
		out = out[:0]
		for _, f := range p.Fields {
			if kept[f.Name] {
				out = append(out, f.Name...)
				out = append(out, ':', ' ')
				out = append(out, f.Value...)
				out = append(out, '\n')
			}
		}
		_, err := w.Write(append(out, '\n'))
		return err
	})
}

// ReadPackages reads a Packages index and checks every entry.
func ReadPackages(r io.Reader) ([]Package, error) {
	return readPackages(r, func(*deb822.Paragraph) error { return nil })
}

func readPackages(r io.Reader, each func(*deb822.Paragraph) error) ([]Package, error) {
	paragraphs := deb822.NewReader(r)
	// Full blocks are put together at the end: a slice that grows to the size
	// of Debian's main would be copied many times.
	var blocks [][]Package
	list := make([]Package, 0, packagesBlock)
	for {
		paragraph, err := paragraphs.Next()
		if err == io.EOF {
			return slices.Concat(append(blocks, list)...), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading index: %w", err)
		}
		if len(list) == packagesBlock {
			blocks, list = append(blocks, list), make([]Package, 0, packagesBlock)
		}
		if len(blocks)*packagesBlock == MaxPackages {
			return nil, fmt.Errorf("reading index: more than %d packages", MaxPackages)
		}
		p, err := ControlPackage(paragraph)
		if err == nil {
			err = p.checkFile()
		}
		if err == nil {
			err = each(paragraph)
		}
		if err != nil {
			return nil, fmt.Errorf("reading index: entry %d: %w", len(blocks)*packagesBlock+len(list)+1, err)
		}
		list = append(list, p)
	}
}

// ControlPackage reads the fields of a package's control paragraph or index
// entry. Path, Size and SHA256 are as found there, and unchecked.
func ControlPackage(paragraph *deb822.Paragraph) (Package, error) {
	var p Package
	var source, size string
	for i := range paragraph.Fields {
		f := &paragraph.Fields[i]
		switch f.Name {
		case "Package":
			p.Name = f.Value
		case "Version":
			p.Version = f.Value
		case "Architecture":
			p.Architecture = f.Value
		case "Source":
			source = f.Value
		case "Section":
			p.Section = f.Value
		case "Priority":
			p.Priority = f.Value
		case "Essential":
			p.Essential = f.Value == "yes"
		case "Protected", "Important":
			p.Protected = p.Protected || f.Value == "yes"
		case "Multi-Arch":
			p.MultiArch = f.Value
		case "Pre-Depends":
			p.PreDepends = f.Value
		case "Depends":
			p.Depends = f.Value
		case "Recommends":
			p.Recommends = f.Value
		case "Suggests":
			p.Suggests = f.Value
		case "Conflicts":
			p.Conflicts = f.Value
		case "Breaks":
			p.Breaks = f.Value
		case "Replaces":
			p.Replaces = f.Value
		case "Enhances":
			p.Enhances = f.Value
		case "Provides":
			p.Provides = f.Value
		case "Filename":
			p.Path = f.Value
		case "Size":
			size = f.Value
		case "SHA256":
			p.SHA256 = f.Value
		}
	}
	if !deb822.IsPackageName(p.Name) {
		return p, fmt.Errorf("%.60q is no package name", p.Name)
	}
	if !deb822.IsVersion(p.Version) {
		return p, fmt.Errorf("package %s: %.60q is no version", p.Name, p.Version)
	}
	if !IsArchitecture(p.Architecture) {
		return p, fmt.Errorf("package %s: %.60q is no architecture", p.Name, p.Architecture)
	}
	p.Source, p.SourceVersion = p.Name, p.Version
	if source != "" {
		name, version, _ := strings.Cut(source, "(")
		p.Source = strings.TrimSpace(name)
		if version, ok := strings.CutSuffix(strings.TrimSpace(version), ")"); ok {
			p.SourceVersion = strings.TrimSpace(version)
		}
		if !deb822.IsPackageName(p.Source) || !deb822.IsVersion(p.SourceVersion) {
			return p, fmt.Errorf("package %s: %.80q is no source package", p.Name, source)
		}
	}
	if size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return p, fmt.Errorf("package %s: %.60q is no size", p.Name, size)
		}
		p.Size = n
	}
	return p, nil
}

// checkFile checks what an index says of the package's file.
func (p *Package) checkFile() error {
	switch {
	case !IsCleanPath(p.Path):
		return fmt.Errorf("package %s: %.80q is no path inside the archive", p.Name, p.Path)
	case !IsSHA256(p.SHA256):
		return fmt.Errorf("package %s: %.80q is no SHA-256 digest", p.Name, p.SHA256)
	case p.Size <= 0:
		return errors.New("package " + p.Name + ": the index gives no size")
	}
	return nil
}

// IsCleanPath reports whether p is a relative slash-separated path that stays
// below its root.
func IsCleanPath(p string) bool {
	if p == "" || len(p) > 1024 || p[0] == '/' {
		return false
	}
	p = strings.TrimPrefix(p, "./") // flat repositories write ./name.deb
	if p == "" || p == "." || p == ".." || path.Clean(p) != p || strings.HasPrefix(p, "../") {
		return false
	}
	return !strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' })
}

// IsSHA256 reports whether digest is 64 lower-case hexadecimal digits.
func IsSHA256(digest string) bool {
	if len(digest) != 64 || strings.ToLower(digest) != digest {
		return false
	}
	_, err := hex.DecodeString(digest)
	return err == nil
}

// IsArchitecture reports whether arch can be the Debian name of one.
func IsArchitecture(arch string) bool {
	if arch == "" || len(arch) > 40 || arch[0] == '-' {
		return false
	}
	return strings.Trim(arch, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
