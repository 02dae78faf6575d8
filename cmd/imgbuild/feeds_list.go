package main

import (
	"io"

	"github.com/spf13/cobra"

	"imgbuild/ci/feeds"
)

func newFeedsListCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the feeds, when each was last read and what it said",
		Long: `List the feeds of the project: how many records each has, when it was last read,
of when the newest thing in it is, and whether it can be relied on. Nothing is
downloaded.`,
		Example: "  imgbuild feeds list\n  imgbuild feeds list --output json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return listFeeds(env) },
	}
}

func listFeeds(env *environment) error {
	_, store, list, err := env.feeds()
	if err != nil {
		return err
	}
	d := feedsDocument{File: list.Path, Feeds: []feeds.Report{}}
	for _, f := range list.Feeds {
		state, err := store.State(f)
		if err != nil {
			return err
		}
		d.Feeds = append(d.Feeds, feeds.Tell(f, state, store.Now()))
	}
	next := env.command("feeds", "check")
	if len(d.Feeds) == 0 {
		next = env.command("feeds", "add", "osv-debian")
	}
	return env.answer(d, func(w io.Writer) { writeFeeds(w, d) }, next)
}
