package feeds

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/eol"
	"imgbuild/images/advisory/epss"
	"imgbuild/images/advisory/kev"
)

// Facts are what feeds say of vulnerabilities and systems that others publish.
// What no feed says is nil, or missing: that it is not exploited or supported is
// then not said.
type Facts struct {
	Exploited []*kev.Catalog
	Scores    []*epss.Scores
	Support   []*eol.Feed
}

// SupportOf is until when a release, such as "Debian:12" ([ecosystem.Release]), gets
// security fixes; its level is eol.Unknown where no feed says so.
func (f *Facts) SupportOf(release string, now time.Time) eol.Support {
	unknown := eol.Support{Level: eol.Unknown, Reason: fmt.Sprintf("until when %s gets security fixes is not known: no feed says so (imgbuild feeds add eol)", release)}
	product, version, _ := strings.Cut(release, ":")
	for _, feed := range f.Support {
		r, err := feed.Find(product, version)
		if err == nil {
			return r.Support(now, eol.Default)
		}
		unknown.Reason = err.Error()
	}
	return unknown
}

// facts reads what is kept of the feeds of the kinds KEV, EPSS and EOL.
func (s *Store) facts(ctx context.Context, list []*Feed) (*Facts, error) {
	facts := &Facts{}
	for _, f := range list {
		if f.Kind.Published() {
			continue
		}
		state, err := s.State(f)
		if err != nil {
			return nil, err
		}
		if !state.Kept() {
			continue
		}
		found, err := s.kept(ctx, f, func(*advisory.Record) error { return nil })
		if err != nil {
			return nil, err
		}
		facts.add(found)
	}
	return facts, nil
}

func (f *Facts) add(found *reader) {
	if found.kev != nil {
		f.Exploited = append(f.Exploited, found.kev)
	}
	if found.epss != nil {
		f.Scores = append(f.Scores, found.epss)
	}
	f.Support = append(f.Support, found.eol...)
}

// kept reads what is kept of a feed.
func (s *Store) kept(ctx context.Context, f *Feed, each func(*advisory.Record) error) (*reader, error) {
	files, done, err := s.contents(ctx, f)
	if err != nil {
		return nil, err
	}
	found, err := read(ctx, f.Kind, files, s.Now(), releases(f.Releases).only(each))
	if err = errors.Join(err, done()); err != nil {
		return nil, fmt.Errorf("feed %s: %w", f.Name, err)
	}
	return found, nil
}
