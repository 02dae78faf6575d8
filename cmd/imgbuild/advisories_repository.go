package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/project"
	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory/eol"
)

// repositories are those that the images were made from, watched as feeds.yaml says.
func (e *environment) repositories(a *advised) *pipeline.Repositories {
	return e.mirrors(a.project, a.repository)
}

// mirrors are the repositories of a project, kept beside the feeds. They are read from
// where a lock would read them.
func (e *environment) mirrors(p *project.Project, f *feeds.Feed) *pipeline.Repositories {
	return &pipeline.Repositories{
		Dir: filepath.Join(p.FeedsDir(), ".repository"), Now: time.Now, Every: f.Interval(), Stale: f.StaleAfter(), Off: f.Off,
		Read: func(ctx context.Context, codename, architecture string) (_ []*repo.Index, err error) {
			w, err := e.workshop(ctx)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, w.close()) }()
			l, err := w.locker()
			if err != nil {
				return nil, err
			}
			mirror, err := l.Mirror(debian.ArchiveDebian, codename)
			if err != nil {
				return nil, err
			}
			security, err := l.Mirror(debian.ArchiveSecurity, codename+"-security")
			if err != nil {
				return nil, err
			}
			return l.Client.Read(ctx, architecture, debian.DebianSources(codename, mirror, security, nil, l.Keys))
		},
	}
}

// writeSupport says of which releases the support ends, and when.
func writeSupport(w io.Writer, list []pipeline.Support) {
	said := false
	for _, s := range list {
		switch {
		case s.Level == eol.Supported:
			continue
		case s.Urgent():
			fmt.Fprintf(w, "END OF SUPPORT: %s\n", harmless(s.Reason))
		default:
			fmt.Fprintf(w, "%s: %s\n", s.Level, harmless(s.Reason))
		}
		said = true
	}
	if said {
		fmt.Fprintln(w)
	}
}

// writeNewer lists what repositories offer and no advisory names; the others stand
// with their vulnerabilities.
func writeNewer(w io.Writer, list []pipeline.Newer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	advised, shown := 0, 0
	for _, n := range list {
		if n.Advised {
			advised++
			continue
		}
		if shown++; shown == 1 {
			fmt.Fprintf(w, "newer in the repository, and no advisory says why yet:\n\n")
			fmt.Fprintln(t, "package\thave\toffered\tin\tsince\timages")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Package, n.Have, n.Offered, n.Suite, n.Since.Format(time.DateOnly), several(n.Images, 2))
	}
	t.Flush()
	if shown > 0 {
		fmt.Fprintln(w)
	}
	if advised > 0 {
		fmt.Fprintf(w, "%s with newer versions in the repository that mend what is listed above\n", plural(advised, "package", "packages"))
	}
}

// unwatched says on standard error which repositories are not watched.
func (e *environment) unwatched(notes []string) {
	for _, n := range notes {
		e.reporter().Note("%s", harmless(strings.ReplaceAll(n, "\n", " ")))
	}
}

// tellRepository says how the repositories of the images are watched, and what was
// read of them last.
func (e *environment) tellRepository(p *project.Project, list *feeds.List) (feeds.Report, []pipeline.Platform, error) {
	offered, platforms, err := e.mirrors(p, list.Repository).Last()
	if err != nil {
		return feeds.Report{}, nil, err
	}
	return feeds.TellRepository(list.Repository, offered, time.Now()), platforms, nil
}
