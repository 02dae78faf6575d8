package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"imgbuild/images/advisory/applies"
	"imgbuild/images/control"
	"imgbuild/images/hold"
)

// What is what happened to a vulnerability since the last time.
type What string

// What can happen, from what is most urgent.
const (
	// IsExploited is that it is known now to be exploited.
	IsExploited What = "exploited"
	// IsNew is that an output has it, or its distributor has changed its mind.
	IsNew What = "new"
	// IsFixable is that there is a version without it now.
	IsFixable What = "fixable"
	// IsGone is that no image has it any more, or that it is waived.
	IsGone What = "gone"
)

var whats = []What{IsExploited, IsNew, IsFixable, IsGone}

// News is what happened to one vulnerability.
type News struct {
	What     What             `json:"what"`
	ID       string           `json:"id"`
	Severity control.Severity `json:"severity,omitempty"`
	Packages []string         `json:"packages,omitempty"`
	Fixed    []string         `json:"fixed,omitempty"`
	// Where are the baselines that it happened to, with their outputs: "web (vm)".
	Where []string `json:"where"`
}

// Seen is what was known of the images of a project the last time. It counts by
// baseline, for a new version of one has mostly what the one before had.
type Seen struct {
	Version int `json:"version"`
	// At is when that was.
	At time.Time `json:"at"`
	// Has are the open vulnerabilities by id.
	Has map[string]SeenOf `json:"has"`
}

// SeenOf is what was known of one vulnerability.
type SeenOf struct {
	Severity  control.Severity `json:"severity,omitempty"`
	Packages  []string         `json:"packages,omitempty"`
	Exploited bool             `json:"exploited,omitempty"`
	// Where are the baselines and outputs that have it, with the version that is
	// without it, or "".
	Where map[string]string `json:"where"`
}

// seenVersion is that of the form of the file.
const seenVersion = 1

// maxSeen is the largest such file in bytes.
const maxSeen = 256 << 20

// Know makes of concerns what is known; what is not open is left out.
func Know(concerns []*Concern, at time.Time) *Seen {
	s := &Seen{Version: seenVersion, At: at.UTC(), Has: map[string]SeenOf{}}
	for _, c := range concerns {
		if !c.Open() {
			continue
		}
		of := SeenOf{Severity: c.Severity, Packages: c.Packages, Exploited: c.Exploited != nil, Where: map[string]string{}}
		for _, p := range c.Places {
			if p.State == applies.Affected {
				of.Where[fmt.Sprintf("%s (%s)", p.baseline, p.Output)] = p.Fixed
			}
		}
		s.Has[c.ID] = of
	}
	return s
}

// Since says what has happened from before to now, what is most urgent first.
func (s *Seen) Since(before *Seen) []News {
	var all []News
	for id, now := range s.Has {
		old, known := before.Has[id]
		new, fixable := map[string]bool{}, map[string]bool{}
		for where, fixed := range now.Where {
			was, had := old.Where[where]
			switch {
			case !had:
				new[where] = true
			case was == "" && fixed != "":
				fixable[where] = true
			}
		}
		tell := func(what What, where map[string]bool) {
			if len(where) == 0 {
				return
			}
			n := News{What: what, ID: id, Severity: now.Severity, Packages: now.Packages, Where: slices.Sorted(maps.Keys(where))}
			for w := range where {
				if fixed := now.Where[w]; fixed != "" && !slices.Contains(n.Fixed, fixed) {
					n.Fixed = append(n.Fixed, fixed)
				}
			}
			slices.Sort(n.Fixed)
			all = append(all, n)
		}
		if now.Exploited && !(known && old.Exploited) {
			all := map[string]bool{}
			for where := range now.Where {
				all[where] = true
			}
			tell(IsExploited, all)
			continue
		}
		tell(IsNew, new)
		tell(IsFixable, fixable)
	}
	for id, old := range before.Has {
		gone := map[string]bool{}
		for where := range old.Where {
			if _, still := s.Has[id].Where[where]; !still {
				gone[where] = true
			}
		}
		if len(gone) > 0 {
			all = append(all, News{What: IsGone, ID: id, Severity: old.Severity, Packages: old.Packages, Where: slices.Sorted(maps.Keys(gone))})
		}
	}
	slices.SortFunc(all, func(a, b News) int {
		return cmp.Or(
			cmp.Compare(slices.Index(whats, a.What), slices.Index(whats, b.What)),
			cmp.Compare(slices.Index(ranks, a.Severity), slices.Index(ranks, b.Severity)),
			strings.Compare(b.ID, a.ID))
	})
	return all
}

// Notice keeps what is known now in a file and returns what was known before; nil
// the first time. What was known of what is a gap now stays known, for that it is not
// found is no news. Two that notice at once do so one after the other, so that no
// news is told by neither.
func Notice(ctx context.Context, path string, now *Seen, gaps []Gap) (before *Seen, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("remembering what was known: %w", err)
	}
	lock, err := hold.File(ctx, path+".lock", hold.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	before, err = readSeen(path)
	if err != nil {
		return nil, fmt.Errorf("reading what was known: %w", err)
	}
	if before != nil {
		now.keep(before, gaps)
	}
	err = replace(path, func(w io.Writer) error { return json.MarshalWrite(w, now, json.Deterministic(true)) })
	if err != nil {
		return nil, fmt.Errorf("remembering what was known: %w", err)
	}
	return before, nil
}

// keep takes over what was known of what is a gap now.
func (s *Seen) keep(before *Seen, gaps []Gap) {
	for id, old := range before.Has {
		for where, fixed := range old.Where {
			lost := slices.ContainsFunc(gaps, func(g Gap) bool { return g.baseline == "" || strings.HasPrefix(where, g.baseline+" ") })
			if _, still := s.Has[id].Where[where]; still || !lost {
				continue
			}
			now, known := s.Has[id]
			if !known {
				now = SeenOf{Severity: old.Severity, Packages: old.Packages, Exploited: old.Exploited, Where: map[string]string{}}
			}
			now.Where[where] = fixed
			s.Has[id] = now
		}
	}
}

// readSeen reads the file; nil when there is none. One that cannot be read counts as
// none, for all is news then.
func readSeen(path string) (*Seen, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var s Seen
	if err := json.UnmarshalRead(io.LimitReader(file, maxSeen), &s); err != nil || s.Version != seenVersion {
		return nil, nil
	}
	return &s, nil
}
