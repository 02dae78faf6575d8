package publish

import (
	"context"
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
	if err := writeFile(filepath.Join(dir, "key.asc"), site.key); err != nil {
		return err
	}
	copied := map[string]string{} // by digest
	for name, s := range site.snapshots {
		for file, f := range s.Files() {
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
				err = copyFile(path, s.archive, f.SHA256)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(path string, data []byte) error { return os.WriteFile(path, data, 0o644) }

func copyFile(path string, archive *updates.Store, sum string) error {
	in, err := archive.OpenFile(sum)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
