package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/builder/scan"
	"imgbuild/ci/advise"
	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
)

func newFeedsCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feeds",
		Short: "Watch the sources on security problems, and judge whether they can be relied on",
		Long: `A feed is a source that is watched: OSV records, the Debian Security Tracker,
Microsoft's monthly documents, CISA's catalogue and others, from an address, a
file, a directory or a bundle. They are listed in feeds.yaml of the project, and
what they said is kept on this machine.

A feed that is stale, empty, cut short or suddenly much smaller is in alarm. The
last good data is kept and used, but that such a feed says nothing of a package is
no fact. Without a further word, list them.`,
		Example: "  imgbuild feeds\n  imgbuild feeds add osv-debian kev\n  imgbuild feeds check",
		Args:    noWord,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listFeeds(env) },
	}
	cmd.AddCommand(newFeedsListCommand(env), newFeedsAddCommand(env), newFeedsCheckCommand(env), newFeedsExportCommand(env))
	return cmd
}

// feeds opens the project's feeds, and where they are kept.
func (e *environment) feeds() (*project.Project, *feeds.Store, *feeds.List, error) {
	p, err := e.project()
	if err != nil {
		return nil, nil, nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if err := p.ReachRegistries(transport); err != nil {
		return nil, nil, nil, err
	}
	list, err := feeds.OpenList(p.FeedsFile())
	if err != nil {
		return nil, nil, nil, err
	}
	return p, &feeds.Store{
		Dir: p.FeedsDir(), Now: time.Now, Progress: e.reporter(), Fetch: feeds.Fetch{Transport: transport}, Program: version,
	}, list, nil
}

// advisor is who is asked about vulnerabilities: the feeds of the project. It is
// nil where none is watched.
func (e *environment) advisor() (scan.Advisor, error) {
	_, store, list, err := e.feeds()
	if err != nil || len(list.Feeds) == 0 {
		return nil, err
	}
	return &advise.Feeds{Store: store, List: list.Feeds}, nil
}

// feedsDocument is the answer of feeds list and check as JSON.
type feedsDocument struct {
	// File lists the feeds.
	File  string         `json:"file"`
	Feeds []feeds.Report `json:"feeds"`
}

func writeFeeds(w io.Writer, d feedsDocument) {
	width := len("feed")
	for _, r := range d.Feeds {
		width = max(width, len(r.Name))
	}
	fmt.Fprintf(w, "%-*s  %-17s %9s  %-16s  %-16s  %s\n", width, "feed", "kind", "records", "read", "newest", "state")
	for _, r := range d.Feeds {
		state := "fresh"
		switch {
		case r.Off:
			state = "off"
		case !r.Watched():
			state = "not read yet"
		case !r.Fresh:
			state = "ALARM"
		}
		fmt.Fprintf(w, "%-*s  %-17s %9d  %-16s  %-16s  %s\n", width, r.Name, r.Kind, r.Records, moment(r.Read), moment(r.AsOf), state)
		if r.Kind == feeds.Repository && r.Watched() {
			fmt.Fprintf(w, "  %s\n", harmless(r.Holds))
		}
		for _, a := range r.Alarms {
			fmt.Fprintf(w, "  %s: %s\n    %s\n", a.What, harmless(a.Reason), harmless(a.Mend))
		}
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// alarmed is the end of a command that found feeds in alarm; nil without any.
func alarmed(reports []feeds.Report) error {
	var names []string
	watched := 0
	for _, r := range reports {
		if !r.Watched() {
			continue
		}
		if watched++; !r.Fresh {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.Worldf("%d of %d feeds cannot be relied on: that they say nothing of a package is no fact", len(names), watched).
		WithHint("each alarm says what to do; what was kept before stays in use")
}
