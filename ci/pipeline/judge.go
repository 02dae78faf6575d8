package pipeline

import (
	"context"
	"slices"

	"imgbuild/images/baseline"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// Judged is an update with what the policy says of it after its trial.
type Judged struct {
	life.Update
	Decision policy.Decision `json:"decision"`
}

// Judge says what the policy has to say of updates as they are recorded now, by the trial
// that they had in the recipe's own baseline and architecture: what another one's came to
// counts as the policy says, and not as this one's.
func (b *Bench) Judge(ctx context.Context, recipe *baseline.Recipe, list []life.Update) ([]Judged, error) {
	history, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	return b.judge(list, func(sha256 string) *life.State { return inBaseline(history.States[sha256], recipe) }), nil
}

// locked says of updates whether the recipe's lock may take them now, and what those wait
// for that it may not.
func (b *Bench) locked(ctx context.Context, recipe *baseline.Recipe, list []life.Update) ([]Judged, error) {
	judged, err := b.Judge(ctx, recipe, list)
	if err != nil || b.Policy.Mode != policy.Approved {
		return judged, err // where locking is approving, nothing else has to be recorded
	}
	history, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	for i, j := range judged {
		s, facts := inBaseline(history.States[j.SHA256], recipe), policy.Facts{Approvers: b.approvers()}
		if s != nil {
			facts.Facts = s.Facts()
		}
		_, judged[i].Decision = b.Policy.Lockable(s, facts, recipe.Name, false, b.Now())
	}
	return judged, nil
}

func (b *Bench) judge(list []life.Update, state func(sha256 string) *life.State) []Judged {
	judged := []Judged{}
	for _, u := range list {
		s, facts := state(u.SHA256), policy.Facts{Approvers: b.approvers()}
		if s != nil {
			facts.Facts = s.Facts()
		}
		judged = append(judged, Judged{u, policy.Decide(s, facts, b.Policy, b.Now())})
	}
	return judged
}

// inBaseline is a state as a baseline sees it for its architecture: its newest trial is
// the one that was there. Nil stays nil.
func inBaseline(s *life.State, recipe *baseline.Recipe) *life.State {
	if s == nil {
		return nil
	}
	own := *s
	own.Trial = nil
	at := slices.IndexFunc(s.Trials, func(t *life.Trial) bool { return t.Baseline == recipe.Name && t.Architecture == recipe.Architecture })
	if at >= 0 {
		own.Trial = s.Trials[at]
	}
	return &own
}

// triedBefore says whether a trial says nothing new of an update in a baseline and
// architecture: it is recorded, and the newest there came out alike. Trials of others, and
// of other candidates with it, come and go between.
func triedBefore(s *life.State, recipe *baseline.Recipe, tried *Tried) bool {
	own := inBaseline(s, recipe).Trial
	return own != nil && own.Passed == tried.Passed && slices.ContainsFunc(s.History, func(step life.Step) bool {
		return step.Action == life.Trialled && step.Basis.Trial == tried.ID
	})
}
