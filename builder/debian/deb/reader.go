package deb

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"imgbuild/images/fault"
)

// maxData is the most bytes that a package's files may have in all.
const maxData = 16 << 30

// Visitor is given the entries of a package, with its control files.
type Visitor func(control Control, e *Entry, content io.Reader) error

// Read reads a package file of the given length in bytes from its start to
// its end. It returns the control files and gives every entry of the data
// archive to visit, in order; content is a File's bytes, and what visit leaves
// of them is skipped. name is what errors call the package until its control
// file has told.
func Read(ctx context.Context, name string, size int64, src io.Reader, visit Visitor) (Control, error) {
	r := reader{ctx: ctx, name: name, visit: visit}
	if err := r.read(size, src); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.Worldf("reading package %s", r.name).Because(err)
	}
	return r.control, nil
}

// ReadControl reads the control files of a package file of the given length in
// bytes, and nothing of its data archive. name is what errors call the package.
func ReadControl(ctx context.Context, name string, size int64, src io.Reader) (Control, error) {
	r := reader{ctx: ctx, name: name}
	ar, err := newArReader(src, size)
	if err == nil {
		err = r.members(ar, r.readVersion, r.readControl)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.Worldf("reading package %s", r.name).Because(err)
	}
	return r.control, nil
}

type reader struct {
	ctx     context.Context
	name    string
	visit   Visitor
	control Control
}

// read expects the members of deb(5) in their order: debian-binary,
// control.tar, data.tar, with members that begin with "_" to be skipped
// anywhere between them.
func (r *reader) read(size int64, src io.Reader) error {
	ar, err := newArReader(src, size)
	if err != nil {
		return err
	}
	if err := r.members(ar, r.readVersion, r.readControl, r.readData); err != nil {
		return err
	}
	name, _, err := ar.next()
	if err == nil {
		return fmt.Errorf("unexpected member %q", name)
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// members gives the next members to steps, one to each, in order.
func (r *reader) members(ar *arReader, steps ...func(ar *arReader, name string, size int64) error) error {
	for len(steps) > 0 {
		name, size, err := ar.next()
		if err == io.EOF {
			return errors.New("members are missing: want debian-binary, control.tar and data.tar")
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "_") {
			continue
		}
		if err := steps[0](ar, name, size); err != nil {
			return err
		}
		steps = steps[1:]
	}
	return nil
}

func (r *reader) readVersion(ar *arReader, name string, size int64) error {
	if name != "debian-binary" || size > 64 {
		return fmt.Errorf("first member is %q of %d bytes, want debian-binary", name, size)
	}
	version, err := io.ReadAll(ar)
	if err != nil {
		return fmt.Errorf("debian-binary: %w", err)
	}
	if !strings.HasPrefix(string(version), "2.") {
		return fmt.Errorf("format version is %q, want 2.0", strings.TrimSpace(string(version)))
	}
	return nil
}

func (r *reader) readControl(ar *arReader, name string, size int64) error {
	extension, ok := strings.CutPrefix(name, "control.tar")
	if !ok {
		return fmt.Errorf("second member is %q, want control.tar", name)
	}
	err := r.withMember(ar, extension, size, maxControl, func(plain io.Reader) error {
		files, err := readControl(plain)
		r.control = files
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if own := r.control.name(); own != "" {
		r.name = own
	}
	return nil
}

func (r *reader) readData(ar *arReader, name string, size int64) error {
	extension, ok := strings.CutPrefix(name, "data.tar")
	if !ok {
		return fmt.Errorf("third member is %q, want data.tar", name)
	}
	err := r.withMember(ar, extension, size, maxData, r.walk)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// withMember gives the decompressed member to read and then checks that it
// ends well: a checksum at the end of the compressed stream counts.
func (r *reader) withMember(ar *arReader, extension string, size, most int64, read func(io.Reader) error) error {
	plain, err := decompress(r.ctx, extension, ar, size, most)
	if err != nil {
		return err
	}
	err = read(plain)
	if err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	return errors.Join(err, plain.Close())
}

func (r *reader) walk(src io.Reader) error {
	t := tar.NewReader(src)
	seen := known{}
	for {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := entryOf(h)
		if err != nil {
			return err
		}
		if err := seen.admit(&e); err != nil {
			return err
		}
		if err := r.visit(r.control, &e, t); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
}

// name returns the package's name and version out of its control file.
func (c Control) name() string {
	field := func(name string) string {
		for line := range strings.Lines(string(c["control"].Data)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(key, name) {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	return strings.TrimSpace(field("Package") + " " + field("Version"))
}
