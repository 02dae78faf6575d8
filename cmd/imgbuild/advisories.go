package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
)

func newAdvisoriesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "advisories",
		Short: "See which published vulnerabilities concern your images, and why",
		Long: `Hold the images of the catalog against what the feeds say. An image counts when
servers may run it: a channel points to it, or it is the newest of its baseline that
may be used.

What cannot be told is said first, and ends with exit code 4: a feed in alarm, an
image that cannot be read, packages that nobody speaks of. That nothing is listed is
then no fact. Without a further word, list what concerns your images.`,
		Example: "  imgbuild advisories\n  imgbuild advisories sync\n  imgbuild advisories show CVE-2026-1234",
		Args:    noWord,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listAdvisories(cmd.Context(), env, advisoryFlags{}, nil)
		},
	}
	cmd.AddCommand(newAdvisoriesSyncCommand(env), newAdvisoriesListCommand(env), newAdvisoriesShowCommand(env), newAdvisoriesRunCommand(env))
	return cmd
}

// advised is what images are held against, opened.
type advised struct {
	pipeline.Question
	project *project.Project
	// all are the versions of the catalog, images those that were chosen.
	all, images []*pipeline.Image
	reports     []feeds.Report
	gaps        []pipeline.Gap
	// repository is how the repositories of the images are watched.
	repository *feeds.Feed
}

func (a *advised) close() error { return a.Index.Close() }

// advisoryFlags say which images are looked at, and for whom.
type advisoryFlags struct {
	every           bool
	channel         string
	customer, fleet string
	// What is shown of what is found.
	severity  string
	dismissed bool
}

func (f *advisoryFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.every, "all", false, "look at every version in the catalog, not at those alone that servers may run")
	cmd.Flags().StringVar(&f.channel, "channel", "", "look at the versions in this `CHANNEL` alone")
	addScopeFlags(cmd.Flags(), &f.customer, &f.fleet)
}

// noFeed is what is said where nothing is watched: nothing is known then.
func noFeed(env *environment, list *feeds.List) error {
	return fault.Inputf("no feed is watched: %s lists none, so that nothing is known of any image", list.Path).
		WithHint("add one: %s", env.command("feeds", "add", "osv-debian"))
}

// advised opens all that images are held against. Whoever calls it closes it.
func (e *environment) advised(ctx context.Context, f advisoryFlags, words []string) (*advised, error) {
	scope, err := control.ParseScope(f.customer, f.fleet)
	if err != nil {
		return nil, err
	}
	p, store, list, err := e.feeds()
	if err != nil {
		return nil, err
	}
	if len(list.Feeds) == 0 {
		return nil, noFeed(e, list)
	}
	_, c, err := e.catalog(ctx)
	if err != nil {
		return nil, err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, err
	}
	a := &advised{project: p, repository: list.Repository, Question: pipeline.Question{For: scope, Now: store.Now()}}
	if a.all, a.gaps, err = pipeline.Images(ctx, c); err != nil {
		return nil, err
	}
	if a.images, err = pipeline.Select(a.all, words, f.channel, f.every); err != nil {
		return nil, err
	}
	keys := []string{version} // another program may read documents otherwise
	for _, k := range trust.Keys() {
		keys = append(keys, fmt.Sprint(k.Key.ID(), k.NotAfter.Unix(), k.Withdrawn))
	}
	stock := pipeline.Stock{
		Dir:  pipeline.StockDir(filepath.Join(p.StateDir(), "contents"), p.Config.Catalog, keys),
		Read: pipeline.SignedContents(c, trust),
	}
	if a.Stock, err = stock.Update(ctx, a.all, a.images); err != nil {
		return nil, err
	}
	if a.Waivers, err = e.waivers(); err != nil {
		return nil, err
	}
	return a, a.published(ctx, store, list)
}

// advisedAnew reads the feeds that are due, or all of them where it is now, and asks
// what concerns the images that servers may run. Whoever calls it closes what it gives.
func (e *environment) advisedAnew(ctx context.Context, now bool) (*advised, *pipeline.Answer, error) {
	_, store, list, err := e.feeds()
	if err != nil {
		return nil, nil, err
	}
	if len(list.Feeds) == 0 {
		return nil, nil, noFeed(e, list)
	}
	due := func(f *feeds.Feed, s *feeds.State) bool { return now || feeds.Due(f, s, store.Now()) }
	if _, err := store.SyncAll(ctx, list.Feeds, feeds.Options{}, due); err != nil {
		return nil, nil, err
	}
	a, err := e.advised(ctx, advisoryFlags{}, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := a.Concerns(ctx, a.images)
	if err != nil {
		return nil, nil, errors.Join(err, a.close())
	}
	return a, answer, nil
}

// published opens what feeds say.
func (a *advised) published(ctx context.Context, store *feeds.Store, list *feeds.List) (err error) {
	var basis *feeds.Basis
	if a.Index, a.Facts, basis, err = store.Open(ctx, list.Feeds); err != nil {
		return err
	}
	a.reports = basis.Told
	for _, f := range list.Feeds {
		a.Watched = append(a.Watched, f.Kind)
	}
	// Advisories say what is mended, and nothing of what is not.
	if !slices.ContainsFunc(basis.Sources, func(s feeds.Source) bool { return s.Kind != feeds.DebianAdvisories }) {
		a.gaps = append(a.gaps, pipeline.Gap{
			Where: "feeds", Why: "none of them says which packages are affected", Mend: "add one that does: imgbuild feeds add osv-debian",
		})
	}
	for _, name := range list.Names() {
		for _, alarm := range basis.Alarms[name] {
			a.gaps = append(a.gaps, pipeline.Gap{Where: "feed " + name, Why: string(alarm.What) + ": " + alarm.Reason, Mend: alarm.Mend})
		}
	}
	return nil
}

// waivers are the project's.
func (e *environment) waivers() (_ []*control.Waiver, err error) {
	source, err := e.baselines()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	set, err := source.Controls()
	if err != nil {
		return nil, err
	}
	return source.Waivers(set, strayKinds())
}

// incomplete is the end of a command that could not tell all; nil without gaps.
func incomplete(gaps []pipeline.Gap) error {
	if len(gaps) == 0 {
		return nil
	}
	what := "1 thing"
	if len(gaps) > 1 {
		what = fmt.Sprintf("%d things", len(gaps))
	}
	return fault.Worldf("%s could not be told: that nothing is found there is no fact", what).WithHint("each is named above with what to do")
}

// writeGaps says what cannot be told, before anything else.
func writeGaps(w io.Writer, gaps []pipeline.Gap) {
	if len(gaps) == 0 {
		return
	}
	fmt.Fprintln(w, "CANNOT BE TOLD, so that what is missing below is no fact:")
	for _, g := range gaps {
		fmt.Fprintf(w, "  %s: %s\n", harmless(g.Where), harmless(g.Why))
		if g.Mend != "" {
			fmt.Fprintf(w, "    %s\n", harmless(g.Mend))
		}
	}
	fmt.Fprintln(w)
}

// lookedAt is an image in an answer as JSON.
type lookedAt struct {
	Image    string   `json:"image"`
	Digest   string   `json:"digest"`
	Channels []string `json:"channels,omitempty"`
	// Outputs are its forms: "vm", "container".
	Outputs []control.Output `json:"outputs"`
	// Newest is that the bare name of its baseline means it.
	Newest  bool   `json:"newest"`
	Revoked string `json:"revoked,omitempty"`
}

func lookedAtAll(images []*pipeline.Image) []lookedAt {
	list := []lookedAt{}
	for _, i := range images {
		list = append(list, lookedAt{i.Version.Ref(), i.Version.Index.Digest.String(), i.Channels, evidence.Forms(i.Version), i.Newest, i.Revoked})
	}
	return list
}

// rated is a severity for people; one that nobody has rated has no name.
func rated(s control.Severity) string {
	if s == "" {
		return "not rated"
	}
	return string(s)
}

// use says how a vulnerability is used, in one word or two.
func use(t pipeline.Threat) string {
	switch {
	case t.Exploited != nil && t.Exploited.Ransomware:
		return "EXPLOITED (ransomware)"
	case t.Exploited != nil:
		return "EXPLOITED"
	case t.EPSS != nil:
		return percent(*t.EPSS)
	}
	return "-"
}

func percent(p float64) string {
	if p < 0.001 {
		return "<0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*p)
}

// several joins a few words, and counts the others.
func several(list []string, most int) string {
	if len(list) == 0 {
		return "-"
	}
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// plural is a number of things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
