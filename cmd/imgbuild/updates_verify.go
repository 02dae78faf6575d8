package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/custody"
	"imgbuild/builder/progress"
	"imgbuild/builder/project"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// verifiedArchive is the answer of updates verify as JSON.
type verifiedArchive struct {
	// Archive is its directory.
	Archive string `json:"archive"`
	*custody.Report
	// Records says what is wrong with the records of updates.
	Records string `json:"records,omitempty"`
}

func newUpdatesVerifyCommand(env *environment) *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify [LOCK|BASELINE...]",
		Short: "Read all of the archive, and say what is damaged or missing",
		Long: `Read every file of the archive and compare it with its digest, and look for each
file that a lock or a version of the catalog needs: of all locks, or of those that
are named; and verify every record of updates, and that none is missed that others
stand on. Ends with exit code 4 when something is damaged, forged or missing.

With --repair, damaged files are moved away, so that nothing is made of them, and
what a lock names is fetched again from where locks' files come from. Interrupted, it
goes on where it was.`,
		Example: "  imgbuild updates verify\n  imgbuild updates verify --repair\n  imgbuild updates verify debian-12-nginx --output json",
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := cmd.Context()
			p, err := env.project()
			if err != nil {
				return err
			}
			needs, wrong, err := env.needs(ctx, p, names)
			if err != nil {
				return err
			}
			archive, err := updates.Open(p.Config.Archive.Dir)
			if err != nil {
				return err
			}
			report, err := custody.Inspect(ctx, archive, needs, env.reporter())
			if err != nil {
				return err
			}
			var failed error
			if repair && len(report.Wrong) > 0 {
				failed = report.Repair(ctx, archive, env.refetch(p, archive))
				if ctx.Err() != nil {
					return failed
				}
			}
			next := ""
			if damaged, missing := report.Left(); damaged+missing > 0 && !repair {
				next = env.command(append([]string{"updates", "verify", "--repair"}, names...)...)
			}
			answer := verifiedArchive{Archive: p.Config.Archive.Dir, Report: report}
			if wrong != nil {
				answer.Records = wrong.Error()
			}
			if err := env.answer(answer, func(w io.Writer) { writeVerified(w, answer) }, next); err != nil {
				return err
			}
			return cmp.Or(verdictOn(report, failed), wrong)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "move damaged files away, and fetch what can be had again")
	return cmd
}

// needs are what locks, the catalog and updates that locks may take need of the archive.
// Where something is wrong with the records of those, it is not known of them.
func (e *environment) needs(ctx context.Context, p *project.Project, names []string) (needs *custody.Needs, wrong, err error) {
	needs = &custody.Needs{}
	if err := addLocks(needs, p, names); err != nil {
		return nil, nil, err
	}
	c, err := e.catalogAt(ctx, p, p.Config.Catalog)
	if err != nil {
		return nil, nil, err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, nil, err
	}
	if err := needs.AddCatalog(ctx, c, trust); err != nil {
		return nil, nil, err
	}
	records, err := p.Records()
	if err != nil {
		return nil, nil, err
	}
	history, wrong := records.History(ctx)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if wrong == nil {
		needs.AddUpdates(history, p.Config.Policy.Policy, time.Now().UTC())
	}
	return needs, wrong, nil
}

func addLocks(needs *custody.Needs, p *project.Project, names []string) error {
	locks, err := p.Locks(names...)
	for _, lock := range locks {
		needs.AddLock(lock.Name, lock.Lock)
	}
	return err
}

// refetch fetches packages of a lock from where its files come from.
func (e *environment) refetch(p *project.Project, archive *updates.Store) custody.Fetch {
	return func(ctx context.Context, lock *updates.Lock, packages []updates.Package) error {
		own := map[string]string{}
		for _, r := range lock.Releases {
			if r.URL != "" {
				own[r.Archive] = r.URL
			}
		}
		f, err := e.lockFetcher(p, archive, lock, own)
		if err != nil {
			return err
		}
		if f.Client, err = mirrorClient(ctx, p); err != nil {
			return err
		}
		defer f.Client.CloseIdleConnections()
		return f.All(ctx, packages)
	}
}

// verdictOn is the end of a command that found the archive so.
func verdictOn(r *custody.Report, failed error) error {
	damaged, missing := r.Left()
	if failed != nil && damaged+missing > 0 {
		// Whatever kept a file from being had, the archive is not whole.
		return fault.Worldf("repairing the archive").Because(failed)
	}
	if failed != nil {
		return fmt.Errorf("repairing the archive: %w", failed)
	}
	if damaged+missing > 0 {
		return fault.Worldf("the archive is not whole: %s and %d missing", progress.Count(damaged, "damaged file"), missing).
			WithHint("fetch what can be had again: imgbuild updates verify --repair")
	}
	if len(r.Unknown) > 0 {
		return fault.Worldf("it is not known what all need that is needed: %s", r.Unknown[0]).
			WithHint("see what is wrong with a version: imgbuild images verify IMAGE")
	}
	return nil
}

func writeVerified(w io.Writer, v verifiedArchive) {
	fmt.Fprintf(w, "%s: %s read, %d MiB; %d needed\n", v.Archive, progress.Count(v.Files, "file"), v.Bytes>>20, v.Needed)
	for _, wrong := range v.Wrong {
		word := "DAMAGED"
		switch {
		case wrong.Repaired && wrong.Missing:
			word, wrong.Problem = "fetched", "it was not in the archive"
		case wrong.Repaired:
			word = "repaired"
		case wrong.Missing:
			word = "MISSING"
		}
		name := wrong.Package
		if name == "" {
			name = wrong.SHA256[:12]
		}
		fmt.Fprintf(w, "%-8s  %s: %s", word, harmless(name), harmless(wrong.Problem))
		if wrong.Unrepaired != "" {
			fmt.Fprintf(w, "; not fetched: %s", wrong.Unrepaired)
		}
		fmt.Fprintln(w)
		if len(wrong.NeededBy) > 0 {
			fmt.Fprintf(w, "          needed by %s\n", harmless(strings.Join(wrong.NeededBy, ", ")))
		}
		if wrong.Moved != "" {
			fmt.Fprintf(w, "          moved to %s\n", wrong.Moved)
		}
	}
	for _, stray := range v.Strays {
		fmt.Fprintf(w, "note      %s is none of the archive's files\n", stray)
	}
	for _, unknown := range v.Unknown {
		fmt.Fprintf(w, "UNKNOWN   %s\n", harmless(unknown))
	}
	if v.Records != "" {
		fmt.Fprintf(w, "RECORDS   %s\n", harmless(v.Records))
	}
	if damaged, missing := v.Left(); damaged+missing+len(v.Unknown) == 0 && v.Records == "" {
		fmt.Fprintln(w, "the archive is whole")
	}
}
