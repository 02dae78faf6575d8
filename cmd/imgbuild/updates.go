package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/records"
)

func newUpdatesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "updates",
		Short: "Follow updates from their discovery to approval, and keep their archive",
		Long: `An update is one package in one version, of one file. It is discovered in a
repository, evaluated (which baselines it applies to, and why), tried in a trial, and
then approved or rejected. Each step is a signed record in the archive that says who
made it, when, why and by what.

With "policy: {mode: approved}" in imgbuild.yaml, lock takes what is approved and
nothing else; with mode open, whoever locks a baseline approves what is locked.
Without a further word, list what waits for whom.`,
		Example: "  imgbuild updates\n  imgbuild updates evaluate\n  imgbuild updates approve nginx --why 'fixes DSA-5678-1'",
		Args:    noWord,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listUpdates(cmd.Context(), env, false) },
	}
	// One line a command: those who add one add a line.
	cmd.AddCommand(updatesCommands(env)...)
	return cmd
}

// updatesCommands are the commands below updates, in the order in which an update
// meets them, and then those of the archive as a whole.
func updatesCommands(env *environment) []*cobra.Command {
	return []*cobra.Command{
		newUpdatesListCommand(env),
		newUpdatesShowCommand(env),
		newUpdatesEvaluateCommand(env),
		newUpdatesTrialCommand(env),
		newUpdatesApproveCommand(env),
		newUpdatesRejectCommand(env),
		newUpdatesRosterCommand(env),
		newUpdatesVerifyCommand(env),
		newUpdatesGCCommand(env),
		newUpdatesExportCommand(env),
		newUpdatesImportCommand(env),
		newUpdatesServeCommand(env),
		newUpdatesPublishCommand(env),
	}
}

// ledger is the records of updates with what they come to.
type ledger struct {
	project *project.Project
	store   *records.Store
	history *life.History
	policy  policy.Policy
	// approvers are those who may approve now.
	approvers []string
	now       time.Time
}

// ledger reads the records of the archive, and says which count for nothing.
func (e *environment) ledger(ctx context.Context) (*ledger, error) {
	p, err := e.project()
	if err != nil {
		return nil, err
	}
	return e.ledgerOf(ctx, p)
}

func (e *environment) ledgerOf(ctx context.Context, p *project.Project) (*ledger, error) {
	store, err := p.Records()
	if err != nil {
		return nil, err
	}
	read := store.History
	if p.Config.Policy.Policy.Mode != policy.Approved {
		read = store.OwnHistory // nobody's approval is asked for
	}
	history, err := read(ctx)
	if err != nil {
		return nil, err
	}
	e.noteDisregarded(history)
	now := time.Now().UTC()
	return &ledger{
		project: p, store: store, history: history, policy: p.Config.Policy.Policy, approvers: store.Roster.Approvers(now), now: now,
	}, nil
}

// queue is what is known of all updates. Where locks cannot be read, what was locked is
// told by records alone.
func (l *ledger) queue() []policy.Entry {
	var now *policy.Locks
	if named, err := l.project.Locks(); err == nil {
		var locks []*updates.Lock
		for _, lock := range named {
			locks = append(locks, lock.Lock)
		}
		now = policy.LocksOf(locks...)
	}
	return policy.Queue(l.history, l.policy, l.approvers, now, l.now)
}

// disregardedShown is how many records that count for nothing are told of.
const disregardedShown = 3

func (e *environment) noteDisregarded(h *life.History) {
	strangers, shown := 0, 0
	for _, r := range h.Disregarded {
		switch {
		case r.Stranger:
			strangers++
		case shown < disregardedShown:
			e.noteOnce("record %s (%s, by %s in their own words) counts for nothing: %s", r.Digest[:12], r.Record.Action, r.Record.Who, r.Void)
			shown++
		default:
			shown++
		}
	}
	if shown > disregardedShown {
		e.noteOnce("and %d more records count for nothing", shown-disregardedShown)
	}
	if strangers > 0 {
		e.noteOnce("%d records are by keys of nobody in the roster, and count for nothing; updates show tells of them", strangers)
	}
}

// noteOnce makes a note that was not made before: many steps of one command read the
// records.
func (e *environment) noteOnce(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if _, again := e.noted.LoadOrStore(note, true); !again {
		e.reporter().Note("%s", note)
	}
}

// decider opens the key that its user decides with.
func (e *environment) decider(p *project.Project) (records.Key, error) {
	key, made, err := p.ApproverKey(e.ask())
	if err != nil {
		return nil, err
	}
	if made != nil {
		e.reporter().Note("made a signing key for you in %s; its password is in %s", made.Dir, made.PasswordFile)
	}
	return key, nil
}
