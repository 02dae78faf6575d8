package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

const (
	verdictType    = "application/vnd.imgbuild.verdict.v1"
	verdictPayload = "application/vnd.imgbuild.verdict.v1+json"
)

// Refusal is one gate that said no to a version.
type Refusal struct {
	// Gate is its key in the recipe, such as "max-size.container".
	Gate string `json:"gate"`
	// Why says what was found and what was wanted.
	Why string `json:"why"`
}

// Verdict is the signed record of what the gates of its recipe said of a
// version. One with refusals makes it a rejected version, until a later one
// has none.
type Verdict struct {
	Baseline string        `json:"baseline"`
	Version  string        `json:"version"`
	Digest   digest.Digest `json:"digest"`
	// For is whom it was judged for, a customer or a fleet; empty for all.
	For string `json:"for,omitempty"`
	// Refusals are the gates that said no; none accepts what was rejected
	// before.
	Refusals []Refusal `json:"refusals"`
	Who      string    `json:"who"`
	// When is in UTC. The newest verdict is the one that counts.
	When time.Time `json:"when"`
	// By is who signed the record: the trusted key's name.
	By signing.Signer `json:"-"`

	record digest.Digest
}

// Rejects tells whether the verdict keeps the version out of channels.
func (v *Verdict) Rejects() bool { return v != nil && len(v.Refusals) > 0 }

// Reasons are the refusals as one text: all of them, or the first few.
func (v *Verdict) Reasons(most int) string {
	var all []string
	for _, r := range v.Refusals[:min(most, len(v.Refusals))] {
		all = append(all, r.Gate+": "+r.Why)
	}
	if rest := len(v.Refusals) - len(all); rest > 0 {
		all = append(all, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(all, "; ")
}

// Judgement is what gates said, to be recorded.
type Judgement struct {
	For      string
	Refusals []Refusal
	Who      string
	When     time.Time
}

// Judge records what gates said of a version, and returns the newest verdict.
// What the newest says already is not said again, and nothing is recorded of a
// version that was never rejected and is not now: nil then.
func (c *Catalog) Judge(ctx context.Context, v *Version, j Judgement, signer Signer) (*Verdict, error) {
	if j.Who == "" || j.When.IsZero() {
		return nil, fault.Inputf("judging %s: who does it, and when, is part of the record", v.Ref())
	}
	newest, err := c.Verdict(ctx, v, j.For)
	if err != nil || says(newest, j.Refusals) {
		return newest, err
	}
	err = c.Attach(ctx, v, func(ctx context.Context, a *Attacher) error {
		// Somebody may have said so meanwhile.
		if newest, err = c.Verdict(ctx, v, j.For); err != nil || says(newest, j.Refusals) {
			return err
		}
		made := &Verdict{
			Baseline: v.Baseline, Version: v.Number, Digest: v.Index.Digest, For: j.For,
			Refusals: append([]Refusal{}, j.Refusals...), Who: j.Who, When: j.When.UTC(),
		}
		if newest != nil && !made.When.After(newest.When) {
			made.When = newest.When.Add(1) // clocks differ, and it is the later one
		}
		envelope, err := c.sign(ctx, signer, verdictPayload, made)
		if err != nil {
			return err
		}
		newest = made
		_, err = a.Attach(ctx, verdictType, signing.EnvelopeMediaType, envelope, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recording what the gates said: %w", err)
	}
	return newest, nil
}

// says tells whether a verdict, nil for none, needs no other after it.
func says(newest *Verdict, refusals []Refusal) bool {
	if newest == nil {
		return len(refusals) == 0
	}
	return slices.Equal(newest.Refusals, refusals)
}

// Verdict returns the newest verdict on a version for somebody, nil without
// one. A record that cannot be believed is an error: whether the version is
// rejected is then not known.
func (c *Catalog) Verdict(ctx context.Context, v *Version, scope string) (*Verdict, error) {
	all, err := c.Verdicts(ctx, v)
	if err != nil {
		return nil, err
	}
	var newest *Verdict
	for _, one := range all {
		if one.For == scope {
			newest = one
		}
	}
	return newest, nil
}

// Verdicts lists all verdicts on a version: by whom they are for, then oldest
// first.
func (c *Catalog) Verdicts(ctx context.Context, v *Version) ([]*Verdict, error) {
	found, err := c.Evidence(ctx, v, verdictType)
	if err != nil {
		return nil, fmt.Errorf("it cannot be told whether %s is rejected: %w", v.Ref(), err)
	}
	var all []*Verdict
	for _, e := range found {
		one := &Verdict{}
		if one.By, err = c.open(ctx, e, verdictPayload, one); err != nil {
			return nil, fmt.Errorf("reading a verdict on %s: %w", v.Ref(), err)
		}
		if one.Digest != v.Index.Digest {
			return nil, fault.Worldf("a verdict attached to %s was signed for %s", v.Ref(), one.Digest)
		}
		if one.When.After(time.Now().Add(clockSkew)) {
			return nil, fault.Worldf("a verdict on %s is of the future: %s", v.Ref(), one.When.Format(time.DateTime)).
				WithHint("set the clock of this machine, or of the one that judged")
		}
		one.record = e.Blob.Digest
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *Verdict) int {
		return cmp.Or(strings.Compare(a.For, b.For), a.When.Compare(b.When), strings.Compare(a.record.String(), b.record.String()))
	})
	newest := map[string]Mark{}
	for _, one := range all {
		newest[strings.TrimSpace(verdictMark+" "+one.For)] = Mark{Order: one.When.UnixNano(), Digest: one.record}
	}
	return all, c.Remember(v, verdictMark, newest)
}

// verdictMark is what a verdict is remembered by, before whom it is for.
const verdictMark = "verdict"

// clockSkew is how far the clocks of two machines may differ.
const clockSkew = 10 * time.Minute

// refuseRejected refuses a version that the gates said no to.
func (c *Catalog) refuseRejected(ctx context.Context, v *Version, scope string) error {
	verdict, err := c.Verdict(ctx, v, scope)
	if err != nil || !verdict.Rejects() {
		return err
	}
	return fault.Gatef("%s was rejected by the gates of its recipe on %s: %s", v.Ref(), verdict.When.Format(time.DateOnly), verdict.Reasons(len(verdict.Refusals))).
		WithHint("imgbuild images list %s shows what there is besides", v.Baseline)
}
