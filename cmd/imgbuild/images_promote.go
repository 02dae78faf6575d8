package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
)

func newImagesPromoteCommand(env *environment) *cobra.Command {
	var p catalog.Promotion
	var evenRevoked bool
	var customer, fleet string
	cmd := &cobra.Command{
		Use:   "promote IMAGE CHANNEL",
		Short: "Move a channel to a version, by a signed record",
		Long: `Move a channel (released, acme-prod, …) to a version. The move is a signed record:
what, from what, who, when and why. A tag that was moved without a record is
refused, and so is a version that no trusted key has signed or that does not meet
the gates of its recipe (exit code 3): it is rejected from then on.

With --customer or --fleet the gates go by scans for them too, with their waivers;
the channel must be named for them: acme, acme-prod, acme-web-prod.`,
		Example: "  imgbuild images promote debian-12-nginx:20260131.1 released --why 'passed review'",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			scope, err := control.ParseScope(customer, fleet)
			if err != nil {
				return err
			}
			if !scope.Owns(args[1]) {
				return fault.Inputf("the channel %s is not one of %s", args[1], scope).
					WithHint("what is judged for a customer or fleet goes to channels named for them: %s-prod", strings.ReplaceAll(string(scope), "/", "-"))
			}
			project, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			revoked := catalog.RefuseRevoked
			if evenRevoked {
				revoked = catalog.AllowRevoked
			}
			v, err := find(ctx, c, args[0], revoked)
			if err != nil {
				return err
			}
			trust, err := project.Trust(project.Config.Catalog)
			if err != nil {
				return err
			}
			if err := evidence.Signed(ctx, c, v, trust); err != nil {
				return err
			}
			key, _, err := project.SigningKey(env.ask())
			if err != nil {
				return err
			}
			p.Channel, p.When, p.Who, p.For = args[1], time.Now(), orMe(p.Who), string(scope)
			refusals, err := builder.Judge(ctx, c, v, trust, builder.Judging{For: scope, Who: p.Who, Key: key})
			if err != nil {
				return err
			}
			if err := gate.Error(v.Ref(), scope, refusals); err != nil {
				return err
			}
			move, err := c.Promote(ctx, v, p, catalog.Keys{key}, revoked)
			if err != nil {
				return err
			}
			return env.answer(move, func(w io.Writer) {
				fmt.Fprintf(w, "%s:%s is %s (move %d, by %s)\n", v.Baseline, move.Channel, v.Ref(), move.Serial, move.Who)
			}, env.command("images", "history", v.Baseline+":"+move.Channel))
		},
	}
	cmd.Flags().StringVar(&p.Who, "who", "", "`WHO` moves it (default: you, at this machine)")
	cmd.Flags().StringVar(&p.Why, "why", "", "the `REASON`, for the record")
	addScopeFlags(cmd.Flags(), &customer, &fleet)
	cmd.Flags().BoolVar(&evenRevoked, "even-revoked", false, "move it even to a revoked version")
	return cmd
}
