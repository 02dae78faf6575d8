package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/control"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

func newUpdatesListCommand(env *environment) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what waits for whom, worst first",
		Long: `List the updates that somebody has to do something about, the worst first: what is
exploited, then by severity. Each line says which baselines it applies to, and what it
waits for: a trial, the end of its soak, or the people who may approve it. With --all,
list those too that are approved, rejected, superseded or locked.`,
		Example: "  imgbuild updates list\n  imgbuild updates list --all\n  imgbuild updates list --output json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listUpdates(cmd.Context(), env, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "list those too that wait for nobody")
	return cmd
}

// updatesDocument is the answer of updates list as JSON.
type updatesDocument struct {
	Mode    policy.Mode    `json:"mode"`
	Updates []listedUpdate `json:"updates"`
}

// listedUpdate is one update in a list.
type listedUpdate struct {
	life.Update
	// State is one word: discovered, evaluated, trialled, failed, approved, rejected,
	// held, superseded or locked.
	State      string           `json:"state"`
	Severity   control.Severity `json:"severity,omitempty"`
	Security   bool             `json:"security"`
	Exploited  bool             `json:"exploited"`
	Advisories []string         `json:"advisories,omitempty"`
	Baselines  []life.Applies   `json:"baselines,omitempty"`
	Superseded string           `json:"superseded_by,omitempty"`
	Decision   policy.Decision  `json:"decision"`
}

func describeUpdate(e policy.Entry) listedUpdate {
	f := e.State.Facts()
	out := listedUpdate{
		Update: e.State.Update, State: e.Word(), Severity: f.Severity, Security: f.Security, Exploited: f.Exploited,
		Advisories: f.Advisories, Superseded: e.Superseded, Decision: e.Decision,
	}
	if e.State.Evaluation != nil {
		out.Baselines = e.State.Evaluation.Applies
	}
	return out
}

func listUpdates(ctx context.Context, env *environment, all bool) error {
	l, err := env.ledger(ctx)
	if err != nil {
		return err
	}
	d := updatesDocument{Mode: l.policy.Mode, Updates: []listedUpdate{}}
	for _, e := range l.queue() {
		if all || e.Pending() {
			d.Updates = append(d.Updates, describeUpdate(e))
		}
	}
	next := env.command("updates", "evaluate")
	if len(d.Updates) > 0 {
		next = env.command("updates", "show", d.Updates[0].Name)
	}
	return env.answer(d, func(w io.Writer) { writeUpdates(w, d, len(l.history.States)) }, next)
}

func writeUpdates(w io.Writer, d updatesDocument, known int) {
	if d.Mode != policy.Approved {
		fmt.Fprintln(w, "policy.mode is open: whoever locks a baseline approves what is locked")
	}
	if len(d.Updates) == 0 {
		fmt.Fprintf(w, "no update waits for anybody; %d are known\n", known)
		return
	}
	name := len("update")
	for _, u := range d.Updates {
		name = max(name, len(u.Update.String()))
	}
	name = min(name, 60)
	fmt.Fprintf(w, "%-*s  %-10s  %-9s  %-24s  %s\n", name, "update", "state", "severity", "for", "waits for")
	for _, u := range d.Updates {
		fmt.Fprintf(w, "%-*s  %-10s  %-9s  %-24s  %s\n", name, u.Update, u.State, severityWord(u), strings.Join(baselinesOf(u), " "), waitsFor(u, d.Mode))
	}
}

func severityWord(u listedUpdate) string {
	switch {
	case u.Exploited:
		return "EXPLOITED"
	case u.Severity != "":
		return string(u.Severity)
	case u.Security:
		return "security"
	}
	return "-"
}

func baselinesOf(u listedUpdate) []string {
	var names []string
	for _, a := range u.Baselines {
		if !slices.Contains(names, a.Baseline) {
			names = append(names, a.Baseline)
		}
	}
	return names
}

// waitsFor is whom an update waits for, in a few words.
func waitsFor(u listedUpdate, mode policy.Mode) string {
	d := u.Decision
	switch {
	case u.Superseded != "":
		return "nobody: " + u.Superseded + " is there"
	case d.Verdict == policy.Reject, d.Verdict == policy.Approve && d.Recorded:
		return "nobody"
	case d.Verdict == policy.Approve && mode == policy.Approved:
		return "its record: " + d.Why
	case d.Verdict == policy.OnHold && d.Until.IsZero():
		return "the end of the hold"
	case d.Verdict == policy.OnHold:
		return "the end of the hold, " + d.Until.Format(time.DateOnly)
	case u.State == "locked":
		return "nobody"
	}
	if mode != policy.Approved {
		return "whoever locks"
	}
	return strings.Join(d.For, " or ")
}

// verdictIn is what is decided on an update, and why, in words: with mode open locking
// approves it, whatever people would have to wait for otherwise.
func verdictIn(u listedUpdate, mode policy.Mode) (policy.Verdict, string) {
	d := u.Decision
	undecided := d.Verdict == policy.Wait || d.Verdict == policy.Approve && !d.Recorded
	if mode == policy.Approved || !undecided || u.State == "locked" {
		return d.Verdict, d.Why
	}
	if u.State == "failed" {
		return d.Verdict, d.Why + "; whoever locks it approves it all the same"
	}
	return d.Verdict, "whoever locks it approves it"
}
