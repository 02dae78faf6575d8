package publish

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// The components of a snapshot.
const (
	// Main has what images are made of: the lock's sets root and boot.
	Main = "main"
	// Tools has what the tools root is made of; nothing of it enters an image.
	Tools = "tools"
)

// Request is what a snapshot is made of.
type Request struct {
	// Name is what the snapshot is called in addresses.
	Name string
	// Lock names the packages, and Archive has them.
	Lock    *updates.Lock
	Archive *updates.Store
	// Done, if there, is told of each package that has been looked at, from
	// several goroutines.
	Done func()
}

// Snapshot is a repository of the packages of one lock, which has all but a
// signature: an Edition has that.
type Snapshot struct {
	Name string
	// Codename is that of Debian's release.
	Codename     string
	Architecture string
	// Components are those that have packages.
	Components []string
	// Date is the lock's epoch.
	Date time.Time
	// Lock is the SHA-256 of the lock's text.
	Lock string
	// Packages and Bytes are how much can be installed.
	Packages int
	Bytes    int64

	archive *updates.Store
	// pool are packages by path relative to the root, and indexes what a release
	// lists, relative to the release; both have the digest in the path or are listed
	// by it.
	pool    map[string]File
	indexes []listedFile
}

// File is one file of a snapshot.
type File struct {
	// Data is nil for a file of the archive.
	Data []byte
	// SHA256 is in lower-case hex.
	SHA256 string
	Size   int64
}

// nameForm is that of a folder below snapshots/, and of a field of the release.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,159}$`)

// Make makes a snapshot. Every package is read from the archive and compared with
// the lock; one that is missing, damaged or not what the lock says is a World
// fault. The same lock makes the same snapshot.
func Make(ctx context.Context, r Request) (*Snapshot, error) {
	s, err := assemble(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("publishing %s: %w", r.Name, err)
	}
	return s, nil
}

func assemble(ctx context.Context, r Request) (*Snapshot, error) {
	if err := r.Lock.Check(); err != nil {
		return nil, fault.Inputf("the lock is wrong").Because(err)
	}
	if !nameForm.MatchString(r.Name) {
		return nil, fault.Inputf("%.80q is no name of a snapshot", r.Name).WithHint("name the lock's file like its baseline")
	}
	if strings.Contains(r.Lock.Suite, "/") {
		return nil, fault.Inputf("the suite %q is no name of a folder", r.Lock.Suite)
	}
	s := &Snapshot{
		Name: r.Name, Codename: r.Lock.Suite, Architecture: r.Lock.Architecture,
		Date: time.Unix(r.Lock.Epoch, 0).UTC(), Lock: r.Lock.Digest(),
		archive: r.Archive, pool: map[string]File{},
	}
	listed := map[string][]updates.Package{}
	for _, c := range []string{Main, Tools} {
		if listed[c] = packagesOf(r.Lock, c); len(listed[c]) > 0 {
			s.Components = append(s.Components, c)
		}
	}
	if len(s.Components) == 0 {
		return nil, fault.Inputf("the lock has no package")
	}
	controls, err := r.controls(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range s.Components {
		var index strings.Builder
		for _, p := range listed[c] {
			s.pool[poolPath(p)] = File{SHA256: p.SHA256, Size: p.Size}
			writeEntry(&index, controls[p.SHA256], p)
		}
		if err := s.addIndex(path.Join(c, "binary-"+s.Architecture), index.String()); err != nil {
			return nil, err
		}
	}
	for _, f := range s.pool {
		s.Packages++
		s.Bytes += f.Size
	}
	return s, nil
}

// packagesOf are the packages of a component, each file once, by name.
func packagesOf(lock *updates.Lock, component string) []updates.Package {
	seen := map[string]bool{}
	var out []updates.Package
	for _, p := range lock.Packages {
		if (p.Set == updates.Tools) == (component == Tools) && !seen[p.SHA256] {
			seen[p.SHA256] = true
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b updates.Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Architecture, b.Architecture))
	})
	return out
}

// controls reads the control paragraphs of all packages by digest, several at
// once. Each file is read to its end before: what is damaged is not offered.
func (r Request) controls(ctx context.Context) (map[string]string, error) {
	byDigest := map[string]updates.Package{}
	var missing []string
	for _, p := range r.Lock.Packages {
		was, seen := byDigest[p.SHA256]
		if seen && (was.Name != p.Name || was.Version != p.Version) {
			return nil, fault.Inputf("the lock has one file as %s %s and as %s %s", was.Name, was.Version, p.Name, p.Version)
		}
		if !seen && !r.Archive.HasSized(p.SHA256, p.Size) {
			missing = append(missing, p.Name+" "+p.Version)
		}
		byDigest[p.SHA256] = p
	}
	if len(missing) > 0 {
		return nil, fault.Worldf("%d of %d packages are not in the archive, among them %s", len(missing), len(byDigest), missing[0]).
			WithHint("fetch them: imgbuild updates verify --repair %s", r.Name)
	}
	sums := slices.Sorted(maps.Keys(byDigest))
	texts := make([]string, len(sums))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, sum := range sums {
		group.Go(func() (err error) {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			p := byDigest[sum]
			if texts[i], err = readControl(ctx, r.Archive, p); err != nil {
				return fmt.Errorf("%s %s: %w", p.Name, p.Version, err)
			}
			if r.Done != nil {
				r.Done()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	controls := map[string]string{}
	for i, sum := range sums {
		controls[sum] = texts[i]
	}
	return controls, nil
}

const poolDir = "pool/"

// poolPath is where a package's file lies. The digest is in it, so that no path
// ever names two files.
func poolPath(p updates.Package) string {
	version := p.Version
	if _, after, ok := strings.Cut(version, ":"); ok {
		version = after // as Debian's own file names
	}
	name := strings.ReplaceAll(p.Name+"_"+version+"_"+p.Architecture+".deb", ":", "_")
	return poolDir + path.Join(p.SHA256[:2], p.SHA256, name)
}
