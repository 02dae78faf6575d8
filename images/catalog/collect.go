package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// collectWait is how long the collector waits for running bakes and exports.
const collectWait = 10 * time.Second

// Collected is what the collector removed.
type Collected struct {
	Blobs int
	Bytes int64
}

// Remove takes a version out of the catalog, with its evidence. A version
// that a channel points to is not removed. The space is freed by GC.
func (c *Catalog) Remove(ctx context.Context, v *Version) error {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return err
	}
	err = update(ctx, repo, func(tx transaction) error {
		tags, err := repo.Tags(ctx)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			if CheckChannel(tag) != nil {
				continue
			}
			at, err := repo.Resolve(ctx, tag)
			if err != nil {
				return err
			}
			if at.Digest == v.Index.Digest {
				return fault.Gatef("channel %s points to it", tag).
					WithHint("promote another version to %s first", tag)
			}
		}
		if err := c.removeTagged(ctx, repo, tx, v); err != nil {
			return err
		}
		if err := tx.Retire(ctx, v.Number); err != nil {
			return err
		}
		return tx.Remove(ctx, v.Index)
	})
	if err != nil {
		return fmt.Errorf("removing %s: %w", v.Ref(), err)
	}
	return nil
}

// removeTagged removes what cosign and its like hang on the version's
// manifests by tags, unless another version has the same manifest.
func (c *Catalog) removeTagged(ctx context.Context, repo repository, tx transaction, v *Version) error {
	all, broken, err := c.ListAll(ctx, v.Baseline)
	if err != nil {
		return err
	}
	shared := map[digest.Digest]bool{}
	for _, other := range all {
		if other.Index.Digest != v.Index.Digest {
			for _, d := range other.manifests() {
				shared[d] = true
			}
		}
	}
	// What a damaged version shares is not known; its own index nobody shares.
	if slices.ContainsFunc(broken, func(d *Damaged) bool { return d.Number != v.Number }) {
		for _, d := range v.manifests()[1:] {
			shared[d] = true
		}
	}
	own := slices.DeleteFunc(v.manifests(), func(d digest.Digest) bool { return shared[d] })
	tagged, err := taggedFor(ctx, repo, own)
	if err != nil {
		return err
	}
	for _, d := range tagged {
		if err := tx.Remove(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// manifests lists the digests of the version's index and of what it names.
func (v *Version) manifests() []digest.Digest {
	found := []digest.Digest{v.Index.Digest}
	if v.Container != nil {
		found = append(found, v.Container.Digest)
	}
	for _, d := range v.Disks {
		found = append(found, d.Manifest.Digest)
	}
	return found
}

// GC removes what no version, channel or evidence names. It waits a little
// for running bakes and exports, and gives up when they take longer.
func (c *Catalog) GC(ctx context.Context) (Collected, error) {
	var sum Collected
	if c.conn != nil {
		return (&remoteRepository{conn: c.conn}).Collect(ctx)
	}
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return sum, err
	}
	for _, b := range baselines {
		repo, err := c.repository(ctx, b)
		if err != nil {
			return sum, err
		}
		part, err := repo.Collect(ctx)
		sum.Blobs += part.Blobs
		sum.Bytes += part.Bytes
		if err != nil {
			return sum, fmt.Errorf("collecting garbage of %s: %w", b, err)
		}
	}
	return sum, nil
}

// Collect removes blobs that index.json does not reach, and what is left of
// unfinished ones. Nothing is removed while something named cannot be read but
// is not known to be lost, as when the disk fails. What is lost for good keeps
// its entry, so that it is still missed; what it alone named goes, for nobody
// can tell any more what that was, and a copy of the version brings it all.
func (l *layout) Collect(ctx context.Context) (sum Collected, err error) {
	waiting, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	if err := l.create(); err != nil {
		return sum, err
	}
	use, err := hold.File(waiting, filepath.Join(l.dir, ".use"), hold.Exclusive)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return sum, fault.Failedf("a bake or an export is at work here").WithHint("try again when it has ended")
	}
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, use.Close()) }()
	var keep map[digest.Digest]bool
	err = l.Update(ctx, func(tx transaction) error {
		index := tx.(*layoutChange).index
		keep, err = l.reached(ctx, index)
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool { return !keep[d.Digest] })
		return err
	})
	if err != nil {
		return sum, err
	}
	// Only now: index.json must never name what is gone.
	return l.sweep(keep)
}

// reached marks what the named manifests reach, then what refers to that, and
// so on.
func (l *layout) reached(ctx context.Context, index *ocispec.Index) (map[digest.Digest]bool, error) {
	seen := map[digest.Digest]bool{}
	visit := func(d ocispec.Descriptor, damage error) error {
		if damage != nil && !isLost(damage) {
			return fault.Failedf("%s cannot be read, and may be needed", d.Digest).Because(damage).
				WithHint("nothing was removed; mend the disk, or remove what is damaged there (imgbuild images list shows it)")
		}
		return ctx.Err()
	}
	for again := true; again; {
		again = false
		for _, d := range index.Manifests {
			if seen[d.Digest] {
				continue
			}
			// Of what nobody can tell what it refers to, it may be a revocation: it stays.
			of, err := l.subject(ctx, d)
			if err == nil && of != "" && d.Annotations[ocispec.AnnotationRefName] == "" && !seen[of] {
				continue
			}
			if err := reach(ctx, l, seen, []ocispec.Descriptor{plain(d)}, visit); err != nil {
				return nil, err
			}
			again = true
		}
	}
	return seen, nil
}

// sweep removes all blobs but the given ones, and unfinished files.
func (l *layout) sweep(keep map[digest.Digest]bool) (Collected, error) {
	var sum Collected
	dir := filepath.Join(l.dir, "blobs", "sha256")
	blobs, err := os.ReadDir(dir)
	if err != nil {
		return sum, err
	}
	for _, b := range blobs {
		if keep[digest.NewDigestFromEncoded(digest.SHA256, b.Name())] {
			continue
		}
		info, err := b.Info()
		if err != nil {
			return sum, err
		}
		if err := os.Remove(filepath.Join(dir, b.Name())); err != nil {
			return sum, err
		}
		sum.Blobs++
		sum.Bytes += info.Size()
	}
	unfinished, err := os.ReadDir(filepath.Join(l.dir, ".tmp"))
	if err != nil {
		return sum, err
	}
	for _, u := range unfinished {
		if err := os.Remove(filepath.Join(l.dir, ".tmp", u.Name())); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
