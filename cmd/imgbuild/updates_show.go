package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

func newUpdatesShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "show UPDATE",
		Short: "Show an update, what is to be done about it, and every step of its life",
		Long: `Show what is known of an update: its file, which baselines it applies to and why, what
its trial found, what it waits for, and every record about it with who made it, when and
why. Records that count for nothing are shown with the reason.

UPDATE is a package's name, that of its source package for all that is built from it,
NAME=VERSION, or the beginning of the file's digest.`,
		Example: "  imgbuild updates show nginx\n  imgbuild updates show nginx=1.22.1-9+deb12u4\n  imgbuild updates show nginx --output json",
		Args:    words("UPDATE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return showUpdate(cmd.Context(), env, args[0]) },
	}
}

// shownUpdate is one update in the answer of updates show as JSON.
type shownUpdate struct {
	listedUpdate
	Trial *life.Trial  `json:"trial,omitempty"`
	Steps []updateStep `json:"steps"`
}

// updateStep is one record about an update.
type updateStep struct {
	Action life.Action `json:"action"`
	Rule   life.Rule   `json:"rule,omitempty"`
	// By is who signed, by the roster; Who is their own word.
	By     string     `json:"by,omitempty"`
	Who    string     `json:"who"`
	Key    string     `json:"key"`
	When   time.Time  `json:"when"`
	Why    string     `json:"why"`
	Basis  life.Basis `json:"basis,omitzero"`
	Record string     `json:"record"`
	// Void is why the record counts for nothing.
	Void string `json:"void,omitempty"`
}

func showUpdate(ctx context.Context, env *environment, word string) error {
	l, err := env.ledger(ctx)
	if err != nil {
		return err
	}
	found, err := policy.Find(l.queue(), word)
	if err != nil {
		return err
	}
	var shown []shownUpdate
	for _, e := range found {
		s := shownUpdate{listedUpdate: describeUpdate(e), Trial: e.State.Trial}
		for _, steps := range [][]life.Step{e.State.History, e.State.Disregarded} {
			for _, step := range steps {
				s.Steps = append(s.Steps, updateStep{
					Action: step.Action, Rule: step.Rule, By: step.By.Name, Who: step.Who, Key: step.By.Key, When: step.When,
					Why: step.Why, Basis: step.Basis, Record: step.Record, Void: step.Void,
				})
			}
		}
		shown = append(shown, s)
	}
	next := ""
	if found[0].Pending() {
		next = env.command("updates", "approve", word, "--why", "REASON")
	}
	result := struct {
		Updates []shownUpdate `json:"updates"`
	}{shown}
	return env.answer(result, func(w io.Writer) {
		for i, s := range shown {
			if i > 0 {
				fmt.Fprintln(w)
			}
			s.write(w, l.policy.Mode)
		}
	}, next)
}

// strangersShown is how many records by keys of nobody in the roster are told of each
// update: in an archive of several projects most are.
const strangersShown = 3

func (s shownUpdate) write(w io.Writer, mode policy.Mode) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s  %s\n", name, harmless(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintln(w, s.Update)
	line("state", "%s", s.State)
	verdict, why := verdictIn(s.listedUpdate, mode)
	line("verdict", "%s: %s", verdict, why)
	if s.Superseded != "" {
		line("", "superseded by %s", s.Superseded)
	}
	line("severity", "%s", severityWord(s.listedUpdate))
	if len(s.Advisories) > 0 {
		line("mends", "%s", some(s.Advisories, 8))
	}
	line("source", "%s %s", s.Source, s.SourceVersion)
	if s.Suite != "" {
		line("from", "%s of %s", s.Suite, s.Archive)
	}
	line("file", "%s, %d bytes, sha256 %s", s.Path, s.Size, s.SHA256)
	for _, a := range s.Baselines {
		line("for", "%s (%s, %s): %s", a.Baseline, a.Architecture, strings.Join(a.Sets, " and "), a.Why)
	}
	if s.Trial != nil {
		s.writeTrial(line)
	}
	strangers := 0
	for _, step := range s.Steps {
		if step.By == "" {
			if strangers++; strangers > strangersShown {
				continue
			}
		}
		line(step.When.Format("2006-01-02"), "%s", step.words())
		line("", "%s", step.Why)
		if step.Void != "" {
			line("", "COUNTS FOR NOTHING: %s", step.Void)
		}
	}
	if more := strangers - strangersShown; more > 0 {
		line("", "and %s by keys of nobody in the roster (--output json has each)", plural(more, "record", "records"))
	}
}

func (s shownUpdate) writeTrial(line func(name, format string, args ...any)) {
	t, d := s.Trial, s.Trial.Difference
	if !t.Passed {
		line("trial", "%s of %s failed: %s", t.ID[:12], t.Baseline, some(t.Failed, 3))
	} else {
		line("trial", "%s of %s passed", t.ID[:12], t.Baseline)
	}
	line("", "%d packages differ; files: %d new, %d gone, %d changed; CVEs: %d mended, %d introduced",
		len(d.Packages), d.Files.Added, d.Files.Removed, d.Files.Changed, len(d.Fixed), len(d.Introduced))
	for _, score := range d.Scores {
		line("", "score %s level %d: %.1f %% to %.1f %%", score.Benchmark, score.Level, score.From, score.To)
	}
}

// words are one step in a line: "approved by ada (ada@desk), record 0123456789ab".
func (s updateStep) words() string {
	by := s.By
	if by == "" {
		by = "a stranger"
	}
	words := fmt.Sprintf("%s by %s (%s), record %s", s.Action, by, s.Who, s.Record[:12])
	switch s.Rule {
	case life.ByPolicy:
		words += ", by the policy: " + s.Basis.Policy
	case life.ByFirstLock:
		words += ", in the first lock of " + s.Basis.Baseline
	case life.ByOpenLock:
		words += ", in a lock of " + s.Basis.Baseline
	}
	return words
}

// some are the first of a list in a line.
func some(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
