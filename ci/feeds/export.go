package feeds

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"imgbuild/images/bundle"
	"imgbuild/images/fault"
	"imgbuild/images/hold"
	"imgbuild/images/signing"
)

// Export writes a bundle of feeds to a file that is not there yet, signed where
// there is a key. What is kept is carried as it is, with the times at which it
// was read and with its alarms; a feed of which nothing is kept is an error.
func (s *Store) Export(ctx context.Context, path string, list []*Feed, key *signing.Key) (*Manifest, error) {
	m := &Manifest{Version: bundleVersion, Made: s.Now().UTC().Truncate(time.Second)}
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
		if alarm := f.other(state.From, state.Files); alarm != nil {
			state.Alarms = append(state.Alarms, *alarm)
		}
		m.Feeds = append(m.Feeds, state)
	}
	if len(m.Feeds) == 0 {
		return nil, fault.Inputf("exporting feeds: there are none").WithHint("see: imgbuild feeds add --help")
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("exporting feeds: %w", err)
	}
	err = bundle.Create(path, func(w io.Writer) error { return form.Write(ctx, w, text, key, s.entries(m)) })
	if err != nil {
		return nil, fmt.Errorf("exporting feeds: %w", err)
	}
	return m, nil
}

// entries are the files of feeds, each content once a feed.
func (s *Store) entries(m *Manifest) iter.Seq[bundle.Entry] {
	return func(yield func(bundle.Entry) bool) {
		for _, state := range m.Feeds {
			done := map[string]bool{}
			for _, f := range state.Files {
				if done[f.SHA256] {
					continue
				}
				done[f.SHA256] = true
				if !yield(s.entry(state.Feed, f)) {
					return
				}
			}
		}
	}
}

func (s *Store) entry(feed string, f File) bundle.Entry {
	e := bundle.Entry{Name: feed + "/" + f.SHA256, SHA256: f.SHA256, Size: f.Bytes}
	e.Open = func() (io.ReadCloser, error) {
		if err := s.verify(feed, f); err != nil {
			return nil, fault.Worldf("what is kept of %s is damaged", f.Name).Because(err).WithHint("read it again: imgbuild feeds check --now %s", feed)
		}
		return s.open(feed, f)
	}
	if file, err := s.open(feed, f); err == nil { // else writing it fails
		c := content{f.Name, file, f.Bytes}
		e.Packed = c.begins(zipMagic) || c.begins(gzipMagic) || c.begins(zstdMagic)
		file.Close()
	}
	return e
}
