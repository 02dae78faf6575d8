package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// registryScheme starts the location of a registry; any other location is a
// directory.
const registryScheme = "docker://"

// Config says where a catalog is and whom it believes.
type Config struct {
	// Location is a directory, or docker://HOST[:PORT][/PREFIX].
	Location string
	// Trust verifies records: moves of channels and revocations. Without it,
	// nothing that has a record resolves.
	Trust signing.Trust
	// Locks is a directory of this machine for the locks of a registry; unused
	// for a directory.
	Locks string
	// Memory is a directory of this machine where the newest moves and the
	// revocations that were seen are remembered, so that an older copy of the
	// catalog is told from it. Empty remembers nothing.
	Memory string
	// Transport reaches the registry; nil means the default with the
	// environment's proxies. TLS is a must, but for a registry on this machine
	// that has none.
	Transport http.RoundTripper
}

// Catalog is an open catalog. Its methods may be called concurrently.
type Catalog struct {
	trust  signing.Trust
	memory memory
	dir    string      // a directory …
	conn   *connection // … or a registry

	mu    sync.Mutex
	repos map[string]repository
}

// Open opens a catalog. Nothing is made before the first version begins, and
// no registry is asked.
func Open(_ context.Context, cfg Config) (*Catalog, error) {
	c := &Catalog{trust: cfg.Trust, repos: map[string]repository{}}
	var err error
	switch {
	case cfg.Location == "":
		return nil, fault.Inputf("the catalog has no location").WithHint("a directory, or docker://HOST/PREFIX")
	case strings.HasPrefix(cfg.Location, registryScheme):
		if c.conn, err = connect(cfg); err != nil {
			return nil, err
		}
	default:
		if c.dir, err = filepath.Abs(cfg.Location); err != nil {
			return nil, fmt.Errorf("opening catalog: %w", err)
		}
	}
	c.memory.dir, c.memory.location = cfg.Memory, cmp.Or(c.dir, cfg.Location)
	return c, nil
}

// repository returns the repository of a baseline.
func (c *Catalog) repository(ctx context.Context, baseline string) (repository, error) {
	if err := CheckBaseline(baseline); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.repos[baseline]
	if r != nil {
		return r, nil
	}
	if c.conn == nil {
		r = openLayout(filepath.Join(c.dir, baseline))
	} else {
		var err error
		if r, err = c.conn.repository(ctx, baseline); err != nil {
			return nil, err
		}
	}
	c.repos[baseline] = r
	return r, nil
}

// Baselines lists the baselines that have ever had a version, in order.
func (c *Catalog) Baselines(ctx context.Context) ([]string, error) {
	if c.conn != nil {
		found, err := c.conn.baselines(ctx)
		slices.Sort(found)
		return found, err
	}
	dirs, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading catalog: %w", err)
	}
	var found []string
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(c.dir, d.Name(), ocispec.ImageIndexFile)); err == nil && CheckBaseline(d.Name()) == nil {
			found = append(found, d.Name())
		}
	}
	return found, nil
}

// listWorkers is how many manifests are asked for at once.
const listWorkers = 8

// List returns the versions of a baseline that can be read, newest first.
func (c *Catalog) List(ctx context.Context, baseline string) ([]*Version, error) {
	found, _, err := c.ListAll(ctx, baseline)
	return found, err
}

// ListAll returns beside them those that are damaged, newest first too.
func (c *Catalog) ListAll(ctx context.Context, baseline string) ([]*Version, []*Damaged, error) {
	repo, err := c.repository(ctx, baseline)
	if err != nil {
		return nil, nil, err
	}
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("listing %s: %w", baseline, err)
	}
	tags = slices.DeleteFunc(tags, func(t string) bool { return !IsVersion(t) })
	slices.SortFunc(tags, func(a, b string) int { return compareVersions(b, a) })
	found, broken := make([]*Version, len(tags)), make([]*Damaged, len(tags))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(listWorkers)
	for i, tag := range tags {
		group.Go(func() error {
			v, err := c.listed(groupCtx, repo, baseline, tag)
			if err != nil && !errors.As(err, &broken[i]) {
				return err
			}
			found[i] = v
			return nil
		})
	}
	err = group.Wait()
	return slices.DeleteFunc(found, func(v *Version) bool { return v == nil }),
		slices.DeleteFunc(broken, func(d *Damaged) bool { return d == nil }), err
}

// listed reads the version of a tag that is in the list of tags. One that is
// not found was removed meanwhile, nil then, or a registry has lost it.
func (c *Catalog) listed(ctx context.Context, repo repository, baseline, tag string) (*Version, error) {
	v, err := c.byTag(ctx, repo, baseline, tag)
	if fault.KindOf(err) != fault.Input {
		return v, err
	}
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", baseline, err)
	}
	if !slices.Contains(tags, tag) {
		return nil, nil
	}
	return nil, damaged(baseline, tag, ocispec.Descriptor{}, fault.Worldf("the catalog lists it, but does not hold its index"))
}

// byTag reads the version that a version tag names.
func (c *Catalog) byTag(ctx context.Context, repo repository, baseline, tag string) (*Version, error) {
	desc, err := repo.Resolve(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, fault.Inputf("the catalog has no %s:%s", baseline, tag).
			WithHint("imgbuild images list %s shows what there is", baseline)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for %s:%s: %w", baseline, tag, err)
	}
	v, err := c.read(ctx, repo, baseline, desc)
	if err == nil && v.Number != tag {
		err = fault.Worldf("tag %s:%s names the index of version %s", baseline, tag, v.Number).
			WithHint("somebody moved the tag; the version's digest still names it")
	}
	if broken := damaged(baseline, tag, desc, err); broken != nil {
		return nil, broken
	}
	return v, err
}

// read reads the version that a descriptor names.
func (c *Catalog) read(ctx context.Context, repo repository, baseline string, desc ocispec.Descriptor) (*Version, error) {
	n, err := fetchNode(ctx, repo, desc)
	if err != nil {
		return nil, err
	}
	return parseVersion(baseline, desc, n)
}

// FindByStage returns the versions of a baseline one of whose stages has this
// id, newest first.
func (c *Catalog) FindByStage(ctx context.Context, baseline, stage string) ([]*Version, error) {
	all, err := c.List(ctx, baseline) // nobody knows the stages of a damaged one
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v *Version) bool {
		for _, id := range v.Stages {
			if id == stage {
				return false
			}
		}
		return true
	}), nil
}
