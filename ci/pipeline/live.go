package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

// Image is a version of the catalog, and why it is of interest.
type Image struct {
	Version *catalog.Version
	// Channels point to it; Newest is that it is the newest of its baseline and architecture
	// that may be used.
	Channels []string
	Newest   bool
	// Revoked is the reason of a revocation. A version that a channel points to may
	// run somewhere all the same.
	Revoked string
}

// Live says whether servers may run it, or will: a channel points to it, or it is
// the newest of its baseline and architecture that may be used.
func (i *Image) Live() bool { return i.Newest || len(i.Channels) > 0 }

// Architecture is what it is for, as Debian calls it, or "" where the catalog does not say.
func (i *Image) Architecture() string {
	if len(i.Version.Disks) > 0 {
		return i.Version.Disks[0].Architecture
	}
	if c := i.Version.Container; c != nil && c.Platform != nil {
		return c.Platform.Architecture // amd64 and arm64 are the same in OCI's words
	}
	return ""
}

// Gap is what could not be looked at: that nothing is found there is no fact.
type Gap struct {
	// Where is an image, an output of one, or a feed.
	Where string `json:"where"`
	Why   string `json:"why"`
	// Mend says what can be done about it.
	Mend string `json:"mend,omitempty"`

	// baseline is the one of which something is not known; empty for all.
	baseline string
}

func gapOf(baseline, where string, err error) Gap {
	return Gap{Where: where, Why: err.Error(), Mend: fault.HintOf(err), baseline: baseline}
}

// Images lists the versions of all baselines of a catalog, newest first, and what of
// it cannot be read. Versions that are revoked and in no channel are in use
// nowhere; they are listed as such.
func Images(ctx context.Context, c *catalog.Catalog) ([]*Image, []Gap, error) {
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return nil, nil, err
	}
	var all []*Image
	var gaps []Gap
	for _, b := range baselines {
		images, lacking, err := imagesOf(ctx, c, b)
		if err != nil {
			return nil, nil, err
		}
		all, gaps = append(all, images...), append(gaps, lacking...)
	}
	return all, gaps, nil
}

func imagesOf(ctx context.Context, c *catalog.Catalog, baseline string) ([]*Image, []Gap, error) {
	versions, damaged, err := c.ListAll(ctx, baseline)
	if err != nil {
		return nil, nil, err
	}
	channels, err := c.Channels(ctx, baseline)
	if err != nil {
		return nil, nil, err
	}
	var images []*Image
	var gaps []Gap
	for _, d := range damaged {
		gaps = append(gaps, gapOf(baseline, d.Version().Ref(), d))
	}
	for _, v := range versions {
		images = append(images, &Image{Version: v})
	}
	for _, ch := range channels {
		if ch.Err != nil {
			gaps = append(gaps, gapOf(baseline, baseline+":"+ch.Name, ch.Err))
			continue
		}
		at := slices.IndexFunc(images, func(i *Image) bool { return i.Version.Index.Digest == ch.Head.Digest })
		if at >= 0 {
			images[at].Channels = append(images[at].Channels, ch.Name)
		} else if !slices.ContainsFunc(damaged, func(d *catalog.Damaged) bool { return d.Index.Digest == ch.Head.Digest }) {
			gaps = append(gaps, Gap{
				baseline: baseline, Where: baseline + ":" + ch.Name, Why: fmt.Sprintf("the catalog has no version with the digest %s that it points to", ch.Head.Digest),
			})
		}
	}
	usable := map[string]*Image{} // by architecture
	for _, image := range images {
		// Only those that decide anything are asked about: each question is of the
		// catalog, which may be far away.
		decided := usable[image.Architecture()] != nil
		if decided && len(image.Channels) == 0 {
			continue
		}
		revocation, err := c.Revocation(ctx, image.Version)
		if err != nil {
			gaps = append(gaps, gapOf(baseline, image.Version.Ref(), err))
		}
		if revocation != nil {
			image.Revoked = revocation.Reason
		}
		if decided || image.Revoked != "" {
			continue
		}
		verdict, err := c.Verdict(ctx, image.Version, "")
		if err != nil {
			gaps = append(gaps, gapOf(baseline, image.Version.Ref(), err))
		}
		if !verdict.Rejects() {
			usable[image.Architecture()] = image
		}
	}
	for _, image := range images {
		if of := image.Architecture(); usable[of] == nil {
			usable[of] = image // nothing may be used, and the newest is what will be mended
		}
	}
	for _, image := range usable {
		image.Newest = true
	}
	return images, gaps, nil
}

// Select are the images that words name: a baseline means all of it that is live, a
// channel or a version that one. Without words they are all live ones; every says
// that versions that are not live count too. channel narrows to one channel.
func Select(images []*Image, words []string, channel string, every bool) ([]*Image, error) {
	var chosen []*Image
	take := func(i *Image) {
		if !slices.Contains(chosen, i) && (channel == "" || slices.Contains(i.Channels, channel)) {
			chosen = append(chosen, i)
		}
	}
	for _, word := range words {
		ref := catalog.Reference{Baseline: word}
		named := strings.ContainsAny(word, ":@")
		var err error
		if named {
			ref, err = catalog.ParseReference(word)
		} else {
			err = catalog.CheckBaseline(word)
		}
		if err != nil {
			return nil, err
		}
		found := false
		for _, i := range images {
			if !i.is(ref) {
				continue
			}
			found = true
			if named || i.Live() || every {
				take(i)
			}
		}
		if !found {
			return nil, fault.Inputf("the catalog has no image %q", word).WithHint("imgbuild images list shows what there is")
		}
	}
	if len(words) == 0 {
		for _, i := range images {
			if i.Live() || every {
				take(i)
			}
		}
	}
	if channel != "" && len(chosen) == 0 {
		unknown := fault.Inputf("no image is in a channel %q", channel)
		if names := channelsOf(images); len(names) > 0 {
			unknown = unknown.WithHint("the channels: %s", strings.Join(names, ", "))
		}
		return nil, unknown
	}
	return chosen, nil
}

// is tells whether a reference, or a baseline alone, means the image.
func (i *Image) is(ref catalog.Reference) bool {
	return i.Version.Baseline == ref.Baseline &&
		(ref.Version == "" || i.Version.Number == ref.Version) &&
		(ref.Digest == "" || i.Version.Index.Digest == ref.Digest) &&
		(ref.Channel == "" || slices.Contains(i.Channels, ref.Channel))
}

func channelsOf(images []*Image) []string {
	var names []string
	for _, i := range images {
		names = append(names, i.Channels...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
