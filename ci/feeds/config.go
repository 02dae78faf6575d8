package feeds

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// FileName is the file of a project that lists its feeds.
const FileName = "feeds.yaml"

// Limits on that file.
const (
	maxConfig = 1 << 20
	maxFeeds  = 1000
)

// Feed is one source that is watched. It has at most one place; without any, it
// is filled by bundles alone.
type Feed struct {
	// Name is the key in the file, and a folder of the store.
	Name string `json:"-"`
	Kind Kind   `json:"kind" jsonschema:"required"`
	// URL is where it is downloaded from: https, or http with SHA256. "{month}"
	// in it stands for each month from Since on, written as 2025-Sep.
	URL   string `json:"url"`
	Since Month  `json:"since"`
	// File and Directory are absolute once loaded. Of a directory, the files that
	// are of the feed's kind by their content count.
	File      string `json:"file"`
	Directory string `json:"directory"`
	// SHA256 is what the one file of it must be, in hex.
	SHA256 string `json:"sha256"`
	// Every is how often it is read, and Stale after how long without a good
	// reading it cannot be relied on. 0 is what the kind has.
	Every Duration `json:"every"`
	Stale Duration `json:"stale-after"`
	// Least is how many records it has at least.
	Least int `json:"least"`
	// Shrink is by how many percent it may have fewer records than it ever had; 0
	// means defaultShrink.
	Shrink int `json:"shrink"`
	// Releases are the systems that it is to speak of, such as "Ubuntu:24.04"; none means
	// all that it does.
	Releases []string `json:"releases"`
	// Off is that the repositories are not watched; other feeds are taken off the list.
	Off bool `json:"off"`
	// Pos is where it is written.
	Pos node.Position `json:"-"`
}

// defaultShrink is in percent.
const defaultShrink = 10

var (
	feedName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	digest   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// CheckName refuses what cannot be the name of a feed.
func CheckName(name string) error {
	if !feedName.MatchString(name) {
		return fault.Inputf("%q is no name of a feed", name).WithHint("use small letters, digits, hyphens and dots")
	}
	return nil
}

// Validate refuses a feed that has two places, or one that cannot be relied on.
func (f *Feed) Validate(n *node.Node) error {
	p := &node.Problems{}
	at := func(key string) node.Position {
		if value := n.Get(key); value != nil {
			return value.Pos
		}
		return n.Pos
	}
	if f.Kind == Repository {
		for _, e := range n.Entries {
			if !slices.Contains(repositoryKeys, e.Key) {
				p.Addf(e.Pos, "%q is not for kind %s, which reads the repositories of the images: it has %s", e.Key, Repository, strings.Join(repositoryKeys[1:], ", "))
			}
		}
	} else if f.Off {
		p.Addf(at("off"), "it is for kind %s alone: take this feed off the list", Repository)
	}
	if f.Kind.traits().largest == 0 {
		p.Addf(at("kind"), "unknown kind %q%s", f.Kind, node.Suggest(string(f.Kind), append(Kinds(), string(Repository))))
	}
	var places []string
	for _, key := range []string{"url", "file", "directory"} {
		if value := n.Get(key); value != nil {
			places = append(places, key)
			if value.Text == "" {
				p.Addf(value.Pos, "%q is empty", key)
			}
		}
	}
	if len(places) > 1 {
		p.Addf(n.At(places[1]), "%q and %q are both given: a feed has one place", places[0], places[1])
	}
	if f.SHA256 != "" && !digest.MatchString(f.SHA256) {
		p.Addf(at("sha256"), "expected 64 hexadecimal digits in small letters, found %q", f.SHA256)
	}
	if f.SHA256 != "" && (f.Directory != "" || strings.Contains(f.URL, monthMark)) {
		p.Addf(at("sha256"), "a digest is of one file, and this feed has several")
	}
	if f.URL != "" {
		if err := f.checkURL(); err != nil {
			p.Addf(at("url"), "%v", err)
		}
	}
	if monthly := strings.Contains(f.URL, monthMark); monthly && f.Since.IsZero() {
		p.Addf(at("url"), "%s stands for each month: write the first of them as since: 2024-01", monthMark)
	} else if !monthly && !f.Since.IsZero() {
		p.Addf(at("since"), "it is for a URL with %s in it", monthMark)
	}
	if f.Releases != nil && !f.Kind.Published() {
		p.Addf(at("releases"), "a feed of kind %s does not speak of packages", f.Kind)
	} else if wrong, err := releases(f.Releases).check(); err != nil {
		p.Addf(at("releases"), "%q is no release of a system that is known, such as Debian:12 or Ubuntu:24.04", wrong)
	}
	if f.Least < 0 {
		p.Addf(at("least"), "expected a number of records, found %d", f.Least)
	}
	if f.Shrink < 0 || f.Shrink > 100 || f.Shrink == 0 && n.Get("shrink") != nil {
		p.Addf(at("shrink"), "expected percent from 1 to 100, found %d", f.Shrink)
	}
	if f.staleAfter() < f.every() {
		p.Addf(n.Pos, "it is read every %s and stale after %s: it would be stale before it is read again", span(f.every()), span(f.staleAfter()))
	}
	return p.Err()
}

// repositoryKeys are what a feed of kind Repository may have.
var repositoryKeys = []string{"kind", "every", "stale-after", "off"}

func (f *Feed) checkURL() error {
	u, err := url.Parse(f.URL)
	if err != nil || u.Host == "" {
		return errors.New("expected an address such as https://feeds.example/all.zip")
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		if f.SHA256 != "" {
			return nil
		}
		return errors.New("what comes by http may have been changed on its way: use https, or pin the file by its sha256")
	}
	return fmt.Errorf("feeds are not read by %q: use https, or file: with a path", u.Scheme)
}

func (f *Feed) every() time.Duration {
	if f.Every > 0 {
		return time.Duration(f.Every)
	}
	return f.Kind.traits().every
}

func (f *Feed) staleAfter() time.Duration {
	if f.Stale > 0 {
		return time.Duration(f.Stale)
	}
	return max(f.Kind.traits().stale, 2*f.every())
}

func (f *Feed) shrink() int {
	if f.Shrink > 0 {
		return f.Shrink
	}
	return defaultShrink
}

// Place is where a feed comes from, for people: without a password.
func (f *Feed) Place() string {
	switch {
	case f.URL != "":
		u, err := url.Parse(f.URL)
		if err != nil {
			return "a URL that is none"
		}
		// The mark of months is for people, and not to be escaped.
		return strings.ReplaceAll(u.Redacted(), url.PathEscape(monthMark), monthMark)
	case f.File != "":
		return f.File
	case f.Directory != "":
		return f.Directory
	case f.Kind == Repository:
		return "the mirror"
	}
	return "bundles"
}

// Load reads the feeds of a project: a map by name. dir is where relative paths
// start. A file that is not there lists none.
func Load(files fs.FS, name, dir string) ([]*Feed, error) {
	info, err := fs.Stat(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading feeds: %w", err)
	}
	if info.Size() > maxConfig {
		return nil, fault.Inputf("reading feeds: %s has %d bytes, the limit is %d", name, info.Size(), maxConfig)
	}
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("reading feeds: %w", err)
	}
	return parse(name, data, dir)
}

func parse(name string, data []byte, dir string) ([]*Feed, error) {
	tree, err := node.Parse(name, nil, "", data)
	if err != nil {
		return nil, err
	}
	if tree.Kind == node.Null {
		return nil, nil
	}
	if tree.Kind != node.Map {
		return nil, node.Errorf(tree.Pos, "expected a map of feeds by name, found %s", tree.Kind)
	}
	if len(tree.Entries) > maxFeeds {
		return nil, node.Errorf(tree.Pos, "there are %d feeds, the limit is %d", len(tree.Entries), maxFeeds)
	}
	p := &node.Problems{}
	var list []*Feed
	for _, e := range tree.Entries {
		f := &Feed{Name: e.Key, Pos: e.Pos}
		if !feedName.MatchString(e.Key) {
			p.Addf(e.Pos, "%q is no name of a feed: use small letters, digits, hyphens and dots", e.Key)
		}
		p.Add(node.Decode(e.Value, f))
		f.Pos = e.Pos
		if f.Kind == Repository && slices.ContainsFunc(list, func(o *Feed) bool { return o.Kind == Repository }) {
			p.Addf(e.Pos, "there are two feeds of kind %s, and it is of the repositories of all images", Repository)
		}
		for _, path := range []*string{&f.File, &f.Directory} {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(dir, *path)
			}
		}
		list = append(list, f)
	}
	return list, p.Err()
}

// Duration is a length of time.
type Duration time.Duration

var durationForm = regexp.MustCompile(`^([1-9][0-9]{0,4})([mhd])$`)

// ParseDuration reads "15m", "6h" or "2d".
func ParseDuration(text string) (Duration, error) {
	if parts := durationForm.FindStringSubmatch(text); parts != nil {
		if count, err := strconv.Atoi(parts[1]); err == nil {
			return Duration(time.Duration(count) * map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": day}[parts[2]]), nil
		}
	}
	return 0, fmt.Errorf("expected a time such as 15m, 6h or 2d, found %q", text)
}

// UnmarshalNode reads what ParseDuration does.
func (d *Duration) UnmarshalNode(n *node.Node) (err error) {
	if *d, err = ParseDuration(n.Text); err != nil {
		return node.Errorf(n.Pos, "%v", err)
	}
	return nil
}

// String is the form in which it is written.
func (d Duration) String() string {
	switch t := time.Duration(d); {
	case t%day == 0:
		return strconv.Itoa(int(t/day)) + "d"
	case t%time.Hour == 0:
		return strconv.Itoa(int(t/time.Hour)) + "h"
	default:
		return strconv.Itoa(int(t/time.Minute)) + "m"
	}
}

// Month is the first of a month.
type Month struct{ time.Time }

// UnmarshalNode reads 2025-09.
func (m *Month) UnmarshalNode(n *node.Node) error {
	t, err := time.Parse("2006-01", n.Text)
	if err != nil || t.Year() < 2000 {
		return node.Errorf(n.Pos, "expected a month such as 2025-09, found %q", n.Text)
	}
	m.Time = t
	return nil
}

// monthMark is what stands for the month in a URL.
const monthMark = "{month}"

// maxMonths is how many months a feed may have.
const maxMonths = 400

// remote is one file that a feed is downloaded as.
type remote struct {
	name, url string
	// perhaps is that it may not be published yet.
	perhaps bool
}

// remotes are the files of a feed with a URL.
func (f *Feed) remotes(now time.Time) []remote {
	if !strings.Contains(f.URL, monthMark) {
		return []remote{{name: nameOf(f.URL), url: f.URL}}
	}
	var list []remote
	for m := f.Since.Time; !m.After(now) && len(list) < maxMonths; m = m.AddDate(0, 1, 0) {
		word := m.Format("2006-Jan")
		list = append(list, remote{name: word, url: strings.ReplaceAll(f.URL, monthMark, word), perhaps: m.AddDate(0, 1, 0).After(now)})
	}
	return list
}

// nameOf is what a URL calls its file.
func nameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "data"
	}
	name := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	return cleanName(name)
}

// cleanName makes a name that can be printed and that names no other folder.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '/' && r != '\\' {
			return r
		}
		return '_'
	}, name)
	if len(name) > 200 {
		name = name[:200]
	}
	if name == "" || name == "." || name == ".." {
		return "data"
	}
	return name
}
