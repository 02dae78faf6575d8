package container

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/images/integrity"
)

// xattrPrefix is how tar archives carry extended attributes in PAX records;
// see the OCI image specification, layer.md.
const xattrPrefix = "SCHILY.xattr."

// WriteTar writes the whole root as one tar archive to w: names start with
// "./" and the root itself comes first when it is among the entries, as
// mmdebstrap and debootstrap have it. Equal trees give equal bytes. Files are
// held to the sizes of their entries, not to their digests: that is for images.
func WriteTar(ctx context.Context, w io.Writer, root string, entries []integrity.Entry) error {
	if err := checkEntries(entries); err != nil {
		return err
	}
	// One goroutine reads the root while another writes what was read before.
	from, to := io.Pipe()
	written := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, from, make([]byte, tarBuffer))
		from.CloseWithError(err)
		written <- err
	}()
	buf := bufio.NewWriterSize(to, tarBuffer)
	a := newArchive(buf, root, "./")
	a.sum = nil
	err := a.write(ctx, entries)
	if err == nil {
		err = buf.Flush()
	}
	to.CloseWithError(err)
	if failed := <-written; err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("writing tar: %w", err)
	}
	return nil
}

// tarBuffer is how many bytes of a tar are written at a time.
const tarBuffer = 1 << 20

// archive writes entries of a root as tar.
type archive struct {
	tar    *tar.Writer
	root   string
	prefix string
	buf    []byte
	// sum holds contents to the digests of their entries; nil leaves that out.
	sum hash.Hash
}

func newArchive(w io.Writer, root, prefix string) *archive {
	return &archive{tar: tar.NewWriter(w), root: root, prefix: prefix, buf: make([]byte, 256<<10), sum: sha256.New()}
}

func (a *archive) write(ctx context.Context, entries []integrity.Entry) error {
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &entries[i]
		if err := a.tar.WriteHeader(a.header(e)); err != nil {
			return fmt.Errorf("writing header of %s: %w", e.Path, err)
		}
		if e.Mode.IsRegular() && e.HardLink == "" && e.Size > 0 {
			if err := a.content(e); err != nil {
				return err
			}
		}
	}
	return a.tar.Close()
}

// header returns the tar header of an entry. Owners are numbers only, and PAX
// records appear only where ustar cannot hold a value.
func (a *archive) header(e *integrity.Entry) *tar.Header {
	h := &tar.Header{
		Name:    a.prefix + e.Path,
		Mode:    int64(e.Mode.Perm()),
		Uid:     e.UID,
		Gid:     e.GID,
		ModTime: time.Unix(e.ModTime, 0),
	}
	for bit, value := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if e.Mode&bit != 0 {
			h.Mode |= value
		}
	}
	if len(e.Xattrs) > 0 && e.HardLink == "" {
		h.PAXRecords = make(map[string]string, len(e.Xattrs))
		for name, value := range e.Xattrs {
			h.PAXRecords[xattrPrefix+name] = value
		}
	}
	if e.HardLink != "" {
		h.Typeflag, h.Linkname = tar.TypeLink, a.prefix+e.HardLink
		return h
	}
	switch e.Mode.Type() {
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
		if e.Path == "." {
			h.Name = "./"
		}
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Target, 0o777
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
	case fs.ModeDevice:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(e.Major), int64(e.Minor)
	case fs.ModeDevice | fs.ModeCharDevice:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(e.Major), int64(e.Minor)
	default:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	}
	return h
}

// content copies a file into the archive. A layer is found again by its
// entries, so its bytes must be theirs.
func (a *archive) content(e *integrity.Entry) error {
	f, err := os.OpenFile(filepath.Join(a.root, e.Path), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("reading file of the root: %w", err)
	}
	defer f.Close()
	if a.sum != nil {
		a.sum.Reset()
	}
	left := e.Size
	for left > 0 {
		n, err := f.Read(a.buf[:min(int64(len(a.buf)), left)])
		if n > 0 {
			left -= int64(n)
			if a.sum != nil {
				a.sum.Write(a.buf[:n]) // never fails
			}
			if _, err := a.tar.Write(a.buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading file of the root: %w", err)
		}
	}
	if left == 0 && (a.sum == nil || hex.EncodeToString(a.sum.Sum(nil)) == e.SHA256) {
		return nil
	}
	return fault.Worldf("file %s changed while the image was written", e.Path).
		WithHint("bake again; nothing else may write to the build directory meanwhile")
}
