package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

func newImagesRmCommand(env *environment) *cobra.Command {
	var evenRevoked bool
	cmd := &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "Remove versions from the catalog",
		Long: `Remove versions with their evidence. A version that a channel points to is not
removed, nor one that is revoked, or may be, unless --even-revoked says so: its
revocation goes with it. An IMAGE must name its version: a bare baseline is
refused, and a damaged version goes by its number. The space is freed by
images gc.`,
		Example: "  imgbuild images rm debian-12-nginx:20260131.1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			var versions []*catalog.Version
			for _, image := range args {
				v, err := c.Resolve(ctx, image, catalog.AllowRevoked)
				var damaged *catalog.Damaged
				if errors.As(err, &damaged) {
					v, err = damaged.Version(), nil
				}
				if err != nil {
					return err
				}
				if !evenRevoked {
					if err := refuseToForget(ctx, c, v, env.command("images", "rm", image, "--even-revoked")); err != nil {
						return err
					}
				}
				versions = append(versions, v)
			}
			removed := []string{}
			for _, v := range versions {
				if err := c.Remove(ctx, v); err != nil {
					return err
				}
				removed = append(removed, v.Ref())
			}
			return env.answer(removed, func(w io.Writer) {
				for _, image := range removed {
					fmt.Fprintf(w, "removed %s\n", image)
				}
			}, env.command("images", "gc"))
		},
	}
	cmd.Flags().BoolVar(&evenRevoked, "even-revoked", false, "remove even a revoked version, with its revocation")
	return cmd
}

// refuseToForget refuses to remove a version whose revocation would go with it.
func refuseToForget(ctx context.Context, c *catalog.Catalog, v *catalog.Version, insist string) error {
	revocation, err := c.Revocation(ctx, v)
	switch {
	case fault.KindOf(err) == fault.World:
		return fault.Gatef("removing %s: it may be revoked, and the same image, baked again, would count as good", v.Ref()).Because(err).
			WithHint("to remove it all the same: %s", insist)
	case err != nil:
		return err
	case revocation != nil:
		return fault.Gatef("removing %s: it is revoked (%s); the revocation would be lost with it, and the same image, baked again, would count as good",
			v.Ref(), revocation.Reason).WithHint("to remove it all the same: %s", insist)
	}
	return nil
}
