package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Write writes the site as files below dir, which must not be there yet; it
// appears whole or not at all. Packages are copied, each once, so that nobody who
// may write there changes the archive.
func (site *Site) Write(ctx context.Context, dir string) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return fault.Inputf("writing a repository: %s is there already", dir).
			WithHint("write beside it and replace it, so that apt never sees half of one")
	}
	draft, err := os.MkdirTemp(filepath.Dir(dir), ".publish-")
	if err != nil {
		return fault.Inputf("writing a repository").Because(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(draft))
		}
	}()
	if err := site.write(ctx, draft); err != nil {
		return fmt.Errorf("writing a repository: %w", err)
	}
	if err := os.Chmod(draft, 0o755); err != nil {
		return fmt.Errorf("writing a repository: %w", err)
	}
	if err := os.Rename(draft, dir); err != nil {
		return fmt.Errorf("writing a repository: %w", err)
	}
	return nil
}

func (site *Site) write(ctx context.Context, dir string) error {
	if err := writeFile(filepath.Join(dir, "key.asc"), site.public); err != nil {
		return err
	}
	copied := map[string]string{} // by digest
	for name, e := range site.shown.Load().editions {
		for file, f := range e.Files() {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			path := filepath.Join(dir, "snapshots", name, filepath.FromSlash(file))
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			switch first := copied[f.SHA256]; {
			case err != nil:
			case f.Data != nil:
				err = writeFile(path, f.Data)
			case first != "":
				err = os.Link(first, path)
			default:
				copied[f.SHA256] = path
				err = copyFile(path, e.archive, f.SHA256)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFile writes a file that is on the disk when it returns: what appears whole
// is whole after a power cut as well.
func writeFile(path string, data []byte) error {
	return createFile(path, bytes.NewReader(data))
}

func createFile(path string, in io.Reader) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// copyFile copies a file of the archive, and looks at what it copied.
func copyFile(path string, archive *updates.Store, sum string) error {
	in, err := archive.OpenFile(sum)
	if err != nil {
		return err
	}
	defer in.Close()
	hash := sha256.New()
	if err := createFile(path, io.TeeReader(in, hash)); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fault.Worldf("the archive's file %s has the sha256 %s", sum, got).WithHint("see: imgbuild updates verify")
	}
	return nil
}
