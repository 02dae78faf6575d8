package catalog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
)

// A registry has no lock, and whoever writes a tag last wins, unseen. What one
// machine must do alone is therefore claimed first: each machine writes a tag
// of its own that names what it claims, and only then lists the tags. Of two
// who claim the same, one writes second and lists after both are written, so
// that it sees the other: at most one sees itself alone, and that one goes on.
// Who sees another claim steps back, for it cannot know whether it was seen,
// and tries again after a random time. A claim is withdrawn when what it was
// for is done, so that who no longer sees the claim sees what was done. All
// that is asked of the registry is that a list holds what was written before.
//
// A number is claimed for good: a claim that its maker was killed over costs
// that number and nothing else. What goes by any other name cannot be passed
// over, so that such a claim ends by itself after claimLease, and its maker
// does nothing more in the second half of that time. The clocks of machines
// must agree to some minutes.
const (
	claimTag = "_claim." // + NAME.SECONDS.RANDOM: no name of a version or a channel
	// removedTag keeps the number of a removed version from being given again.
	removedTag    = "_removed." // + VERSION
	claimType     = "application/vnd.imgbuild.claim.v1"
	withdrawnType = "application/vnd.imgbuild.claim-withdrawn.v1"
	removedType   = "application/vnd.imgbuild.removed.v1"

	claimLease = 10 * time.Minute
	claimTries = 10
	// claimPause is the longest pause after a first try; each further one may
	// be longer by as much.
	claimPause = 300 * time.Millisecond
	// withdrawTime bounds how long a claim's end is waited for.
	withdrawTime = 10 * time.Second
)

// claim is what one transaction has claimed, or another.
type claim struct {
	// name is a version, a channel, or what evidenceName makes.
	name, tag string
	// made is when, by the clock of the machine that made it.
	made     time.Time
	manifest ocispec.Descriptor
}

// parseClaim reads the tag of a claim.
func parseClaim(tag string) (c claim, ok bool) {
	rest, ok := strings.CutPrefix(tag, claimTag)
	random := strings.LastIndexByte(rest, '.')
	if !ok || random < 0 {
		return c, false
	}
	seconds := strings.LastIndexByte(rest[:random], '.')
	if seconds < 0 {
		return c, false
	}
	made, err := strconv.ParseInt(rest[seconds+1:random], 10, 64)
	return claim{name: rest[:seconds], tag: tag, made: time.Unix(made, 0)}, err == nil
}

// over reports whether a claim has ended by itself. One from the future is by
// a clock that is wrong, and must not hold for ever.
func (c claim) over() bool { return time.Since(c.made).Abs() > claimLease }

// evidenceName is what is claimed to attach evidence to a manifest: old
// registries keep the list of it under a tag, which two machines must not
// write at once.
func evidenceName(subject ocispec.Descriptor) string { return "sha256-" + subject.Digest.Encoded() }

// Number claims the version number that is next after all that were given,
// are claimed or were removed.
func (c *remoteChange) Number(ctx context.Context, day time.Time) (string, error) {
	for try := range claimTries {
		if err := pause(ctx, try); err != nil {
			return "", err
		}
		tags, err := c.r.Tags(ctx)
		if err != nil {
			return "", err
		}
		number := nextVersion(takenNumbers(tags), day)
		own, err := c.claim(ctx, number)
		if err != nil {
			return "", err
		}
		free, err := c.isFree(ctx, number, own)
		if err != nil {
			return "", err
		}
		if free {
			return number, nil
		}
		c.withdraw(ctx, own)
	}
	return "", fault.Failedf("other machines took every version number that was tried").
		WithHint("run the same again: what is built is kept")
}

// isFree reports whether nobody else has or claims a number. The number itself
// is asked for last: a claim that has just gone from the list has left it.
func (c *remoteChange) isFree(ctx context.Context, number string, own claim) (bool, error) {
	tags, err := c.listAfter(ctx, own)
	if err != nil {
		return false, err
	}
	if slices.Contains(takenNumbers(tags), number) {
		return false, nil
	}
	_, err = c.r.Resolve(ctx, number)
	if errors.Is(err, errdef.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// takenNumbers reads the numbers that must not be given again out of tags.
func takenNumbers(tags []string) []string {
	var taken []string
	for _, tag := range tags {
		number := strings.TrimPrefix(tag, removedTag)
		if other, ok := parseClaim(tag); ok {
			number = other.name
		}
		if IsVersion(number) {
			taken = append(taken, number)
		}
	}
	return taken
}

// Claim waits a little for another machine that claims the same.
func (c *remoteChange) Claim(ctx context.Context, name string) error {
	var rival *claim
	for try := range claimTries {
		if err := pause(ctx, try); err != nil {
			return err
		}
		own, err := c.claim(ctx, name)
		if err != nil {
			return err
		}
		if rival, err = c.rival(ctx, own); err != nil || rival == nil {
			return err
		}
		c.withdraw(ctx, own)
	}
	return fault.Failedf("another machine has been at work on %s since %s", name, rival.made.UTC().Format(time.RFC3339)).
		WithHint("try again; if it was killed there, its claim ends at %s", rival.made.Add(claimLease).UTC().Format(time.RFC3339))
}

// rival finds a claim to the same by somebody else; nil without one.
func (c *remoteChange) rival(ctx context.Context, own claim) (*claim, error) {
	tags, err := c.listAfter(ctx, own)
	if err != nil {
		return nil, err
	}
	withdrawn, _, err := markerOf(withdrawnType, nil)
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		other, ok := parseClaim(tag)
		if !ok || other.name != own.name || other.over() {
			continue
		}
		at, err := c.r.Resolve(ctx, tag)
		if errors.Is(err, errdef.ErrNotFound) || err == nil && at.Digest == withdrawn.Digest {
			continue
		}
		return &other, err
	}
	return nil, nil
}

// claim writes a claim, which Update withdraws.
func (c *remoteChange) claim(ctx context.Context, name string) (claim, error) {
	own := claim{name: name, made: time.Now()}
	own.tag = fmt.Sprintf("%s%s.%d.%s", claimTag, name, own.made.Unix(), strings.ToLower(rand.Text()))
	var raw []byte
	var err error
	// The tag makes the manifest one of its own, so that deleting it is
	// deleting nobody else's.
	if own.manifest, raw, err = markerOf(claimType, map[string]string{ocispec.AnnotationTitle: own.tag}); err != nil {
		return own, err
	}
	c.claims = append(c.claims, own)
	if err := c.r.mark(ctx, own.manifest, raw, own.tag); err != nil {
		return own, fmt.Errorf("claiming %s: %w", name, err)
	}
	return own, nil
}

// listAfter lists the tags of others after a claim was written, and refuses a
// list without it: that one is of a time before, and shows no rival either.
func (c *remoteChange) listAfter(ctx context.Context, own claim) ([]string, error) {
	for try := range claimTries {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		tags, err := c.r.Tags(ctx)
		if err != nil {
			return nil, err
		}
		if mine := slices.Index(tags, own.tag); mine >= 0 {
			return slices.Delete(tags, mine, mine+1), nil
		}
	}
	return nil, fault.Failedf("the registry does not list the tag %s, which was just written: it cannot be told whether another machine is at work", own.tag).
		WithHint("if a cache stands before the registry, have it pass on the lists of tags")
}

// held refuses to go on when a claim is about to end by itself.
func (c *remoteChange) held() error {
	for _, own := range c.claims {
		if !IsVersion(own.name) && time.Since(own.made) > claimLease/2 {
			return fault.Failedf("the registry took too long: the claim to %s, of %s, is about to end", own.name, own.made.UTC().Format(time.RFC3339)).
				WithHint("try again")
		}
	}
	return nil
}

// mark tags a manifest that stands for nothing but its tag.
func (r *remoteRepository) mark(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) error {
	if _, err := pushBytes(ctx, r, ocispec.MediaTypeEmptyJSON, []byte("{}")); err != nil {
		return err
	}
	return r.repo.PushReference(ctx, desc, bytes.NewReader(raw), tag)
}

// withdraw ends a claim, even for who was interrupted. A registry that deletes
// nothing is left a tag that says it has ended, and one that stumbles over two
// deletions at once a tag of nothing, which holds nothing either. If all that
// fails, nobody is helped by an error: what was claimed is done, and the claim
// ends by itself.
func (c *remoteChange) withdraw(ctx context.Context, own claim) {
	c.claims = slices.DeleteFunc(c.claims, func(other claim) bool { return other.tag == own.tag })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	if err := c.r.repo.Delete(ctx, own.manifest); err == nil || isMissing(err) {
		return
	}
	if desc, raw, err := markerOf(withdrawnType, nil); err == nil {
		_ = c.r.mark(ctx, desc, raw, own.tag)
	}
}

// pause waits a random time before every try but the first: those who met
// must not meet again.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(mathrand.N(claimPause * time.Duration(try))):
		return nil
	}
}
