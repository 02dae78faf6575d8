package feeds

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/signing"
)

// Export writes a bundle of feeds to a file that is not there yet, signed where
// there is a key. What is kept is carried as it is, with the times at which it
// was read; a feed of which nothing is kept is an error.
func (s *Store) Export(ctx context.Context, path string, list []*Feed, key *signing.Key) (m *Manifest, err error) {
	m = &Manifest{Version: bundleVersion, Made: s.Now().UTC().Truncate(time.Second)}
	for _, f := range list {
		// Nothing may be taken away while it is carried.
		lock, err := s.hold(ctx, f.Name, "lock", hold.Shared)
		if err != nil {
			return nil, err
		}
		defer lock.Close()
		state, err := s.State(f)
		if err != nil {
			return nil, err
		}
		if !state.Kept() {
			return nil, fault.Inputf("exporting feeds: nothing of %s is here", f.Name).WithHint("read it first: imgbuild feeds check %s", f.Name)
		}
		m.Feeds = append(m.Feeds, state)
	}
	if len(m.Feeds) == 0 {
		return nil, fault.Inputf("exporting feeds: there are none").WithHint("see: imgbuild feeds add --help")
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fault.Inputf("exporting feeds: %s is there already", path).WithHint("choose another name, or remove it")
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".feeds-*")
	if err != nil {
		return nil, fault.Inputf("exporting feeds").Because(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close(), os.Remove(out.Name()))
		}
	}()
	if err := s.writeBundle(ctx, out, m, key); err != nil {
		return nil, fmt.Errorf("exporting feeds: %w", err)
	}
	if err := out.Chmod(0o644); err != nil {
		return nil, fmt.Errorf("exporting feeds: %w", err)
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return nil, fmt.Errorf("exporting feeds: %w", err)
	}
	if err := move(out.Name(), path); err != nil {
		return nil, fmt.Errorf("exporting feeds: %w", err)
	}
	return m, nil
}

func (s *Store) writeBundle(ctx context.Context, out io.Writer, m *Manifest, key *signing.Key) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	name := manifestName
	if key != nil {
		name = signedName
		if text, err = signing.Sign(ctx, bundleType, text, key); err != nil {
			return err
		}
	}
	w := zip.NewWriter(out)
	if err := addEntry(w, name, zip.Deflate, bytes.NewReader(text)); err != nil {
		return err
	}
	for _, state := range m.Feeds {
		done := map[string]bool{}
		for _, f := range state.Files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if done[f.SHA256] {
				continue
			}
			done[f.SHA256] = true
			if err := s.addFile(w, state.Feed, f); err != nil {
				return fmt.Errorf("feed %s: %s: %w", state.Feed, f.Name, err)
			}
		}
	}
	return w.Close()
}

func (s *Store) addFile(w *zip.Writer, feed string, f File) error {
	if err := s.verify(feed, f); err != nil {
		return fault.Worldf("what is kept of it is damaged").Because(err).WithHint("read it again: imgbuild feeds check --now %s", feed)
	}
	file, err := s.open(feed, f)
	if err != nil {
		return err
	}
	defer file.Close()
	method := zip.Deflate
	c := content{f.Name, file, f.Bytes}
	if c.begins(zipMagic) || c.begins(gzipMagic) || c.begins(zstdMagic) {
		method = zip.Store
	}
	return addEntry(w, feed+"/"+f.SHA256, method, file)
}

// addEntry writes an entry without a time, so that the same feeds give the same
// bytes.
func addEntry(w *zip.Writer, name string, method uint16, r io.Reader) error {
	entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, r)
	return err
}
