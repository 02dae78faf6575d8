package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
)

// syncDocument is the answer of advisories sync as JSON.
type syncDocument struct {
	Complete bool           `json:"complete"`
	Gaps     []pipeline.Gap `json:"gaps,omitempty"`
	Feeds    []feeds.Report `json:"feeds"`
	Images   []lookedAt     `json:"images"`
	// Since is when it was looked last; without it, all is news.
	Since time.Time       `json:"since,omitzero"`
	News  []pipeline.News `json:"news"`
	// Support and Newer are as in advisories list.
	Support []pipeline.Support `json:"support"`
	Newer   []pipeline.Newer   `json:"newer"`
	// Open is how many vulnerabilities concern the images, news or not.
	Open int `json:"open"`
}

func newAdvisoriesSyncCommand(env *environment) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Read the feeds that are due, and say what is new for your images",
		Long: `Read the feeds that are due from their places, hold the images that servers may run
against what they say, and tell what is new since the last time: what they have now,
what is known to be exploited now, what has a fix now, and what they have no more.
The repositories that they were made from are read and verified too: a newer version
there is a signal before an advisory names it.

Ends with exit code 4 when a feed is in alarm or something cannot be told, whatever is
new. That there is news is no failure.`,
		Example: "  imgbuild advisories sync\n  imgbuild advisories sync --now --output json",
		Args:    noWord,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return syncAdvisories(cmd.Context(), env, now)
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "read all feeds, whether they are due or not")
	return cmd
}

func syncAdvisories(ctx context.Context, env *environment, now bool) (err error) {
	a, answer, err := env.advisedAnew(ctx, now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	// What could not be matched stays known. That a repository does not answer, or a release
	// gets no support any more, hides nothing that was matched.
	unmatched := slices.Concat(a.gaps, answer.Gaps)
	repositories := env.repositories(a)
	gaps, notes, err := repositories.Sync(ctx, answer.Platforms(), now)
	if err != nil {
		return err
	}
	env.unwatched(notes)
	a.gaps = append(a.gaps, gaps...)
	support := answer.Supported(a.Facts, a.Now)
	newer, err := answer.Newer(repositories)
	if err != nil {
		return err
	}
	d := syncDocument{Support: support, Newer: append([]pipeline.Newer{}, newer...), Gaps: append(a.gaps, answer.Gaps...), Feeds: a.reports, Images: lookedAtAll(a.images), News: []pipeline.News{}}
	d.Complete = len(d.Gaps) == 0
	known := pipeline.Know(answer.Concerns, a.Now)
	d.Open = len(known.Has)
	before, err := pipeline.Notice(ctx, filepath.Join(a.project.FeedsDir(), ".seen.json"), known, unmatched)
	if err != nil {
		return err
	}
	if before == nil {
		before = &pipeline.Seen{}
	}
	d.Since = before.At
	d.News = append(d.News, known.Since(before)...)
	next := env.command("advisories", "list")
	if len(d.News) > 0 && !d.Since.IsZero() && d.News[0].What != pipeline.IsGone {
		next = env.command("advisories", "show", d.News[0].ID)
	}
	if err := env.answer(d, func(w io.Writer) { writeSync(w, &d) }, next); err != nil {
		return err
	}
	return incomplete(d.Gaps)
}

func writeSync(w io.Writer, d *syncDocument) {
	writeGaps(w, d.Gaps)
	writeSupport(w, d.Support)
	defer writeNewer(w, d.Newer)
	fmt.Fprintf(w, "%s, %s\n", plural(len(d.Feeds), "feed", "feeds"), plural(len(d.Images), "image that servers may run", "images that servers may run"))
	switch {
	case len(d.Images) == 0:
		return
	case d.Since.IsZero():
		// The first time all is new, and a list says it better.
		fmt.Fprintf(w, "looked at for the first time: %s concern them\n", plural(d.Open, "vulnerability", "vulnerabilities"))
		return
	case len(d.News) == 0:
		fmt.Fprintf(w, "nothing new since %s; %s as before\n", moment(d.Since), plural(d.Open, "vulnerability", "vulnerabilities"))
		return
	}
	fmt.Fprintf(w, "new since %s:\n\n", moment(d.Since))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tvulnerability\tseverity\tpackage\tfixed in\timages")
	for _, n := range d.News {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.What, harmless(n.ID), rated(n.Severity), several(n.Packages, 2), several(n.Fixed, 2), strings.Join(n.Where, ", "))
	}
	t.Flush()
	fmt.Fprintf(w, "\n%s in all\n", plural(d.Open, "vulnerability", "vulnerabilities"))
}
