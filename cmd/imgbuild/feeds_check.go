package main

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
)

func newFeedsCheckCommand(env *environment) *cobra.Command {
	var now, kept bool
	var o feeds.Options
	cmd := &cobra.Command{
		Use:   "check [FEED...]",
		Short: "Read the feeds that are due, and end with 4 when one cannot be relied on",
		Long: `Read the feeds that are due from their places, judge all of them, and end with exit
code 4 when one is in alarm. A server is asked only for what has changed, and
nothing takes the place of good data that is not good itself.

A feed that has far fewer records than it had, or older ones, is refused until a
person accepts it with --accept-smaller.`,
		Example: "  imgbuild feeds check\n  imgbuild feeds check osv-debian --now\n  imgbuild feeds check --kept --output json",
		RunE: func(cmd *cobra.Command, names []string) error {
			if now && kept {
				return fault.Inputf("--now and --kept are both given").WithHint("--now reads all, --kept reads none")
			}
			if o.Smaller && len(names) == 0 {
				return fault.Inputf("--accept-smaller is given for every feed").WithHint("name the feed that is meant: %s", env.command("feeds", "check", "--accept-smaller", "FEED"))
			}
			p, store, list, err := env.feeds()
			if err != nil {
				return err
			}
			// The repositories of the images are there by name, or with all.
			rest := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == list.Repository.Name })
			repository := len(names) == 0 || len(rest) < len(names)
			var chosen []*feeds.Feed
			if len(names) == 0 || len(rest) > 0 {
				if chosen, err = list.Select(rest); err != nil {
					return err
				}
			}
			if len(chosen) == 0 && len(names) == 0 {
				return fault.Inputf("no feed is watched: %s lists none", list.Path).WithHint("add one: %s", env.command("feeds", "add", "osv-debian"))
			}
			states, err := store.SyncAll(cmd.Context(), chosen, o, func(f *feeds.Feed, s *feeds.State) bool {
				return !kept && (now || o.Smaller || feeds.Due(f, s, store.Now()))
			})
			if err != nil {
				return err
			}
			d := feedsDocument{File: list.Path, Feeds: []feeds.Report{}}
			for i, f := range chosen {
				d.Feeds = append(d.Feeds, feeds.Tell(f, states[i], store.Now()))
			}
			if repository {
				report, err := env.checkRepository(cmd.Context(), p, list, kept, now)
				if err != nil {
					return err
				}
				d.Feeds = append(d.Feeds, report)
			}
			if err := env.answer(d, func(w io.Writer) { writeFeeds(w, d) }, ""); err != nil {
				return err
			}
			return alarmed(d.Feeds)
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "read them whether they are due or not")
	cmd.Flags().BoolVar(&kept, "kept", false, "judge what is kept, and read nothing")
	cmd.Flags().BoolVar(&o.Smaller, "accept-smaller", false, "accept that a feed has far fewer records than it had, or older ones")
	return cmd
}

// checkRepository reads the repositories that were read before, if they are due. Which
// others the images have is for advisories sync, which looks at the images.
func (e *environment) checkRepository(ctx context.Context, p *project.Project, list *feeds.List, kept, now bool) (feeds.Report, error) {
	report, platforms, err := e.tellRepository(p, list)
	if err != nil || kept || len(platforms) == 0 {
		return report, err
	}
	gaps, notes, err := e.mirrors(p, list.Repository).Sync(ctx, platforms, now)
	if err != nil {
		return report, err
	}
	e.unwatched(notes)
	if report, _, err = e.tellRepository(p, list); err != nil {
		return report, err
	}
	for _, g := range gaps {
		report.Fresh = false
		report.Alarms = append(report.Alarms, feeds.Alarm{What: feeds.Unreachable, Reason: g.Where + ": " + g.Why, Mend: g.Mend, At: time.Now().UTC()})
	}
	return report, nil
}
