package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

const (
	revocationType    = "application/vnd.imgbuild.revocation.v1"
	revocationPayload = "application/vnd.imgbuild.revocation.v1+json"
)

// Revocation is the signed record that a version must not be used any more.
type Revocation struct {
	Baseline string        `json:"baseline"`
	Version  string        `json:"version"`
	Digest   digest.Digest `json:"digest"`
	Reason   string        `json:"reason"`
	Who      string        `json:"who"`
	// When is in UTC, whole seconds.
	When time.Time `json:"when"`
	// Rollback names what to use instead (name@digest); it may be empty.
	Rollback string `json:"rollback,omitempty"`
	// Cause names the revoked ancestor (name@digest) when the version was
	// revoked with it; empty otherwise.
	Cause string `json:"cause,omitempty"`
	// By is who signed the record: the trusted key's name.
	By signing.Signer `json:"-"`
}

// Withdrawal asks for a revocation.
type Withdrawal struct {
	Reason, Who string
	When        time.Time
	// Rollback is what to use instead; nil when nothing is offered.
	Rollback *Version
	// Cascade revokes all versions that were baked on this one too, in every
	// baseline of the catalog.
	Cascade bool
}

// Revoke records that a version must not be used, and returns the versions
// that are revoked now, the version itself first. What was revoked before is
// left as it is, so that an interrupted revocation is ended by another. What a
// damaged version was baked on nobody knows: a cascade names those that it may
// have missed in an error, after it has reached all others.
func (c *Catalog) Revoke(ctx context.Context, v *Version, w Withdrawal, signer Signer) ([]*Version, error) {
	if w.Reason == "" || w.Who == "" || w.When.IsZero() {
		return nil, fault.Inputf("revoking %s: the reason, who does it, and when, are part of the record", v.Ref())
	}
	rollback := ""
	if w.Rollback != nil {
		if err := c.refuseRevoked(ctx, w.Rollback); err != nil {
			return nil, fmt.Errorf("revoking %s in favour of %s: %w", v.Ref(), w.Rollback.Ref(), err)
		}
		if w.Rollback.Index.Digest == v.Index.Digest {
			return nil, fault.Inputf("revoking %s: it cannot be its own replacement", v.Ref())
		}
		rollback = w.Rollback.DigestRef()
	}
	affected := []*Version{v}
	var broken []*Damaged
	if w.Cascade {
		var below []*Version
		var err error
		if below, broken, err = c.Descendants(ctx, v); err != nil {
			return nil, fmt.Errorf("revoking %s: %w", v.Ref(), err)
		}
		affected = append(affected, below...)
	}
	for i, a := range affected {
		r := Revocation{
			Baseline: a.Baseline, Version: a.Number, Digest: a.Index.Digest,
			Reason: w.Reason, Who: w.Who, When: w.When.UTC().Truncate(time.Second),
		}
		if i == 0 {
			r.Rollback = rollback
		} else {
			r.Cause = v.DigestRef()
		}
		if err := c.revoke(ctx, a, r, signer); err != nil {
			return affected[:i], fmt.Errorf("revoking %s: %w", a.Ref(), err)
		}
	}
	broken = slices.DeleteFunc(broken, func(d *Damaged) bool { return d.Index.Digest == v.Index.Digest })
	if len(broken) > 0 {
		return affected, fault.Worldf("%s is revoked with all that is known to be baked on it, but it cannot be told what %s was baked on", v.Ref(), broken[0].Version().Ref()).
			Because(broken[0])
	}
	return affected, nil
}

func (c *Catalog) revoke(ctx context.Context, v *Version, r Revocation, signer Signer) error {
	return c.Attach(ctx, v, func(ctx context.Context, a *Attacher) error {
		before, err := c.Revocation(ctx, v)
		if err != nil || before != nil {
			return err
		}
		envelope, err := c.sign(ctx, signer, revocationPayload, r)
		if err != nil {
			return err
		}
		_, err = a.Attach(ctx, revocationType, signing.EnvelopeMediaType, envelope, nil)
		return err
	})
}

// Revocation returns the record that revoked a version, nil without one. A
// record that cannot be believed is an error: whether the version may be used
// is then not known.
func (c *Catalog) Revocation(ctx context.Context, v *Version) (*Revocation, error) {
	found, err := c.Evidence(ctx, v, revocationType)
	if err != nil {
		return nil, fmt.Errorf("it cannot be told whether %s was revoked: %w", v.Ref(), err)
	}
	if len(found) == 0 {
		return nil, c.memory.revocation(v, false)
	}
	var r Revocation
	by, err := c.open(ctx, found[0], revocationPayload, &r)
	if err != nil {
		return nil, fmt.Errorf("reading revocation of %s: %w", v.Ref(), err)
	}
	if r.Digest != v.Index.Digest {
		return nil, fault.Worldf("the revocation attached to %s was signed for %s", v.Ref(), r.Digest)
	}
	r.By = by
	return &r, c.memory.revocation(v, true)
}

func (c *Catalog) refuseRevoked(ctx context.Context, v *Version) error {
	r, err := c.Revocation(ctx, v)
	if err != nil || r == nil {
		return err
	}
	refusal := fault.Gatef("%s was revoked by %s on %s: %s", v.Ref(), r.Who, r.When.Format(time.DateOnly), r.Reason)
	if r.Rollback != "" {
		return refusal.WithHint("use %s instead", r.Rollback)
	}
	return refusal
}

// Children lists the versions, of all baselines, that were baked on a version.
func (c *Catalog) Children(ctx context.Context, v *Version) ([]*Version, error) {
	all, _, err := c.everything(ctx)
	if err != nil {
		return nil, err
	}
	return childrenOf(all, v), nil
}

// Descendants lists children, their children and so on, nearest first, and the
// damaged versions, any of which may be one.
func (c *Catalog) Descendants(ctx context.Context, v *Version) ([]*Version, []*Damaged, error) {
	all, broken, err := c.everything(ctx)
	if err != nil {
		return nil, nil, err
	}
	seen := map[digest.Digest]bool{v.Index.Digest: true}
	var found []*Version
	for queue := []*Version{v}; len(queue) > 0; queue = queue[1:] {
		for _, child := range childrenOf(all, queue[0]) {
			if !seen[child.Index.Digest] {
				seen[child.Index.Digest] = true
				found, queue = append(found, child), append(queue, child)
			}
		}
	}
	return found, broken, nil
}

func childrenOf(all []*Version, v *Version) []*Version {
	var found []*Version
	for _, w := range all {
		if w.Parent != nil && w.Parent.Digest == v.Index.Digest && w.Parent.Baseline == v.Baseline {
			found = append(found, w)
		}
	}
	return found
}

func (c *Catalog) everything(ctx context.Context) ([]*Version, []*Damaged, error) {
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return nil, nil, err
	}
	var all []*Version
	var broken []*Damaged
	for _, b := range baselines {
		versions, more, err := c.ListAll(ctx, b)
		if err != nil {
			return nil, nil, err
		}
		all, broken = append(all, versions...), append(broken, more...)
	}
	return all, broken, nil
}

// History returns a version and its ancestors, nearest first, as far as the
// catalog still holds them.
func (c *Catalog) History(ctx context.Context, v *Version) ([]*Version, error) {
	line := []*Version{v}
	for at := v; at.Parent != nil && len(line) < maxAncestors; {
		repo, err := c.repository(ctx, at.Parent.Baseline)
		if err != nil {
			return nil, err
		}
		parent, err := c.find(ctx, repo, Reference{Baseline: at.Parent.Baseline, Digest: at.Parent.Digest}, nil)
		var gone *fault.Error
		if errors.As(err, &gone) && gone.Kind == fault.Input {
			break // removed from the catalog
		}
		if fault.KindOf(err) == fault.World {
			break // damaged: what came before it is not known
		}
		if err != nil {
			return nil, fmt.Errorf("reading the parent of %s: %w", at.Ref(), err)
		}
		line = append(line, parent)
		at = parent
	}
	return line, nil
}

// maxAncestors bounds how far ancestry is followed.
const maxAncestors = 100
