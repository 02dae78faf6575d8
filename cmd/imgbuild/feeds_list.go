package main

import (
	"fmt"
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
downloaded. The last is of the repositories that the images were made from, which
advisories sync reads: a newer version there is a signal before an advisory names it.`,
		Example: "  imgbuild feeds list\n  imgbuild feeds list --output json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return listFeeds(env) },
	}
}

func listFeeds(env *environment) error {
	p, store, list, err := env.feeds()
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
	repository, _, err := env.tellRepository(p, list)
	if err != nil {
		return err
	}
	d.Feeds = append(d.Feeds, repository)
	if len(list.Feeds) == 0 {
		next = env.command("feeds", "add", "osv-debian")
	}
	return env.answer(d, func(w io.Writer) {
		if len(list.Feeds) == 0 {
			fmt.Fprintln(w, "no feed is watched")
		}
		if len(list.Feeds) > 0 || repository.Off || repository.Files > 0 {
			writeFeeds(w, d)
		}
	}, next)
}
