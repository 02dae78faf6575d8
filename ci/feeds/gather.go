package feeds

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// fromURL asks for every file of a feed that has a URL.
func (s *Store) fromURL(ctx context.Context, f *Feed, old *State) (*incoming, error) {
	in := &incoming{fresh: map[string]string{}, from: f.Place()}
	transfer, cancel := context.WithTimeoutCause(ctx, s.Fetch.Patience.orDefault().Whole, errSlow)
	defer cancel()
	for _, from := range f.remotes(s.Now()) {
		known := old.file(from.name)
		if known != nil {
			// A file that has rotted is asked for anew, and so is all when the feed
			// comes from elsewhere now.
			if old.From != f.Place() || s.verify(f.Name, *known) != nil {
				known = nil
			}
		}
		limit := f.Kind.traits().largest
		if f.Kind == "" {
			limit = OSV.traits().largest // the largest there are
		}
		a, err := s.download(ctx, transfer, f.Name, from, known, limit)
		if err != nil {
			return nil, err
		}
		if a.absent {
			continue
		}
		if f.Kind == "" {
			if f.Kind, err = recognisePath(ctx, a.path); err != nil {
				return nil, &Alarm{What: Unreadable, Reason: f.Place() + ": " + line(err), Mend: "see what the address leads to"}
			}
		}
		in.add(a.file, a.path)
		if t, err := http.ParseTime(a.file.Modified); err == nil && t.After(in.changed) {
			in.changed = t
		}
	}
	return in, nil
}

func (in *incoming) add(f File, path string) {
	in.files = append(in.files, f)
	if path == "" {
		return
	}
	// Two files of the same bytes are kept once.
	in.fresh[f.SHA256] = path
}

// fromFiles copies files of this machine.
func (s *Store) fromFiles(f *Feed, paths []string) (*incoming, error) {
	in := &incoming{fresh: map[string]string{}, from: f.Place()}
	names := map[string]bool{}
	for _, path := range paths {
		file, info, err := openRegular(path)
		if err != nil {
			return nil, &Alarm{What: Unreachable, Reason: reasonOf(err), Mend: "put the file there, or correct " + FileName}
		}
		name := cleanName(filepath.Base(path))
		for n := 2; names[name]; n++ {
			name = fmt.Sprintf("%d-%s", n, cleanName(filepath.Base(path)))
		}
		names[name] = true
		taken, at, err := s.take(f.Name, name, file, f.Kind.traits().largest)
		file.Close()
		if err != nil {
			return nil, err
		}
		in.add(taken, at)
		if info.ModTime().After(in.changed) {
			in.changed = info.ModTime()
		}
	}
	return in, nil
}

// openRegular opens a file that is one, and no pipe that would wait for ever.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, noFeed(path + " is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return f, info, nil
}
