package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/catalog"
)

// listedImage is an entry of images list --output json.
type listedImage struct {
	Image    string    `json:"image"`
	Digest   string    `json:"digest"`
	Baked    time.Time `json:"baked,omitzero"`
	Outputs  []string  `json:"outputs"`
	Channels []string  `json:"channels,omitempty"`
	// Stages are the ids of its stages, by name: what a server shows.
	Stages map[string]string `json:"stages,omitempty"`
	// Revoked is the reason of a revocation.
	Revoked string `json:"revoked,omitempty"`
	// Rejected are the reasons of its gates, when they said no.
	Rejected []catalog.Refusal `json:"rejected,omitempty"`
	// Damaged says why nothing more is known of the version.
	Damaged string `json:"damaged,omitempty"`
	// Problem says what about the version's records cannot be believed.
	Problem string `json:"problem,omitempty"`
}

func newImagesListCommand(env *environment) *cobra.Command {
	var stage string
	cmd := &cobra.Command{
		Use:   "list [BASELINE]",
		Short: "List the versions in the catalog",
		Long: `List the versions of one baseline or of all, newest first, with the channels that
point to them and whether they are revoked or rejected by their gates. A version
that is damaged is listed as such.

With --stage, list those that a server runs. It shows the id as IMAGE_VERSION in
/etc/os-release and as stage in /usr/lib/imgbuild/image.json; twelve digits do.`,
		Example: "  imgbuild images list\n  imgbuild images list debian-12-nginx --output json\n" +
			"  imgbuild images list --stage $(ssh web1 '. /etc/os-release; echo $IMAGE_VERSION')",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			baseline := ""
			if len(args) == 1 {
				baseline = args[0]
			}
			if cmd.Flags().Changed("stage") {
				return listStage(cmd.Context(), env, baseline, stage)
			}
			return listImages(cmd.Context(), env, baseline)
		},
	}
	cmd.Flags().StringVar(&stage, "stage", "", "only versions with a stage of this `ID`, or of an id that starts with it")
	return cmd
}

func listImages(ctx context.Context, env *environment, baseline string) error {
	listed, err := listAll(ctx, env, baseline)
	if err != nil {
		return err
	}
	if baseline != "" && len(listed) == 0 {
		return noImages(baseline)
	}
	next := env.command("bake", "debian-12-nginx")
	if len(listed) > 0 {
		next = env.command("images", "show", listed[0].Image)
		if i := slices.IndexFunc(listed, func(l listedImage) bool { return l.Damaged != "" }); i >= 0 {
			next = env.command("images", "verify", listed[i].Image)
		}
	}
	return env.answer(listed, func(w io.Writer) { writeListed(w, listed) }, next)
}

// listAll reads the versions of a baseline, or of all for "".
func listAll(ctx context.Context, env *environment, baseline string) ([]listedImage, error) {
	_, c, err := env.catalog(ctx)
	if err != nil {
		return nil, err
	}
	baselines := []string{baseline}
	if baseline == "" {
		if baselines, err = c.Baselines(ctx); err != nil {
			return nil, err
		}
	}
	all := []listedImage{}
	for _, b := range baselines {
		found, err := listBaseline(ctx, c, b)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func writeListed(w io.Writer, listed []listedImage) {
	if len(listed) == 0 {
		fmt.Fprintln(w, "the catalog is empty")
	}
	for _, l := range listed {
		baked := ""
		if !l.Baked.IsZero() {
			baked = l.Baked.Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "%-32s %-16s  %-16s %s\n", l.Image, baked, strings.Join(l.Outputs, " "), l.remark())
	}
}

func (l listedImage) remark() string {
	words := strings.Join(l.Channels, " ")
	switch {
	case l.Damaged != "":
		return strings.TrimSpace(words + " DAMAGED: " + l.Damaged)
	case l.Problem != "":
		return "DOUBTFUL: " + l.Problem
	}
	if len(l.Rejected) > 0 {
		words = strings.TrimSpace(words + " rejected: " + gatesOf(l.Rejected, 1))
	}
	if l.Revoked != "" {
		words = strings.TrimSpace(words + " revoked: " + l.Revoked)
	}
	return words
}

func listBaseline(ctx context.Context, c *catalog.Catalog, baseline string) ([]listedImage, error) {
	versions, damaged, err := c.ListAll(ctx, baseline)
	if err != nil {
		return nil, err
	}
	channels, err := c.Channels(ctx, baseline)
	if err != nil {
		return nil, err
	}
	list := func(v *catalog.Version) listedImage {
		l := listedImage{Image: v.Ref(), Digest: v.Index.Digest.String(), Baked: v.Baked, Outputs: outputsOf(v), Stages: v.Stages}
		for _, ch := range channels {
			if ch.Head != nil && ch.Head.Digest == v.Index.Digest {
				l.Channels = append(l.Channels, ch.Name)
			}
		}
		return l
	}
	var listed []listedImage
	for _, v := range versions {
		for len(damaged) > 0 && damaged[0].After(v) {
			listed, damaged = append(listed, listDamaged(list, damaged[0])), damaged[1:]
		}
		l := list(v)
		if r, err := c.Revocation(ctx, v); err != nil {
			l.Problem = err.Error()
		} else if r != nil {
			l.Revoked = r.Reason
		}
		if verdict, err := c.Verdict(ctx, v, ""); err != nil {
			l.Problem = strings.TrimPrefix(l.Problem+"; "+err.Error(), "; ")
		} else if verdict.Rejects() {
			l.Rejected = verdict.Refusals
		}
		listed = append(listed, l)
	}
	for _, d := range damaged {
		listed = append(listed, listDamaged(list, d))
	}
	for _, ch := range channels {
		if ch.Err != nil && len(listed) > 0 {
			listed[0].Problem = strings.TrimPrefix(listed[0].Problem+"; channel "+ch.Name+": "+ch.Err.Error(), "; ")
		}
	}
	return listed, nil
}

func listDamaged(list func(*catalog.Version) listedImage, d *catalog.Damaged) listedImage {
	l := list(d.Version())
	l.Damaged = d.Reason()
	return l
}

func outputsOf(v *catalog.Version) []string {
	outputs := []string{}
	if v.Container != nil {
		outputs = append(outputs, "container")
	}
	for _, d := range v.Disks {
		outputs = append(outputs, d.Format)
	}
	return outputs
}
