package life

import (
	"cmp"
	"fmt"
	"time"

	"imgbuild/images/fault"
)

// Refuses says in words why a step is not possible in a state, or "". The state is
// nil for an update that there is no record of. A step that says again what was said
// is possible and changes nothing.
func Refuses(s *State, r *Record, by Signer) string {
	stage, rejected := StageUnknown, false
	if s != nil {
		stage, rejected = s.Stage, s.Rejection != nil
	}
	if by.Role != Approver && !pipelineMay(r) {
		return fmt.Sprintf("%s is a %s in the roster, and only an approver may have it %s", by.Name, by.Role, r.Action)
	}
	switch {
	case r.Action == Discovered:
		return ""
	case r.Action == Approved && (r.Rule == ByFirstLock || r.Rule == ByOpenLock):
		if rejected {
			return rejectedBy(s)
		}
		return "" // whoever locks has found it by locking
	case stage == StageUnknown:
		return "it is not discovered yet"
	case r.Action == Reopened:
		switch {
		case s.Rejection == nil && s.Hold == nil:
			return "it is neither held nor rejected, so there is nothing to reopen"
		case !s.Rejection.namedBy(r) && !s.Hold.namedBy(r):
			by := cmp.Or(s.Rejection, s.Hold)
			return fmt.Sprintf("what %s said was not known to who reopened it: %s", by.By.Name, by.Why)
		}
		return ""
	case rejected:
		return rejectedBy(s)
	}
	switch r.Action {
	case Trialled:
		if stage == StageDiscovered {
			return "it is not evaluated yet, so nothing is known to try it in"
		}
	case Approved:
		if stage == StageDiscovered {
			return "it is not evaluated yet, so there is nothing to decide by"
		}
		if s.HeldAt(r.When) {
			return fmt.Sprintf("%s holds it until %s: %s", s.Hold.By.Name, s.Hold.Until.Format(time.RFC3339), s.Hold.Why)
		}
		if r.Rule == ByPolicy && (s.Trial == nil || !s.Trial.Passed || s.Trial.ID != r.Basis.Trial) {
			return "no policy approves what has not passed its newest trial"
		}
		if baseline := s.FailsIn(); r.Rule == ByPolicy && baseline != "" {
			return "no policy approves what fails in a baseline, as in " + baseline
		}
	}
	return ""
}

// pipelineMay says which steps a machine may take.
func pipelineMay(r *Record) bool {
	switch r.Action {
	case Discovered, Evaluated, Trialled:
		return true
	case Approved:
		return r.Rule != ByPerson
	}
	return false
}

func rejectedBy(s *State) string {
	return fmt.Sprintf("%s rejected it: %s", s.Rejection.By.Name, s.Rejection.Why)
}

// CheckStep refuses a record of which some update is in no state for it, before it is
// signed. Whoever it counts as is given by by.
func CheckStep(h *History, r *Record, by Signer) error {
	for _, u := range r.Updates {
		why := Refuses(h.States[u.SHA256], r, by)
		if why == "" {
			continue
		}
		err := fault.Inputf("%s cannot be %s: %s", u, r.Action, why)
		if by.Role != Approver {
			return err.WithHint("decide with a key of your own: --approver-key FILE, or IMGBUILD_APPROVER_KEY")
		}
		if s := h.States[u.SHA256]; s != nil && (s.Rejection != nil || s.HeldAt(r.When)) {
			err = fault.Heldf("%s cannot be %s: %s", u, r.Action, why)
			return err.WithHint("if that no longer stands, an approver reopens it: imgbuild updates approve %s --reopen --why REASON", u.Name)
		}
		return err
	}
	return nil
}
