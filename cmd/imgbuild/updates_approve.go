package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/records"
)

// approveFlags are the flags of updates approve.
type approveFlags struct {
	why, who, locked string
	reopen           bool
}

func newUpdatesApproveCommand(env *environment) *cobra.Command {
	var f approveFlags
	cmd := &cobra.Command{
		Use:   "approve UPDATE... --why REASON",
		Short: "Approve updates, signed with your key",
		Long: `Record that you approve updates, signed with your key: approver-key, an SSH key or one
that an agent has, else the project's. Who may approve is told by approvers.yaml; an
approval by anybody else is refused here, and counts for nothing elsewhere. Where the
policy wants two people, the update then waits for the second.

UPDATE is a package's name, that of its source package for all that is built from it,
NAME=VERSION, or the beginning of a digest. One that means several versions of a
package, or packages of several vendors, is refused. With --locked, approve all that the lock of
a baseline has and nobody has approved, as after a change from mode open to approved.`,
		Example: `  imgbuild updates approve nginx --why 'fixes DSA-5678-1'
  imgbuild updates approve nginx=1.22.1-9 openssl --why 'tried' --approver-key ~/.ssh/id_ed25519
  imgbuild updates approve nginx --reopen --why 'upstream explained the crash'
  imgbuild updates approve --locked debian-12-nginx --why 'reviewed the lock'`,
		RunE: func(cmd *cobra.Command, args []string) error { return approveUpdates(cmd.Context(), env, args, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.why, "why", "", "`REASON`, which is part of the record")
	flags.StringVar(&f.who, "who", "", "`NAME` of who decides, in their own words (default: you, on this machine)")
	flags.StringVar(&f.locked, "locked", "", "approve what the lock of `BASELINE` has and is not approved")
	flags.BoolVar(&f.reopen, "reopen", false, "end a hold or a rejection before")
	return cmd
}

// decidedUpdates is the answer of updates approve and reject as JSON.
type decidedUpdates struct {
	Record  string         `json:"record,omitempty"`
	By      string         `json:"by"`
	Action  life.Action    `json:"action"`
	Updates []listedUpdate `json:"updates"`
}

func approveUpdates(ctx context.Context, env *environment, words []string, f approveFlags) error {
	if f.why == "" {
		return fault.Inputf("the reason is part of the record: add --why REASON")
	}
	if (len(words) == 0) == (f.locked == "") {
		return fault.Inputf("name the updates, or a baseline with --locked").WithHint("see: %s", env.command("updates", "list"))
	}
	l, err := env.ledger(ctx)
	if err != nil {
		return err
	}
	if f.locked != "" {
		return approveLocked(ctx, env, l, f)
	}
	chosen, err := l.choose(words)
	if err != nil {
		return err
	}
	r := life.Record{Action: life.Approved, Rule: life.ByPerson, Basis: basisOf(chosen)}
	return env.decide(ctx, l, r, chosen, f)
}

// choose finds the updates that words mean, each once.
func (l *ledger) choose(words []string) ([]*life.State, error) {
	var chosen []*life.State
	queue := l.queue()
	for _, word := range words {
		found, err := policy.Find(queue, word)
		if err == nil {
			err = policy.Clear(word, found)
		}
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if !slices.Contains(chosen, e.State) {
				chosen = append(chosen, e.State)
			}
		}
	}
	return chosen, nil
}

// basisOf is what a decision on updates stands on: their trial where it is one, and
// what they mend.
func basisOf(chosen []*life.State) life.Basis {
	var b life.Basis
	for i, s := range chosen {
		trial := ""
		if s.Trial != nil {
			trial = s.Trial.ID
		}
		if i == 0 {
			b.Trial = trial
		} else if b.Trial != trial {
			b.Trial = ""
		}
		b.Advisories = append(b.Advisories, s.Facts().Advisories...)
	}
	slices.Sort(b.Advisories)
	b.Advisories = slices.Compact(b.Advisories)
	return b
}

// decide signs and adds a record about some updates, and tells what they wait for now.
func (e *environment) decide(ctx context.Context, l *ledger, r life.Record, chosen []*life.State, f approveFlags) error {
	key, err := e.decider(l.project)
	if err != nil {
		return err
	}
	r.Who, r.Why = orMe(f.who), f.why
	for _, s := range chosen {
		r.Updates = append(r.Updates, s.Update)
	}
	if f.reopen {
		reopened := life.Record{Action: life.Reopened, Who: r.Who, Why: r.Why}
		for _, s := range chosen {
			if s.Rejection != nil || s.Hold != nil {
				reopened.Updates = append(reopened.Updates, s.Update)
			}
		}
		if len(reopened.Updates) == 0 {
			return fault.Inputf("%s is neither held nor rejected, so there is nothing to reopen", chosen[0].Update).WithHint("leave out --reopen")
		}
		digest, err := l.store.Add(ctx, reopened, key)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(chosen, func(s *life.State) bool { return s.Evaluation == nil }) {
			// Such as what a lock took before anybody looked at it: there is nothing to decide by.
			return e.tellDecided(ctx, l, digest, reopened)
		}
	}
	digest, err := l.store.Add(ctx, r, key)
	if err != nil {
		return err
	}
	if r.Action == life.Approved {
		if err := e.fetchApproved(ctx, chosen); err != nil {
			e.reporter().Note("the files are not in the archive, so that they can be locked only as long as a mirror has them: %v", err)
		}
	}
	return e.tellDecided(ctx, l, digest, r)
}

func (e *environment) tellDecided(ctx context.Context, before *ledger, digest string, r life.Record) error {
	l, err := e.ledgerOf(ctx, before.project)
	if err != nil {
		return err
	}
	d := decidedUpdates{Record: digest, Action: r.Action, Updates: []listedUpdate{}}
	for _, entry := range l.queue() {
		if slices.ContainsFunc(r.Updates, func(u life.Update) bool { return u.SHA256 == entry.State.Update.SHA256 }) {
			d.Updates = append(d.Updates, describeUpdate(entry))
			d.By = entry.State.History[len(entry.State.History)-1].By.Name
		}
	}
	next := e.command("updates", "list")
	if len(d.Updates) > 0 && d.Updates[0].Decision.Recorded && len(d.Updates[0].Baselines) > 0 {
		next = e.command("lock", d.Updates[0].Baselines[0].Baseline)
	}
	return e.answer(d, func(w io.Writer) {
		fmt.Fprintf(w, "%s by %s, record %s\n", d.Action, d.By, d.Record[:12])
		for _, u := range d.Updates {
			_, why := verdictIn(u, l.policy.Mode)
			fmt.Fprintf(w, "  %s: %s\n", u.Update, why)
		}
	}, next)
}

// approveLocked approves what a lock has, but what the user has approved before or as
// many people as the policy wants.
func approveLocked(ctx context.Context, env *environment, l *ledger, f approveFlags) error {
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	locks, err := w.locks([]string{f.locked})
	if err != nil {
		return err
	}
	key, err := env.decider(l.project)
	if err != nil {
		return err
	}
	id, err := key.KeyID()
	if err != nil {
		return err
	}
	by, _ := l.store.Roster.SignerOf(id, l.now)
	approved := func(s *life.State) bool {
		return s != nil && (len(s.People()) >= l.policy.Needs() || slices.Contains(s.People(), by.Name))
	}
	var chosen []*life.State
	known := map[string]bool{}
	for _, lock := range locks {
		for _, p := range lock.Packages {
			if known[p.SHA256] || p.Archive == "" || approved(l.history.States[p.SHA256]) {
				continue
			}
			known[p.SHA256] = true
			s := l.history.States[p.SHA256]
			if s == nil {
				s = &life.State{Update: life.OfPackage(p)}
			}
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fault.Inputf("all that the lock of %s has is approved by you, or by as many people as the policy wants", f.locked).WithHint("see: %s", env.command("updates", "list", "--all"))
	}
	if err := w.evaluateLocked(ctx, l, key, locks, chosen); err != nil {
		return err
	}
	r := life.Record{Action: life.Approved, Rule: life.ByPerson, Basis: life.Basis{Baseline: locks[0].Baseline, Architecture: locks[0].Architecture}}
	r.Basis.Lock = locks[0].Digest()
	return env.decide(ctx, l, r, chosen, f)
}

// evaluateLocked records of locked packages that nobody evaluated what they apply to.
func (w *workshop) evaluateLocked(ctx context.Context, l *ledger, key records.Key, locks []*updates.Lock, chosen []*life.State) error {
	discovered := life.Record{Action: life.Discovered, Who: orMe(""), Why: "a lock has it"}
	evaluated := life.Record{Action: life.Evaluated, Who: orMe(""), Why: "a lock has it"}
	for _, s := range chosen {
		if s.Evaluation != nil {
			continue
		}
		discovered.Updates = append(discovered.Updates, s.Update)
		evaluated.Updates = append(evaluated.Updates, s.Update)
		evaluated.Evaluations = append(evaluated.Evaluations, life.Evaluation{Applies: appliesTo(s.Update, locks)})
	}
	for _, r := range []life.Record{discovered, evaluated} {
		if len(r.Updates) == 0 {
			continue
		}
		if _, err := l.store.Add(ctx, r, key); err != nil {
			return err
		}
	}
	return nil
}

func appliesTo(u life.Update, locks []*updates.Lock) []life.Applies {
	var list []life.Applies
	for _, lock := range locks {
		applies := life.Applies{Baseline: lock.Baseline, Architecture: lock.Architecture, Has: u.Version, Why: "its lock has it"}
		for _, p := range lock.Packages {
			if p.SHA256 == u.SHA256 {
				applies.Sets = append(applies.Sets, string(p.Set))
			}
		}
		if len(applies.Sets) > 0 {
			list = append(list, applies)
		}
	}
	return list
}

// fetchApproved brings the files of approved updates into the archive: mirrors drop
// them when the next version comes.
func (e *environment) fetchApproved(ctx context.Context, chosen []*life.State) error {
	w, err := e.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	archive, err := w.openArchive()
	if err != nil {
		return err
	}
	used, err := archive.Use(ctx)
	if err != nil {
		return err
	}
	defer used.Close()
	type user struct{ baseline, architecture string }
	of := map[user][]updates.Package{}
	for _, s := range chosen {
		if s.Evaluation == nil || archive.HasSized(s.Update.SHA256, s.Update.Size) {
			continue
		}
		// Any baseline that it applies to knows where it is from.
		first := s.Evaluation.Applies[0]
		at := user{first.Baseline, first.Architecture}
		of[at] = append(of[at], s.Update.Package())
	}
	for at, packages := range of {
		recipe, err := w.recipe(ctx, at.baseline, at.architecture)
		if err != nil {
			return err
		}
		fetcher, err := w.fetcher(ctx, archive, recipe, &updates.Lock{})
		if err != nil {
			return err
		}
		if err := fetcher.All(ctx, packages); err != nil {
			return err
		}
	}
	return nil
}
