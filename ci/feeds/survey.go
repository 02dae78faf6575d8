package feeds

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fromDirectory copies the files of a directory that are of the feed's kind. One
// that was of the feed and is of no kind any more is no file that is passed over,
// nor is one that could not be looked into: it may be of the feed.
func (s *Store) fromDirectory(ctx context.Context, f *Feed, old *State) (*incoming, error) {
	found, passed, err := Survey(ctx, f.Directory)
	if err != nil {
		return nil, err
	}
	for _, p := range passed {
		alarm := &Alarm{What: Unreadable, Mend: "copy it again, take it away, or name the folder that has the files themselves; what was kept before stays"}
		switch {
		case old.file(cleanName(filepath.Base(p.Path))) != nil:
			alarm.Reason = fmt.Sprintf("%s was of this feed, and now %s", p.Path, p.Why)
			return nil, alarm
		case p.Unread:
			alarm.Reason = fmt.Sprintf("%s may be of this feed, and cannot be read: %s", p.Path, p.Why)
			return nil, alarm
		}
	}
	return s.fromFiles(f, found[f.Kind])
}

// Passed is a file that is no feed's.
type Passed struct {
	Path string `json:"path"`
	Why  string `json:"why"`
	// Unread is that it may be one all the same: it could not be looked into, such as
	// an archive that was cut short.
	Unread bool `json:"unread,omitempty"`
}

// noFeed is why a file is no feed's for certain.
type noFeed string

func (n noFeed) Error() string { return string(n) }

// Limits on a directory of feeds.
const (
	maxDepth    = 8
	maxSurveyed = maxFiles
)

// Survey finds the files of feeds in a directory and those below it, by their
// content, and says of the others why they are none. Links are not followed.
func Survey(ctx context.Context, dir string) (map[Kind][]string, []Passed, error) {
	found := map[Kind][]string{}
	var passed []Passed
	seen := 0
	// The directory itself may be named by a link.
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.IsDir() {
			rel, err := filepath.Rel(dir, path)
			if err == nil && strings.Count(rel, string(filepath.Separator)) >= maxDepth {
				passed = append(passed, Passed{path, fmt.Sprintf("it is more than %d folders deep", maxDepth), true})
				return filepath.SkipDir
			}
			if path != dir && strings.HasPrefix(e.Name(), ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if seen++; seen > maxSurveyed {
			return fmt.Errorf("it has more than %d files", maxSurveyed)
		}
		kind, err := recognisePath(ctx, path)
		if err != nil {
			var none noFeed
			passed = append(passed, Passed{path, line(err), !errors.As(err, &none)})
			return nil
		}
		found[kind] = append(found[kind], path)
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, &Alarm{What: Unreachable, Reason: fmt.Sprintf("%s cannot be read: %s", dir, line(err)), Mend: "see what is there, or correct " + FileName}
	}
	return found, passed, nil
}

func recognisePath(ctx context.Context, path string) (Kind, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
		return "", noFeed("it is a link")
	}
	f, info, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return recognise(ctx, content{filepath.Base(path), f, info.Size()})
}
