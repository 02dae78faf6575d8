package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/fault"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/roster"
)

// rejectFlags are the flags of updates reject.
type rejectFlags struct {
	why, who, until string
	hold            bool
}

func newUpdatesRejectCommand(env *environment) *cobra.Command {
	var f rejectFlags
	cmd := &cobra.Command{
		Use:   "reject UPDATE... --why REASON",
		Short: "Reject updates, or hold them for a while",
		Long: `Record that updates must not be locked, signed with your key as updates approve is.
What was approved before counts no more. With --hold or --hold-until they are not
rejected, but put off: until the day that is named, or as long as the policy says
(hold-for, 30 days), after which they wait for people again as before.

An approver takes either back with: updates approve UPDATE --reopen.`,
		Example: `  imgbuild updates reject nginx --why 'drops the stream module that acme needs'
  imgbuild updates reject linux-image-amd64 --hold-until 2027-01-15 --why 'after the fair'
  imgbuild updates reject openssl --hold --why 'upstream looks at a regression'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return rejectUpdates(cmd.Context(), env, args, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.why, "why", "", "`REASON`, which is part of the record")
	flags.StringVar(&f.who, "who", "", "`NAME` of who decides, in their own words (default: you, on this machine)")
	flags.StringVar(&f.until, "hold-until", "", "hold until `DAY`, such as 2027-01-15, instead of rejecting")
	flags.BoolVar(&f.hold, "hold", false, "hold as long as the policy says, instead of rejecting")
	return cmd
}

func rejectUpdates(ctx context.Context, env *environment, words []string, f rejectFlags) error {
	if f.why == "" {
		return fault.Inputf("the reason is part of the record: add --why REASON")
	}
	l, err := env.ledger(ctx)
	if err != nil {
		return err
	}
	r := life.Record{Action: life.Rejected}
	switch {
	case f.hold && f.until != "":
		return fault.Inputf("--hold-until says how long; --hold leaves it to the policy").WithHint("leave out one of them")
	case f.hold:
		r.Action, r.Until = life.Held, l.policy.HoldUntil(l.now)
	case f.until != "":
		until, err := roster.ParseMoment(f.until)
		if err != nil {
			return fault.Inputf("--hold-until: %v", err)
		}
		if !until.After(l.now) {
			return fault.Inputf("--hold-until %s is over already", f.until)
		}
		r.Action, r.Until = life.Held, until.Truncate(time.Second)
	}
	chosen, err := l.choose(words)
	if err != nil {
		return err
	}
	r.Basis = basisOf(chosen)
	return env.decide(ctx, l, r, chosen, approveFlags{why: f.why, who: f.who})
}
