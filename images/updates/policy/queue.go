package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/images/advisory/ecosystem/debversion"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// Entry is one update with what is to be done about it.
type Entry struct {
	State    *life.State
	Decision Decision
	// Superseded is the later version of the package that is known too, for the same
	// baselines; empty when this is the latest.
	Superseded string

	locks *Locks
}

// Locks are the versions that a project's locks have now.
type Locks struct{ versions map[string]string }

// LocksOf is what some locks have; of a package in several versions the oldest.
func LocksOf(locks ...*updates.Lock) *Locks {
	l := &Locks{versions: map[string]string{}}
	for _, lock := range locks {
		for _, p := range lock.Packages {
			k := key(p.Name, lock.Architecture, lock.Baseline)
			if v := l.versions[k]; v == "" || debversion.Compare(p.Version, v) < 0 {
				l.versions[k] = p.Version
			}
		}
	}
	return l
}

// older says whether a lock still has an older version of what was recorded as locked
// there. Whatever signed that record, the update waits.
func (l *Locks) older(u life.Update, a life.Applies) bool {
	if l == nil {
		return false
	}
	v := l.versions[key(u.Name, a.Architecture, a.Baseline)]
	return v != "" && debversion.Compare(v, u.Version) < 0
}

func key(name, architecture, baseline string) string {
	return strings.Join([]string{name, architecture, baseline}, "\x00")
}

// Pending says whether the update is one that somebody has to do something about.
func (e Entry) Pending() bool {
	return e.State.Evaluation != nil && e.Superseded == "" && e.Decision.Verdict != Reject &&
		!(e.Decision.Verdict == Approve && e.Decision.Recorded) && !e.locked()
}

// locked says that every baseline which the update applies to was locked with it while
// locking was approving, and has no older one now.
func (e Entry) locked() bool {
	if e.State.Evaluation == nil {
		return len(e.State.Approvals) > 0
	}
	for _, a := range e.State.Evaluation.Applies {
		if e.locks.older(e.State.Update, a) ||
			!slices.ContainsFunc(e.State.Approvals, func(b life.Approval) bool { return b.Baseline == a.Baseline }) {
			return false
		}
	}
	return true
}

// Queue judges every update that was evaluated, locked or decided on, the worst first:
// those that are exploited, by severity, then security updates, then by name. Without
// locks, which may be nil, what was locked is told by records alone.
func Queue(h *life.History, p Policy, approvers []string, locks *Locks, now time.Time) []Entry {
	var entries []Entry
	for _, s := range h.Sorted() {
		if s.Stage == life.StageUnknown {
			continue // nothing but what does not count
		}
		entries = append(entries, Entry{State: s, locks: locks, Decision: Decide(s, Facts{Facts: s.Facts(), Approvers: approvers}, p, now)})
	}
	supersede(entries)
	slices.SortStableFunc(entries, func(a, b Entry) int {
		f, g := a.State.Facts(), b.State.Facts()
		return cmp.Or(boolean(g.Exploited)-boolean(f.Exploited), rank(g.Severity)-rank(f.Severity), boolean(g.Security)-boolean(f.Security))
	})
	return entries
}

// supersede notes of each evaluated update the latest version of the same package for
// all of its baselines.
func supersede(entries []Entry) {
	latest := map[string]string{}
	each := func(visit func(e *Entry, keys []string)) {
		for i := range entries {
			e := &entries[i]
			if e.State.Evaluation == nil || e.State.Rejection != nil {
				continue
			}
			var keys []string
			for _, a := range e.State.Evaluation.Applies {
				keys = append(keys, key(e.State.Update.Name, a.Architecture, a.Baseline))
			}
			visit(e, keys)
		}
	}
	each(func(e *Entry, keys []string) {
		for _, k := range keys {
			if v := latest[k]; v == "" || debversion.Compare(e.State.Update.Version, v) > 0 {
				latest[k] = e.State.Update.Version
			}
		}
	})
	each(func(e *Entry, keys []string) {
		for _, k := range keys {
			if debversion.Compare(e.State.Update.Version, latest[k]) >= 0 {
				return
			}
		}
		e.Superseded = latest[keys[0]]
	})
}

// Find are the entries that a word means: NAME, NAME=VERSION or the beginning of a
// digest, where a name is that of a binary or a source package. By its name alone it
// is the latest that is known of a package: what was not rejected or locked already,
// where there is such.
func Find(entries []Entry, word string) ([]Entry, error) {
	name, version, exact := strings.Cut(word, "=")
	var found, others []Entry
	var names []string
	for _, e := range entries {
		u := e.State.Update
		names = append(names, u.Name)
		switch {
		case len(word) >= 8 && strings.HasPrefix(u.SHA256, word):
			found = append(found, e)
		case u.Name != name && u.Source != name:
		case exact && (u.Version == version || u.SourceVersion == version):
			found = append(found, e)
		default:
			others = append(others, e)
		}
	}
	if !exact {
		for _, will := range []func(Entry) bool{
			func(e Entry) bool { return e.State.Evaluation != nil && e.Decision.Verdict != Reject && !e.locked() },
			func(e Entry) bool { return e.Decision.Verdict == Reject },
			func(Entry) bool { return true },
		} {
			if len(found) > 0 {
				break
			}
			for _, e := range others {
				if e.Superseded == "" && will(e) {
					found = append(found, e)
				}
			}
		}
	}
	if len(found) > 1 && len(word) >= 8 && slices.ContainsFunc(found, func(e Entry) bool { return strings.HasPrefix(e.State.Update.SHA256, word) }) {
		return nil, fault.Inputf("%s means %d updates", word, len(found)).WithHint("give more of the digest, as imgbuild updates show has it")
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(others) > 0:
		return nil, fault.Inputf("there is no update of %s to %s; known are %s", name, version, versions(others)).WithHint("see: imgbuild updates list --all")
	}
	return nil, fault.Inputf("there is no update of %q%s", word, node.Suggest(name, slices.Compact(slices.Sorted(slices.Values(names))))).
		WithHint("see what is known: imgbuild updates list --all; look for new ones: imgbuild updates evaluate")
}

func versions(entries []Entry) string {
	var list []string
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%s (%s)", e.State.Update.Version, e.Word()))
	}
	return strings.Join(slices.Compact(list), ", ")
}

// Word is the state of an update in one word.
func (e Entry) Word() string {
	switch d := e.Decision; {
	case d.Verdict == Reject:
		return "rejected"
	case d.Verdict == Approve && d.Recorded:
		return "approved"
	case e.Superseded != "":
		return "superseded"
	case d.Verdict == OnHold:
		return "held"
	case e.locked():
		return "locked"
	case e.State.Trial != nil && !e.State.Trial.Passed:
		return "failed"
	}
	return string(e.State.Stage)
}

var severities = []control.Severity{"", control.Low, control.Medium, control.High, control.Critical}

func rank(s control.Severity) int { return slices.Index(severities, s) }

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
