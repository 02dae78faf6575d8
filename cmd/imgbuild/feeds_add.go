package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
)

func newFeedsAddCommand(env *environment) *cobra.Command {
	var w feeds.Wish
	var kind, stale string
	var unsigned bool
	var public strings.Builder
	for _, p := range feeds.Public() {
		fmt.Fprintf(&public, "\n  %-15s %s", p.Name, p.About)
	}
	cmd := &cobra.Command{
		Use:   "add SOURCE...",
		Short: "Add sources: addresses, files, directories, bundles, or public ones by name",
		Long: `Read a source and add it to feeds.yaml. A SOURCE is an https address, a file, a
directory, a bundle that feeds export made, or the name of a public source. Kinds
are recognised by what is in the files, whatever they are called; a directory gives
a feed for each kind that it has. What cannot be read is not added.

The public sources:` + public.String(),
		Example: "  imgbuild feeds add osv-debian kev epss\n  imgbuild feeds add /media/feeds\n" +
			"  imgbuild feeds add feeds-20260131.zip\n  imgbuild feeds add https://feeds.example/vex.tar.gz --name vendor --kind csaf",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.Inputf("SOURCE is missing: %s SOURCE...", cmd.CommandPath()).WithHint("see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, store, list, err := env.feeds()
			if err != nil {
				return err
			}
			if w.Trust, err = p.BundleTrust(); err != nil {
				return err
			}
			w.Kind, w.Unsigned = feeds.Kind(kind), feeds.Unsigned(unsigned)
			if stale != "" {
				if w.Stale, err = feeds.ParseDuration(stale); err != nil {
					return fault.Inputf("--stale-after: %v", err)
				}
			}
			if w.Name != "" && len(args) > 1 {
				return fault.Inputf("--name is for one source, and %d are given", len(args))
			}
			all := feeds.Added{Feeds: []feeds.AddedFeed{}}
			var first error
			for _, source := range args {
				added, err := store.Add(cmd.Context(), list, source, w)
				if added != nil {
					all.Feeds, all.Passed = append(all.Feeds, added.Feeds...), append(all.Passed, added.Passed...)
					if !added.Made.IsZero() {
						all.Made, all.Signer = added.Made, added.Signer
					}
				}
				if err != nil && first == nil {
					first = err
				}
			}
			if len(all.Feeds) == 0 && first != nil {
				return first
			}
			next := ""
			switch alarm := func(f feeds.AddedFeed) bool { return !f.Fresh }; {
			case first != nil:
			case slices.ContainsFunc(all.Feeds, alarm):
				next = env.command("feeds", "list")
			default:
				next = env.command("advisories", "sync")
			}
			if err := env.answer(all, func(out io.Writer) { writeAdded(out, list.Path, &all) }, next); err != nil {
				return err
			}
			return first
		},
	}
	cmd.Flags().StringVar(&w.Name, "name", "", "`NAME` of the feed (default: that of its kind)")
	cmd.Flags().StringVar(&kind, "kind", "", "take it for this `KIND`: "+strings.Join(feeds.Kinds(), ", "))
	cmd.Flags().StringVar(&stale, "stale-after", "", "`TIME` after which it is stale, such as 2d (default: that of its kind)")
	cmd.Flags().StringSliceVar(&w.Releases, "releases", nil, "`RELEASES` that it is to speak of, such as Ubuntu:24.04,Ubuntu:22.04 (default: all)")
	cmd.Flags().BoolVar(&unsigned, "unsigned", false, "take a bundle that nobody has signed")
	cmd.Flags().BoolVar(&w.Smaller, "accept-smaller", false, "accept that a feed has far fewer records than it had, or older ones")
	return cmd
}

// passedShown is how many files that are no feed's are listed.
const passedShown = 10

func writeAdded(w io.Writer, file string, a *feeds.Added) {
	for _, f := range a.Feeds {
		verb := "read again"
		if f.New {
			verb = "added to " + file
		}
		fmt.Fprintf(w, "%s: %s, %s, from %s\n", f.Name, f.Holds, verb, f.From)
		for _, alarm := range f.Alarms {
			fmt.Fprintf(w, "  ALARM %s: %s\n    %s\n", alarm.What, harmless(alarm.Reason), harmless(alarm.Mend))
		}
	}
	if a.Signer != "" {
		fmt.Fprintf(w, "the bundle was made on %s and signed by %s\n", moment(a.Made), a.Signer)
	}
	for i, p := range a.Passed {
		if i == passedShown {
			fmt.Fprintf(w, "and %d files more that are not taken\n", len(a.Passed)-passedShown)
			break
		}
		fmt.Fprintf(w, "not taken: %s: %s\n", harmless(p.Path), harmless(p.Why))
	}
}
