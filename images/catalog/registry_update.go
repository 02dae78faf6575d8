package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
	"imgbuild/images/hold"
)

// Update holds a lock of this machine while change runs, and then sets the
// tags. Between machines, change claims what it needs alone: see claimTag.
func (r *remoteRepository) Update(ctx context.Context, change func(transaction) error) (err error) {
	if err := os.MkdirAll(r.conn.locks, 0o755); err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	name := sha256.Sum256([]byte(r.repo.Reference.String()))
	lock, err := hold.File(ctx, filepath.Join(r.conn.locks, "registry-"+hex.EncodeToString(name[:8])), hold.Exclusive)
	if err != nil {
		return fmt.Errorf("changing catalog: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	tx := &remoteChange{r: r}
	defer func() {
		for len(tx.claims) > 0 {
			tx.withdraw(ctx, tx.claims[0])
		}
	}()
	if err := change(tx); err != nil {
		return err
	}
	for _, apply := range tx.pending {
		if err := errors.Join(tx.held(), ctx.Err()); err != nil {
			return err
		}
		if err := apply(ctx); err != nil {
			return err
		}
	}
	return nil
}

// remoteChange pushes what has no name at once and keeps names for the end.
type remoteChange struct {
	r       *remoteRepository
	pending []func(context.Context) error
	claims  []claim
}

func (c *remoteChange) Put(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) error {
	if err := c.held(); err != nil {
		return err
	}
	if err := c.r.repo.Push(ctx, plain(desc), bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("pushing manifest: %w", err)
	}
	if tag != "" {
		return c.Tag(ctx, desc, tag)
	}
	return nil
}

func (c *remoteChange) Tag(_ context.Context, desc ocispec.Descriptor, tag string) error {
	if !tagName.MatchString(tag) {
		return fault.Inputf("%q is not a tag", tag)
	}
	c.pending = append(c.pending, func(ctx context.Context) error {
		if err := c.refuseGiven(ctx, desc, tag); err != nil {
			return err
		}
		if err := c.r.repo.Tag(ctx, plain(desc), tag); err != nil {
			return fmt.Errorf("tagging %s as %s: %w", desc.Digest, tag, err)
		}
		return nil
	})
	return nil
}

// refuseGiven refuses to move the tag of a version: the number was claimed, but
// not everybody who can write to the registry knows claims.
func (c *remoteChange) refuseGiven(ctx context.Context, desc ocispec.Descriptor, tag string) error {
	if !IsVersion(tag) {
		return nil
	}
	there, err := c.r.Resolve(ctx, tag)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("looking for %s: %w", tag, err)
	case there.Digest != desc.Digest:
		return fault.Worldf("version %s was committed by somebody else in the same moment: %s", tag, there.Digest).
			WithHint("run the same again to get another number: what is built is kept")
	}
	return nil
}

// Retire leaves a tag behind.
func (c *remoteChange) Retire(ctx context.Context, number string) error {
	desc, raw, err := markerOf(removedType, map[string]string{ocispec.AnnotationVersion: number})
	if err != nil {
		return err
	}
	if err := c.r.mark(ctx, desc, raw, removedTag+number); err != nil {
		return fmt.Errorf("keeping the number %s from being given again: %w", number, err)
	}
	return nil
}

func (c *remoteChange) Remove(_ context.Context, desc ocispec.Descriptor) error {
	c.pending = append(c.pending, func(ctx context.Context) error {
		referrers, err := c.r.Referrers(ctx, desc, "")
		if err != nil {
			return err
		}
		for _, d := range append(referrers, desc) {
			if err := c.r.repo.Delete(ctx, plain(d)); err != nil && !isMissing(err) {
				return fault.Failedf("removing %s from the registry", d.Digest).Because(err).
					WithHint("the registry may refuse deletions; its operator can allow them")
			}
		}
		return nil
	})
	return nil
}
