package policy

import (
	"time"

	"imgbuild/images/advisory/ecosystem/debversion"
	"imgbuild/images/updates/life"
)

// Wanted are the updates that a lock may still take: those on which somebody has yet to
// decide, and of those that are approved the latest for each baseline, and what is newer.
// A lock takes nothing else that it does not have.
func Wanted(h *life.History, p Policy, now time.Time) []*life.State {
	entries := Queue(h, p, nil, nil, now)
	latest := map[string]string{}
	approved := func(e Entry, visit func(key string)) {
		for _, a := range e.applies() {
			if p.lets(e.State, a.Baseline, now) {
				visit(key(e.State.Update.Name, a.Architecture, a.Baseline))
			}
		}
	}
	for _, e := range entries {
		approved(e, func(key string) {
			if v := latest[key]; v == "" || debversion.Compare(e.State.Update.Version, v) > 0 {
				latest[key] = e.State.Update.Version
			}
		})
	}
	var wanted []*life.State
	for _, e := range entries {
		keep := e.undecided()
		approved(e, func(key string) {
			keep = keep || debversion.Compare(e.State.Update.Version, latest[key]) == 0
		})
		if keep {
			wanted = append(wanted, e.State)
		}
	}
	return wanted
}

func (e Entry) applies() []life.Applies {
	if e.State.Evaluation == nil {
		return nil
	}
	return e.State.Evaluation.Applies
}

// undecided says that the update is on its way: it is the latest, nobody has rejected
// it, and not every lock that it is for has had it.
func (e Entry) undecided() bool {
	return e.State.Rejection == nil && e.Superseded == "" && !e.locked()
}

// lets says whether a lock of a baseline may take an update once nothing holds it any
// more.
func (p Policy) lets(s *life.State, baseline string, now time.Time) bool {
	free := *s
	free.Hold, p.Hold = nil, nil
	ok, _ := p.Lockable(&free, Facts{Facts: s.Facts()}, baseline, false, now)
	return ok
}
