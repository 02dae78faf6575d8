package feeds

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Wish is how something is added.
type Wish struct {
	Options
	// Name and Kind are for one feed; what they do not say is found out.
	Name string
	Kind Kind
	// Stale is how old they may get; 0 is what the kind has.
	Stale Duration
	// Releases are those that feeds of packages are to speak of; none means all.
	Releases []string
	// Trust says whose bundles are taken.
	Trust    signing.Trust
	Unsigned Unsigned
}

// Added is what came of adding.
type Added struct {
	Feeds []AddedFeed `json:"feeds"`
	// Passed are files of a directory that are no feed's.
	Passed []Passed `json:"passed,omitempty"`
	// Made and Signer are of a bundle.
	Made   time.Time `json:"made,omitzero"`
	Signer string    `json:"signer,omitempty"`
}

// AddedFeed is one feed that was read, and listed where it was not.
type AddedFeed struct {
	Feed *Feed `json:"-"`
	// New is that it was not listed.
	New bool `json:"new"`
	Report
}

// Add takes up a source: an address, a file, a directory, a bundle, or a public
// source by its name. It is read first, and what cannot be read is not listed.
func (s *Store) Add(ctx context.Context, l *List, what string, w Wish) (*Added, error) {
	if w.Name != "" {
		if err := CheckName(w.Name); err != nil {
			return nil, err
		}
	}
	if w.Kind == Repository || what == string(Repository) {
		return nil, fault.Inputf("the repositories of the images are watched without being added").
			WithHint("%s: in %s says how often, or off: see imgbuild feeds list", Repository, l.Path)
	}
	if w.Kind != "" && w.Kind.traits().largest == 0 {
		return nil, fault.Inputf("there is no kind %q of feeds%s", w.Kind, node.Suggest(string(w.Kind), Kinds())).WithHint("the kinds: %s", strings.Join(Kinds(), ", "))
	}
	if wrong, err := releases(w.Releases).check(); err != nil {
		return nil, fault.Inputf("%q is no release of a system that is known", wrong).WithHint("name it as advisories do, such as Debian:12 or Ubuntu:24.04")
	}
	if what == "" {
		return nil, fault.Inputf("the name of a source is empty").WithHint("name an address, a file, a directory, a bundle or a public source")
	}
	if strings.Contains(what, "://") {
		return s.addOne(ctx, l, &Feed{Kind: w.Kind, URL: what}, w)
	}
	path, err := filepath.Abs(what)
	if err != nil {
		return nil, fault.Inputf("adding %s", what).Because(err)
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return s.addDirectory(ctx, l, path, w)
	case err == nil && IsBundle(path):
		return s.addBundle(ctx, l, path, w)
	case err == nil:
		f := &Feed{Kind: w.Kind, File: path}
		if f.Kind == "" {
			if f.Kind, err = recognisePath(ctx, path); err != nil {
				return nil, fault.Inputf("adding %s", what).Because(err).WithHint("the kinds that are known: %s", strings.Join(Kinds(), ", "))
			}
		}
		return s.addOne(ctx, l, f, w)
	}
	for _, p := range Public() {
		if p.Name == what {
			return s.addOne(ctx, l, p.Feed(s.Now()), w)
		}
	}
	return nil, fault.Inputf("there is no file or directory %s, and no public source of that name%s", what, node.Suggest(what, publicNames())).
		WithHint("the public sources: %s", strings.Join(publicNames(), ", "))
}

// addOne adds a feed with one place.
func (s *Store) addOne(ctx context.Context, l *List, f *Feed, w Wish) (*Added, error) {
	if f.URL != "" {
		if err := f.checkURL(); err != nil {
			return nil, fault.Inputf("adding %s: %v", f.Place(), err)
		}
	}
	listed := slices.IndexFunc(l.Feeds, f.same)
	switch {
	case listed >= 0:
		f = l.Feeds[listed]
		if w.Name != "" && w.Name != f.Name || w.Stale > 0 && w.Stale != f.Stale || w.Releases != nil && f.Kind.Published() && !slices.Equal(w.Releases, f.Releases) {
			return nil, fault.Inputf("%s is listed already, as feed %q", f.Place(), f.Name).WithHint("change its name or stale-after: in %s, or its releases: there", l.Path)
		}
	case w.Name != "" && l.Find(w.Name) != nil:
		return nil, fault.Inputf("there is a feed %q already, from %s", w.Name, l.Find(w.Name).Place()).WithHint("give another --name, or change it in %s", l.Path)
	default:
		f.Stale = w.Stale
		if f.Kind == "" || f.Kind.Published() {
			f.Releases = w.Releases
		}
		if w.Name != "" {
			f.Name = w.Name
		} else {
			f.Name = l.free(wished(f))
		}
	}
	state, err := s.Sync(ctx, f, w.Options)
	if err != nil {
		return nil, err
	}
	if len(state.Alarms) > 0 {
		return nil, inAlarm(f.Name, state.Alarms[0])
	}
	if listed < 0 {
		if err := l.Append(ctx, f); err != nil {
			return nil, err
		}
		f = l.Feeds[slices.IndexFunc(l.Feeds, f.same)]
	}
	return &Added{Feeds: []AddedFeed{{f, listed < 0, Tell(f, state, s.Now())}}}, nil
}

// wished is a name for a feed that nobody has named.
func wished(f *Feed) string {
	if f.Name != "" { // of a public source
		return f.Name
	}
	if f.Kind != "" {
		return string(f.Kind)
	}
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' {
			return '-'
		}
		return r
	}, nameOf(f.URL)))
	name, _, _ = strings.Cut(name, ".")
	if !feedName.MatchString(name) {
		return "feed"
	}
	return name
}

// addDirectory adds a feed for each kind that a directory has files of.
func (s *Store) addDirectory(ctx context.Context, l *List, dir string, w Wish) (*Added, error) {
	found, passed, err := Survey(ctx, dir)
	if err != nil {
		return nil, fault.Inputf("adding %s", dir).Because(err)
	}
	if len(found) == 0 {
		return nil, fault.Inputf("there is no file of a feed in %s", dir).WithHint("the kinds that are known by their content: %s", strings.Join(Kinds(), ", "))
	}
	if w.Name != "" && len(found) > 1 {
		return nil, fault.Inputf("%s has files of %d kinds, and --name is for one feed", dir, len(found)).WithHint("leave --name out: each kind has its own feed")
	}
	if _, ok := found[w.Kind]; w.Kind != "" && !ok {
		return nil, fault.Inputf("there is no file of kind %s in %s", w.Kind, dir).WithHint("files are recognised by what is in them: leave --kind out to see which kinds there are")
	}
	all := &Added{Passed: passed}
	var first error
	for _, kind := range slices.Sorted(maps.Keys(found)) {
		if w.Kind != "" && w.Kind != kind {
			continue
		}
		one, err := s.addOne(ctx, l, &Feed{Kind: kind, Directory: dir}, w)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			if first == nil {
				first = err
			}
			for _, path := range found[kind] {
				all.Passed = append(all.Passed, Passed{Path: path, Why: line(err)})
			}
			continue
		}
		all.Feeds = append(all.Feeds, one.Feeds...)
	}
	return all, first
}

// addBundle takes all that a bundle has.
func (s *Store) addBundle(ctx context.Context, l *List, path string, w Wish) (*Added, error) {
	if w.Name != "" || w.Kind != "" || w.Stale > 0 || w.Releases != nil {
		return nil, fault.Inputf("%s is a bundle, whose feeds have names and kinds", path).WithHint("leave out --name, --kind, --stale-after and --releases")
	}
	b, err := OpenBundle(ctx, path, w.Trust, w.Unsigned)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	all := &Added{Made: b.Made, Signer: b.Signer.Name}
	var first error
	for _, carried := range b.Feeds {
		f := l.Find(carried.Feed)
		fresh := f == nil
		if fresh {
			f = &Feed{Name: carried.Feed, Kind: carried.Kind}
		}
		state, err := s.Import(ctx, b, f, w.Options)
		// What was in alarm where the bundle was made is taken, and is in alarm here.
		taken := err == nil && state.Digest == carried.Digest
		if err == nil && len(state.Alarms) > 0 {
			err = inAlarm(f.Name, state.Alarms[0])
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil && first == nil {
			first = err
		}
		if !taken {
			all.Passed = append(all.Passed, Passed{Path: path + "/" + f.Name, Why: line(err)})
			continue
		}
		if fresh {
			if err := l.Append(ctx, f); err != nil {
				return nil, err
			}
		}
		all.Feeds = append(all.Feeds, AddedFeed{f, fresh, Tell(f, state, s.Now())})
	}
	return all, first
}
