package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// A channel is two tags: its own name, which names the version it points to,
// and channel.NAME, which names the channel's anchor. The anchor is an empty
// artifact that is the same whoever makes it; the signed records of all moves
// refer to it, so that one question answers what the newest is.
const (
	anchorType    = "application/vnd.imgbuild.channel.v1"
	anchorTag     = "channel."
	moveType      = "application/vnd.imgbuild.channel-move.v1"
	movePayload   = "application/vnd.imgbuild.channel-move.v1+json"
	annotationFor = annotationPrefix + "channel"
	annotationSer = annotationPrefix + "serial"
)

// Move is the signed record of one move of a channel.
type Move struct {
	Baseline string `json:"baseline"`
	Channel  string `json:"channel"`
	// Serial counts the moves of the channel from 1, without gaps.
	Serial int `json:"serial"`
	// Digest and Version are what the channel points to after the move.
	Digest  digest.Digest `json:"digest"`
	Version string        `json:"version"`
	// Previous is what it pointed to before; empty in the first move.
	Previous digest.Digest `json:"previous,omitempty"`
	// Who and Why are what the one who moved it says.
	Who string `json:"who"`
	Why string `json:"why,omitempty"`
	// For is the customer or the fleet that it was judged for; empty for all.
	For string `json:"for,omitempty"`
	// When is in UTC, whole seconds.
	When time.Time `json:"when"`
	// By is who signed the record: the trusted key's name.
	By signing.Signer `json:"-"`
}

// Promotion asks for a move of a channel.
type Promotion struct {
	Channel  string
	Who, Why string
	// For is whose verdict counts, a customer's or a fleet's; empty for that
	// for all.
	For  string
	When time.Time
}

// Channel is a channel and its newest move, or why it is not believed.
type Channel struct {
	Name string
	Head *Move
	Err  error
}

// Promote moves a channel to a version with a signed record. A channel that
// is there already stays, and its newest move is returned. A rejected version
// enters none.
func (c *Catalog) Promote(ctx context.Context, v *Version, p Promotion, signer Signer, revoked Revoked) (*Move, error) {
	if err := CheckChannel(p.Channel); err != nil {
		return nil, err
	}
	if p.Who == "" || p.When.IsZero() {
		return nil, fault.Inputf("promoting %s to %s: who does it, and when, is part of the record", v.Ref(), p.Channel)
	}
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return nil, err
	}
	var made *Move
	err = update(ctx, repo, func(tx transaction) error {
		// The next serial depends on the newest record: nobody else must be
		// writing one.
		if err := tx.Claim(ctx, p.Channel); err != nil {
			return err
		}
		if revoked == RefuseRevoked {
			if err := c.refuseRevoked(ctx, v); err != nil {
				return err
			}
		}
		if err := c.refuseRejected(ctx, v, p.For); err != nil {
			return err
		}
		newest, err := c.newest(ctx, repo, v.Baseline, p.Channel)
		if err != nil {
			return err
		}
		made, err = c.move(ctx, repo, tx, v, p, newest, signer)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("promoting %s to %s: %w", v.Ref(), p.Channel, err)
	}
	return made, nil
}

// move writes the record after newest (nil for the first) and the tags.
func (c *Catalog) move(ctx context.Context, repo repository, tx transaction, v *Version, p Promotion, newest *Move, signer Signer) (*Move, error) {
	agreed := c.agrees(ctx, repo, p.Channel, newest)
	if newest != nil && newest.Digest == v.Index.Digest {
		if agreed == nil {
			return newest, nil
		}
		// The record is signed; the tag did not follow it, because whoever
		// moved the channel was killed in between, or was moved without one.
		// It only comes back to what is signed.
		return newest, tx.Tag(ctx, v.Index, p.Channel)
	}
	if agreed != nil {
		return nil, agreed
	}
	m := &Move{
		Baseline: v.Baseline, Channel: p.Channel, Serial: 1,
		Digest: v.Index.Digest, Version: v.Number,
		Who: p.Who, Why: p.Why, For: p.For, When: p.When.UTC().Truncate(time.Second),
	}
	if newest != nil {
		m.Serial, m.Previous = newest.Serial+1, newest.Digest
	}
	envelope, err := c.sign(ctx, signer, movePayload, m)
	if err != nil {
		return nil, err
	}
	anchor, raw, err := anchorOf(v.Baseline, p.Channel)
	if err != nil {
		return nil, err
	}
	if _, err := pushBytes(ctx, repo, ocispec.MediaTypeEmptyJSON, []byte("{}")); err != nil {
		return nil, fmt.Errorf("storing record: %w", err)
	}
	if err := tx.Put(ctx, anchor, raw, anchorTag+p.Channel); err != nil {
		return nil, err
	}
	a := &Attacher{repo: repo, tx: tx}
	if _, err := a.attachTo(ctx, anchor, moveType, signing.EnvelopeMediaType, envelope, map[string]string{
		annotationBaseline: v.Baseline, annotationFor: p.Channel, annotationSer: strconv.Itoa(m.Serial),
	}); err != nil {
		return nil, err
	}
	return m, tx.Tag(ctx, v.Index, p.Channel)
}

// head returns the newest move of a channel whose tag agrees with it.
func (c *Catalog) head(ctx context.Context, repo repository, baseline, channel string) (*Move, error) {
	m, err := c.newest(ctx, repo, baseline, channel)
	if err != nil {
		return nil, err
	}
	if err := c.agrees(ctx, repo, channel, m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fault.Inputf("%s has no channel %q", baseline, channel).
			WithHint("imgbuild images promote %s:VERSION %s makes it", baseline, channel)
	}
	return m, nil
}

// agrees refuses a channel whose tag is not what its newest record says.
func (c *Catalog) agrees(ctx context.Context, repo repository, channel string, newest *Move) error {
	desc, err := repo.Resolve(ctx, channel)
	missing := errors.Is(err, errdef.ErrNotFound)
	switch {
	case err != nil && !missing:
		return fmt.Errorf("reading channel %s: %w", channel, err)
	case newest == nil && missing:
		return nil
	case newest == nil:
		return fault.Worldf("tag %q points to %s, but no signed record says so", channel, desc.Digest).
			WithHint("remove the tag, or promote a version under another name")
	case missing || desc.Digest != newest.Digest:
		at := "is missing"
		if !missing {
			at = "points to " + desc.Digest.String()
		}
		return fault.Worldf("tag %q %s, but its newest signed record (serial %d, by %s on %s) says %s (%s)", channel, at,
			newest.Serial, newest.Who, newest.When.Format(time.RFC3339), newest.Digest, newest.Version).
			WithHint("promote %s:%s to %s again if the record is right; find out who moved the tag otherwise",
				newest.Baseline, newest.Version, channel)
	}
	return nil
}

// newest returns the verified record with the highest serial, nil without
// records. Serials are annotated, so that one list tells which it is; a list
// with a gap or a double was tampered with.
func (c *Catalog) newest(ctx context.Context, repo repository, baseline, channel string) (*Move, error) {
	records, err := listMoves(ctx, repo, baseline, channel)
	if err != nil {
		return nil, err
	}
	var last *Move
	if len(records) > 0 {
		if last, err = c.readMove(ctx, repo, baseline, channel, len(records), records[len(records)-1]); err != nil {
			return nil, err
		}
	}
	return last, c.memory.move(baseline, channel, last)
}

// Moves returns all verified moves of a channel, oldest first. Each must
// follow from the one before.
func (c *Catalog) Moves(ctx context.Context, baseline, channel string) ([]*Move, error) {
	if err := CheckChannel(channel); err != nil {
		return nil, err
	}
	repo, err := c.repository(ctx, baseline)
	if err != nil {
		return nil, err
	}
	records, err := listMoves(ctx, repo, baseline, channel)
	if err != nil {
		return nil, err
	}
	var moves []*Move
	for i, r := range records {
		m, err := c.readMove(ctx, repo, baseline, channel, i+1, r)
		if err != nil {
			return nil, err
		}
		previous := digest.Digest("")
		if i > 0 {
			previous = moves[i-1].Digest
		}
		if m.Previous != previous {
			return nil, fault.Worldf("record %d of channel %s:%s follows %q, the record before it says %q",
				m.Serial, baseline, channel, m.Previous, previous)
		}
		moves = append(moves, m)
	}
	return moves, nil
}

// listMoves lists the records of a channel in the order of their serials.
func listMoves(ctx context.Context, repo repository, baseline, channel string) ([]ocispec.Descriptor, error) {
	anchor, _, err := anchorOf(baseline, channel)
	if err != nil {
		return nil, err
	}
	records, err := repo.Referrers(ctx, anchor, moveType)
	if err != nil {
		return nil, fmt.Errorf("listing the moves of %s:%s: %w", baseline, channel, err)
	}
	for _, r := range records {
		if r.Annotations != nil {
			continue
		}
		// A damaged record has no serial: where the channel stands is not known.
		if _, err := fetchNode(ctx, repo, r); err != nil {
			return nil, fault.Worldf("it cannot be told where channel %s:%s stands: a record of it, or perhaps of another, is damaged", baseline, channel).Because(err).
				WithHint("put the blob back, from a backup or from another copy of the catalog; or promote to a channel of another name")
		}
	}
	ordered := make([]ocispec.Descriptor, len(records))
	for _, r := range records {
		serial, err := strconv.Atoi(r.Annotations[annotationSer])
		if err != nil || serial < 1 || serial > len(records) || ordered[serial-1].Digest != "" {
			return nil, fault.Worldf("channel %s:%s has %d records, one of which has the serial %q: records are missing or doubled",
				baseline, channel, len(records), r.Annotations[annotationSer])
		}
		ordered[serial-1] = r
	}
	return ordered, nil
}

func (c *Catalog) readMove(ctx context.Context, repo repository, baseline, channel string, serial int, r ocispec.Descriptor) (*Move, error) {
	n, err := fetchNode(ctx, repo, r)
	if err != nil {
		return nil, err
	}
	if len(n.Layers) != 1 {
		return nil, fault.Worldf("record %d of channel %s:%s has %d documents", serial, baseline, channel, len(n.Layers))
	}
	var m Move
	by, err := c.open(ctx, &Evidence{Blob: n.Layers[0], repo: repo}, movePayload, &m)
	if err != nil {
		return nil, fmt.Errorf("reading record %d of channel %s:%s: %w", serial, baseline, channel, err)
	}
	if m.Baseline != baseline || m.Channel != channel || m.Serial != serial || m.Digest.Validate() != nil || !IsVersion(m.Version) {
		return nil, fault.Worldf("record %d of channel %s:%s was signed as record %d of %s:%s", serial, baseline, channel, m.Serial, m.Baseline, m.Channel)
	}
	m.By = by
	return &m, nil
}

// Channels lists the channels of a baseline in order; one that is not
// believed says why, the others stay usable.
func (c *Catalog) Channels(ctx context.Context, baseline string) ([]Channel, error) {
	repo, err := c.repository(ctx, baseline)
	if err != nil {
		return nil, err
	}
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing channels of %s: %w", baseline, err)
	}
	var found []Channel
	for _, tag := range tags {
		// A name without an anchor is listed too: a tag that no record explains.
		name := strings.TrimPrefix(tag, anchorTag)
		if CheckChannel(name) != nil || slices.ContainsFunc(found, func(c Channel) bool { return c.Name == name }) {
			continue
		}
		ch := Channel{Name: name}
		ch.Head, ch.Err = c.head(ctx, repo, baseline, name)
		found = append(found, ch)
	}
	slices.SortFunc(found, func(a, b Channel) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// anchorOf makes the manifest that a channel's records refer to.
func anchorOf(baseline, channel string) (ocispec.Descriptor, []byte, error) {
	return markerOf(anchorType, map[string]string{annotationBaseline: baseline, annotationFor: channel})
}

// markerOf makes a manifest that holds nothing: it stands for what its type
// and annotations say, and is the same whoever makes it.
func markerOf(artifactType string, annotations map[string]string) (ocispec.Descriptor, []byte, error) {
	empty := describe(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       empty,
		Layers:       []ocispec.Descriptor{empty},
		Annotations:  annotations,
	})
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("writing a manifest of type %s: %w", artifactType, err)
	}
	return describe(ocispec.MediaTypeImageManifest, raw), raw, nil
}
