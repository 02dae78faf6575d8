package advise

import (
	"context"
	"maps"
	"slices"

	"imgbuild/ci/feeds"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/report"
)

// Files answers by files that somebody gives. Nobody watches them, so that they do not
// say something is a fact of the files alone.
type Files struct {
	Store *feeds.GivenStore
	Given []feeds.Given
}

// Feeds implements scan.Advisor.
func (a *Files) Feeds(ctx context.Context) ([]report.Feed, error) {
	advised, _, err := a.Advise(ctx, nil)
	if err != nil {
		return nil, err
	}
	return advised.Feeds, nil
}

// Advise implements scan.Advisor. A file that cannot be read is an error.
func (a *Files) Advise(ctx context.Context, packages []installed.Package) (*report.Advised, []report.Vulnerability, error) {
	about := map[string]bool{}
	for i := range packages {
		if packages[i].Problem == "" {
			about[packages[i].Ecosystem] = true
		}
	}
	index, facts, told, err := a.Store.Open(ctx, a.Given, slices.Sorted(maps.Keys(about))...)
	if err != nil {
		return nil, nil, err
	}
	defer index.Close()
	advised := &report.Advised{}
	for _, one := range told {
		advised.Feeds = tell(advised.Feeds, one)
	}
	if files := published(advised.Feeds); len(files) == 1 {
		files[0].Records = index.Records()
	}
	found, err := match(index, facts, packages, advised, a.Store.Now())
	return advised, found, err
}

// published are the feeds that speak of packages.
func published(list []report.Feed) []*report.Feed {
	var some []*report.Feed
	for i := range list {
		if says := list[i].Says; says == report.OfPackages || says == report.OfAdvisories {
			some = append(some, &list[i])
		}
	}
	return some
}
