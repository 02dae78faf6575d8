package feeds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// List is the file with the feeds of a project.
type List struct {
	Path string
	// Feeds are those of files and addresses.
	Feeds []*Feed
	// Repository is how the repositories of the images are watched; a list that says
	// nothing of it watches them.
	Repository *Feed
}

// OpenList reads it. One that is not there has no feeds.
func OpenList(path string) (*List, error) {
	feeds, err := Load(os.DirFS(filepath.Dir(path)), filepath.Base(path), filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	l := &List{Path: path}
	l.set(feeds)
	return l, nil
}

// set takes what a file lists.
func (l *List) set(all []*Feed) {
	l.Feeds, l.Repository = nil, &Feed{Name: string(Repository), Kind: Repository}
	for _, f := range all {
		if f.Kind == Repository {
			l.Repository = f
		} else {
			l.Feeds = append(l.Feeds, f)
		}
	}
}

// Find is the feed with a name; nil when there is none.
func (l *List) Find(name string) *Feed {
	if i := slices.IndexFunc(l.Feeds, func(f *Feed) bool { return f.Name == name }); i >= 0 {
		return l.Feeds[i]
	}
	return nil
}

// Names are those of all feeds.
func (l *List) Names() []string {
	var names []string
	for _, f := range l.Feeds {
		names = append(names, f.Name)
	}
	return names
}

// Select are the feeds with these names, or all without any.
func (l *List) Select(names []string) ([]*Feed, error) {
	if len(names) == 0 {
		return l.Feeds, nil
	}
	var list []*Feed
	for _, name := range names {
		f := l.Find(name)
		if f == nil {
			return nil, fault.Inputf("there is no feed %q in %s%s", name, l.Path, node.Suggest(name, l.Names())).WithHint("see: imgbuild feeds list")
		}
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list, nil
}

// free is a name that no feed has: the one wished for, or that with a number.
func (l *List) free(wish string) string {
	name := wish
	for n := 2; l.Find(name) != nil; n++ {
		name = fmt.Sprintf("%s-%d", wish, n)
	}
	return name
}

// Append writes feeds to the end of the file; what is there stays as it is,
// comments included. One that another process has listed meanwhile stays so.
func (l *List) Append(ctx context.Context, feeds ...*Feed) error {
	if len(feeds) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.Path), 0o755); err != nil {
		return fmt.Errorf("writing feeds: %w", err)
	}
	dir, err := hold.OpenDir(filepath.Dir(l.Path))
	if err != nil {
		return fmt.Errorf("writing feeds: %w", err)
	}
	defer dir.Close()
	if err := hold.Wait(ctx, dir, hold.Exclusive); err != nil {
		return err
	}
	text, err := os.ReadFile(l.Path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte(listHead), nil
	}
	if err != nil {
		return fmt.Errorf("writing feeds: %w", err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	there, err := parse(l.Path, text, filepath.Dir(l.Path))
	if err != nil {
		return err
	}
	for _, f := range feeds {
		if !slices.ContainsFunc(there, f.same) {
			text = append(text, l.entry(f)...)
		}
	}
	all, err := parse(l.Path, text, filepath.Dir(l.Path))
	if err != nil {
		return fault.Inputf("adding to %s", l.Path).Because(err).WithHint("write it yourself:\n%s", l.entry(feeds[0]))
	}
	if err := replace(l.Path, text); err != nil {
		return fmt.Errorf("writing feeds: %w", err)
	}
	l.set(all)
	return nil
}

// same tells whether another feed is of the same place, or without one of the same
// name.
func (f *Feed) same(o *Feed) bool {
	if f.URL == "" && f.File == "" && f.Directory == "" && f.Name != o.Name {
		return false
	}
	return o.URL == f.URL && o.File == f.File && o.Directory == f.Directory && (f.Directory == "" || o.Kind == f.Kind)
}

const listHead = `# The sources on security problems that this project watches. imgbuild feeds list
# says what each has said; docs/feeds.md says what can be written here.
`

// entry is a feed as it is written.
func (l *List) entry(f *Feed) string {
	var b strings.Builder
	add := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %s: %s\n", key, value)
		}
	}
	fmt.Fprintf(&b, "%s:\n", f.Name)
	add("kind", string(f.Kind))
	add("url", quoted(f.URL))
	if !f.Since.IsZero() {
		add("since", f.Since.Format("2006-01"))
	}
	add("file", quoted(l.relative(f.File)))
	add("directory", quoted(l.relative(f.Directory)))
	add("sha256", f.SHA256)
	if f.Every > 0 {
		add("every", f.Every.String())
	}
	if f.Stale > 0 {
		add("stale-after", f.Stale.String())
	}
	if len(f.Releases) > 0 {
		var names []string
		for _, name := range f.Releases {
			names = append(names, quoted(name))
		}
		add("releases", "["+strings.Join(names, ", ")+"]")
	}
	if f.Least > 0 {
		add("least", fmt.Sprint(f.Least))
	}
	return b.String()
}

// relative is a path as it is written: from the file where it lies beside it.
func (l *List) relative(path string) string {
	rel, err := filepath.Rel(filepath.Dir(l.Path), path)
	if path == "" || err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// quoted is a text that YAML takes for nothing else.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
