package life

import (
	"fmt"
	"slices"
	"time"

	"imgbuild/images/control"
)

// Check finds the first thing that no record may say.
func (r *Record) Check() error {
	switch {
	case r.Format != RecordFormat:
		return fmt.Errorf("format %d is not the known format %d", r.Format, RecordFormat)
	case !slices.Contains(actions, r.Action):
		return fmt.Errorf("%.40q is no action", r.Action)
	case len(r.Updates) == 0 || len(r.Updates) > maxUpdates:
		return fmt.Errorf("it is about %d updates, expected 1 to %d", len(r.Updates), maxUpdates)
	case r.Who == "":
		return fmt.Errorf("it does not say who made it")
	case r.Why == "":
		return fmt.Errorf("it does not say why")
	case !wholeSeconds(r.When):
		return fmt.Errorf("%s is no time in UTC and whole seconds", r.When)
	case len(r.After) > MaxAfter:
		return fmt.Errorf("it names %d records as known, the limit is %d", len(r.After), MaxAfter)
	}
	for what, s := range map[string]string{"who": r.Who, "why": r.Why, "the policy": r.Basis.Policy} {
		if err := text(what, s); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, u := range r.Updates {
		if err := u.Check(); err != nil {
			return fmt.Errorf("update %.80q: %w", u.Name, err)
		}
		if seen[u.SHA256] {
			return fmt.Errorf("update %s is named twice", u)
		}
		seen[u.SHA256] = true
	}
	for _, digest := range r.After {
		if !digestForm.MatchString(digest) {
			return fmt.Errorf("%.80q is no record's digest", digest)
		}
	}
	if err := r.Basis.check(); err != nil {
		return err
	}
	return r.checkAction()
}

// checkAction refuses what belongs to another action, and what is missing of this
// one.
func (r *Record) checkAction() error {
	switch {
	case len(r.Evaluations) > 0 != (r.Action == Evaluated):
		return fmt.Errorf("what is known of updates is told by evaluations, and by all of them")
	case r.Trial != nil != (r.Action == Trialled):
		return fmt.Errorf("what a trial found is told by records of trials, and by all of them")
	case r.Rule != "" != (r.Action == Approved):
		return fmt.Errorf("approvals, and only they, say by what rule")
	case !r.Until.IsZero() != (r.Action == Held):
		return fmt.Errorf("holds, and only they, say until when")
	}
	switch r.Action {
	case Evaluated:
		return r.checkEvaluations()
	case Trialled:
		if err := r.Trial.Check(); err != nil {
			return fmt.Errorf("trial: %w", err)
		}
	case Approved:
		if !slices.Contains(rules, r.Rule) {
			return fmt.Errorf("%.40q is no rule to approve by", r.Rule)
		}
		byLock := r.Rule == ByFirstLock || r.Rule == ByOpenLock
		if byLock && r.Basis.Lock == "" || (r.Basis.Lock == "") != (r.Basis.Baseline == "" || r.Basis.Architecture == "") {
			return fmt.Errorf("who approves by locking names the lock and its baseline")
		}
		if byLock {
			for _, u := range r.Updates {
				if u.Architecture != r.Basis.Architecture && u.Architecture != "all" {
					return fmt.Errorf("no lock for %s has %s", r.Basis.Architecture, u)
				}
			}
		}
		if r.Rule == ByPolicy && (r.Basis.Trial == "" || r.Basis.Policy == "") {
			return fmt.Errorf("what the policy approves names its trial and the rule")
		}
	case Held:
		if !wholeSeconds(r.Until) || !r.Until.After(r.When) {
			return fmt.Errorf("a hold until %s that begins %s is none", r.Until, r.When)
		}
	}
	return nil
}

func (r *Record) checkEvaluations() error {
	if len(r.Evaluations) != len(r.Updates) {
		return fmt.Errorf("it has %d evaluations of %d updates", len(r.Evaluations), len(r.Updates))
	}
	for i := range r.Evaluations {
		if err := r.Evaluations[i].check(); err != nil {
			return fmt.Errorf("evaluation of %s: %w", r.Updates[i], err)
		}
	}
	return nil
}

func (e *Evaluation) check() error {
	if len(e.Applies) == 0 || len(e.Applies) > maxList {
		return fmt.Errorf("it names %d baselines, expected 1 to %d", len(e.Applies), maxList)
	}
	for _, a := range e.Applies {
		if !isWord(a.Baseline, 128) || !isWord(a.Architecture, 40) || a.Has != "" && !isWord(a.Has, 500) {
			return fmt.Errorf("baseline %.80q for %.40q with version %.80q cannot be", a.Baseline, a.Architecture, a.Has)
		}
		if err := text("why it applies", a.Why); err != nil {
			return err
		}
		if len(a.Sets) > 8 || slices.ContainsFunc(a.Sets, func(s string) bool { return !isWord(s, 40) }) {
			return fmt.Errorf("sets %.80q cannot be", a.Sets)
		}
	}
	if s := e.Facts.Severity; s != "" && !isSeverity(s) {
		return fmt.Errorf("%.40q is no severity", s)
	}
	return checkIDs(e.Facts.Advisories)
}

func (b Basis) check() error {
	if b.Trial != "" && !digestForm.MatchString(b.Trial) {
		return fmt.Errorf("%.80q is no trial's id", b.Trial)
	}
	if b.Lock != "" && !digestForm.MatchString(b.Lock) {
		return fmt.Errorf("%.80q is no lock's digest", b.Lock)
	}
	if b.Baseline != "" && !isWord(b.Baseline, 128) || b.Architecture != "" && !isWord(b.Architecture, 40) {
		return fmt.Errorf("%.80q for %.40q is no baseline", b.Baseline, b.Architecture)
	}
	return checkIDs(b.Advisories)
}

func checkIDs(ids []string) error {
	if len(ids) > maxList {
		return fmt.Errorf("it names %d advisories, the limit is %d", len(ids), maxList)
	}
	for _, id := range ids {
		if !isWord(id, 200) {
			return fmt.Errorf("%.80q is no id of an advisory", id)
		}
	}
	return nil
}

func isSeverity(s control.Severity) bool {
	return slices.Contains([]control.Severity{control.Low, control.Medium, control.High, control.Critical}, s)
}

func isWord(s string, most int) bool { return len(s) <= most && wordForm.MatchString(s) }

func wholeSeconds(t time.Time) bool {
	return !t.IsZero() && t.Equal(t.Truncate(time.Second)) && t.Location() == time.UTC
}
