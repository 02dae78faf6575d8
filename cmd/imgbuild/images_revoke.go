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
	"imgbuild/images/fault"
)

// revoked is the document of images revoke --output json.
type revoked struct {
	Revoked []string `json:"revoked"`
	Reason  string   `json:"reason"`
	// Channels still point to what is revoked now: BASELINE:CHANNEL.
	Channels []string `json:"channels,omitempty"`
}

func newImagesRevokeCommand(env *environment) *cobra.Command {
	var w catalog.Withdrawal
	var rollback string
	cmd := &cobra.Command{
		Use:   "revoke IMAGE --reason REASON",
		Short: "Record that a version must not be used any more",
		Long: `Attach a signed revocation to a version. Nothing bakes from, promotes, exports or
runs a revoked version unless it is told to. With --cascade every version baked
on it is revoked too.`,
		Example: "  imgbuild images revoke debian-12-nginx:20260131.1 --reason 'CVE in the base' --cascade\n" +
			"  imgbuild images revoke web:20260201.1 --reason 'broken' --rollback web:20260131.1",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.Reason == "" {
				return fault.Inputf("no reason is given").WithHint("add --reason: it is part of the record")
			}
			ctx := cmd.Context()
			project, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			v, err := c.Resolve(ctx, args[0], catalog.AllowRevoked)
			if err != nil {
				return err
			}
			if rollback != "" {
				if w.Rollback, err = env.findUsable(ctx, c, rollback, catalog.RefuseRevoked); err != nil {
					return err
				}
			}
			key, _, err := project.SigningKey(env.ask())
			if err != nil {
				return err
			}
			w.When, w.Who = time.Now(), orMe(w.Who)
			affected, err := c.Revoke(ctx, v, w, catalog.Keys{key})
			if err != nil {
				return err
			}
			result := revoked{Reason: w.Reason}
			for _, a := range affected {
				result.Revoked = append(result.Revoked, a.Ref())
			}
			if result.Channels, err = channelsTo(ctx, c, affected); err != nil {
				return err
			}
			next := env.command("images", "list", v.Baseline)
			if len(result.Channels) > 0 {
				baseline, channel, _ := strings.Cut(result.Channels[0], ":")
				next = env.command("images", "promote", baseline, channel)
			}
			return env.answer(result, func(out io.Writer) {
				for _, image := range result.Revoked {
					fmt.Fprintf(out, "revoked %s: %s\n", image, w.Reason)
				}
				for _, channel := range result.Channels {
					fmt.Fprintf(out, "channel %s still points to it and is refused until another version is promoted\n", channel)
				}
			}, next)
		},
	}
	cmd.Flags().StringVar(&w.Reason, "reason", "", "the `REASON`, for the record")
	cmd.Flags().StringVar(&w.Who, "who", "", "`WHO` revokes it (default: you, at this machine)")
	cmd.Flags().StringVar(&rollback, "rollback", "", "the `IMAGE` to use instead")
	cmd.Flags().BoolVar(&w.Cascade, "cascade", false, "revoke what was baked on it too")
	return cmd
}

// channelsTo lists the channels, as BASELINE:CHANNEL, that point to one of the
// versions.
func channelsTo(ctx context.Context, c *catalog.Catalog, versions []*catalog.Version) ([]string, error) {
	var found []string
	for _, v := range versions {
		channels, err := c.Channels(ctx, v.Baseline)
		if err != nil {
			return nil, err
		}
		for _, ch := range channels {
			if ch.Head != nil && ch.Head.Digest == v.Index.Digest {
				found = append(found, v.Baseline+":"+ch.Name)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}
