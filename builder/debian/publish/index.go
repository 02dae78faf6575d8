package publish

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/deb822"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// onlyInIndexes are the fields that an index adds to a control file. What a
// package says there itself does not count.
var onlyInIndexes = []string{"filename", "size", "md5sum", "sha1", "sha256", "sha512"}

// readControl verifies a package's file and returns its control paragraph.
func readControl(ctx context.Context, archive *updates.Store, p updates.Package) (string, error) {
	if err := archive.Verify(ctx, p.SHA256); err != nil {
		return "", err
	}
	f, err := archive.OpenFile(p.SHA256)
	if err != nil {
		return "", err
	}
	defer f.Close()
	files, err := deb.ReadControl(ctx, p.Name, p.Size, f)
	if err != nil {
		return "", err
	}
	control, err := deb822.Parse(string(files["control"].Data))
	if err != nil {
		return "", fault.Worldf("its control file is wrong").Because(err)
	}
	for _, field := range []struct{ name, locked string }{
		{"Package", p.Name}, {"Version", p.Version}, {"Architecture", p.Architecture},
	} {
		if own := control.Get(field.name); own != field.locked {
			return "", fault.Worldf("its control file says %s: %.80q, and the lock %q", field.name, own, field.locked).
				WithHint("lock it anew: imgbuild lock BASELINE --update %s", p.Name)
		}
	}
	return indexed(control.Text), nil
}

// indexed is a control paragraph as an index has it.
func indexed(text string) string {
	var out strings.Builder
	left := false // the field is left out, with the lines that continue it
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(line, ":")
			left = slices.Contains(onlyInIndexes, strings.ToLower(strings.TrimSpace(name)))
		}
		if !left {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// writeEntry writes a package's paragraph of the index.
func writeEntry(w *strings.Builder, control string, p updates.Package) {
	fmt.Fprintf(w, "%sFilename: %s\nSize: %d\nSHA256: %s\n\n", control, poolPath(p), p.Size, p.SHA256)
}

// listedFile is a file that the release lists, by path relative to it.
type listedFile struct {
	name string
	File
}

// addIndex adds a component's index, plain and compressed.
func (s *Snapshot) addIndex(dir, text string) error {
	for _, form := range []struct {
		suffix   string
		compress func(io.Writer) (io.WriteCloser, error)
	}{
		{"", func(w io.Writer) (io.WriteCloser, error) { return plain{w}, nil }},
		{".gz", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) }},
		{".xz", func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }},
	} {
		data, err := packed(text, form.compress)
		if err != nil {
			return fmt.Errorf("compressing the index: %w", err)
		}
		s.indexes = append(s.indexes, listedFile{path.Join(dir, "Packages"+form.suffix), made(data)})
	}
	return nil
}

func packed(text string, compress func(io.Writer) (io.WriteCloser, error)) ([]byte, error) {
	var out bytes.Buffer
	w, err := compress(&out)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// plain writes what it is given.
type plain struct{ io.Writer }

func (plain) Close() error { return nil }
