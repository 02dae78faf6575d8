package pipeline

import (
	"fmt"
	"slices"

	"imgbuild/images/updates/policy"
)

// State is how the rebuilding of a baseline came out.
type State string

// The states, from the one that needs somebody most.
const (
	// Suspended was not tried: it failed too often in a row.
	Suspended State = "suspended"
	// Broken could not be done; nothing is known of the updates by that.
	Broken State = "broken"
	// Refused is that its trial or the gates say no.
	Refused State = "refused"
	// Unexplained is that the image of its lock has what the lock does not say, so that
	// nothing can be moved for it.
	Unexplained State = "unexplained"
	// Held is that updates wait for somebody; what did not have to was rebuilt.
	Held State = "held"
	// Rebuilt is that there is a new version, or that an earlier run's was offered.
	Rebuilt State = "rebuilt"
	// Unchanged is that nothing that may be taken is newer.
	Unchanged State = "unchanged"
	// Elsewhere is that this machine cannot do it, and one of its architecture has to.
	Elsewhere State = "elsewhere"
)

func (s State) failed() bool { return s == Broken || s == Refused }

// Outcome is how one job came out.
type Outcome struct {
	Baseline     string   `json:"baseline"`
	Architecture string   `json:"architecture"`
	For          []string `json:"for,omitempty"`
	// Newer is what a suite of security updates has newer than its lock.
	Newer []Signal `json:"newer,omitempty"`
	Why   string   `json:"why"`
	State State    `json:"state"`
	// Reason says in words why it is not rebuilt, or not wholly.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Trial is that of the candidate, and Updates what the policy says of each update.
	Trial   *Tried   `json:"trial,omitempty"`
	Updates []Judged `json:"updates,omitempty"`
	// Locked says that the lock was written.
	Locked  bool     `json:"locked,omitempty"`
	Offered *Offered `json:"offered,omitempty"`
	// Failures are those in a row, this one included; Outages are those of what is around
	// it, such as a mirror or a disk, which suspend nothing.
	Failures int `json:"failures,omitempty"`
	Outages  int `json:"outages,omitempty"`

	// again says that it is refused for nothing but what an earlier run has left out.
	again bool
}

// follow notes which parents have no new version: what was baked is then on their old one,
// or on none that the catalog knows.
func (o *Outcome) follow(parents []*Outcome) {
	for _, p := range parents {
		if p == nil || !p.State.failed() && p.State != Suspended && p.State != Elsewhere {
			continue
		}
		o.note(fmt.Sprintf("its parent %s is %s, so that it is not on a new version of that", p.Baseline, p.State))
	}
}

// note adds to the reason.
func (o *Outcome) note(why string) {
	if o.Reason != "" {
		why = o.Reason + "; " + why
	}
	o.Reason = why
}

// stays says why there is nothing to bake: the catalog has the image of the lock.
func (o *Outcome) stays(job Job, entry *OpenEntry, digest string) {
	unsaid := slices.IndexFunc(job.Having, func(h Having) bool { return h.Digest == digest })
	switch {
	case o.State != "":
	case len(entry.Packages) > 0:
		o.State = Unchanged
		if o.Reason == "" {
			o.Reason = "its repositories have nothing newer that may be taken"
		}
	case unsaid >= 0:
		h := job.Having[unsaid]
		o.State = Unexplained
		o.Reason = fmt.Sprintf("%s was baked from its lock and has %s, and its lock has no package with that: nothing can be moved for it", h.Image, h.Vulnerability)
		o.Hint = "see which package has it: imgbuild advisories show " + h.Vulnerability
	default:
		o.State, o.Reason = Unchanged, "the catalog has the image of its lock, which is without it; where an older one is used, promote it"
	}
}

// left notes what is kept out of a candidate. What is held waits for somebody; what a
// person rejected is decided, and said.
func (o *Outcome) left(list []Judged) {
	var reasons []string
	for _, j := range list {
		reasons = append(reasons, j.Update.String()+": "+j.Decision.Why)
		if j.Decision.Verdict == policy.OnHold {
			o.State, o.Hint = Held, hintOfList
		}
	}
	o.Reason = few(reasons)
}

// hintOfList is where it is told what waits for whom.
const hintOfList = "see for whom: imgbuild updates list"

// wait notes what of a candidate may not be locked yet. What was refused is more urgent.
func (o *Outcome) wait() {
	var waiting []string
	for _, u := range o.Updates {
		if u.Decision.Verdict != policy.Approve {
			waiting = append(waiting, u.Update.String()+": "+u.Decision.Why)
		}
	}
	if len(waiting) == 0 {
		return
	}
	if o.Reason != "" {
		waiting = append([]string{o.Reason}, waiting...)
	}
	if o.Reason = few(waiting); o.State != Refused {
		o.State, o.Hint = Held, hintOfList
	}
}

func (o *Offered) why() string {
	list := slices.Clone(o.Failed)
	for _, r := range o.Refusals {
		list = append(list, "gate "+r.Gate+": "+r.Why)
	}
	return few(list)
}

// few are the first of some reasons, and how many more there are.
func few(list []string) string {
	text := ""
	for i, s := range list {
		if i == shown {
			return text + fmt.Sprintf("; and %d more", len(list)-i)
		}
		if i > 0 {
			text += "; "
		}
		text += s
	}
	return text
}
