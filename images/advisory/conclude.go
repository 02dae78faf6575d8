package advisory

import (
	"slices"
	"strings"

	"imgbuild/images/advisory/ecosystem"
)

// conclude makes one finding of all evidence of one vulnerability in a subject.
//
// A statement that the version is not affected counts most. Else the package
// has the vulnerability as soon as one record says so. What the distributor
// decided about it is looked at only where no version is without it: once there
// is a fix it is there to be taken. What it calls unimportant stays so.
func (m *matcher) conclude(s *subject, all []evidence) (Finding, error) {
	v, err := m.index.vulnerability(all[0].vulnerability)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{
		Vulnerability: v.id, Aliases: v.names, Release: s.release, Package: s.name, Version: s.version, Binaries: s.binaries, Severity: v.severity,
	}
	own := Finding{}.Severity
	for _, e := range all {
		own = Worse(own, e.severity)
		if f.Urgency == "" && e.urgency != "" && e.urgency != unassigned {
			f.Urgency = e.urgency
		}
	}
	if own != "" {
		f.Severity = own
	}
	if f.Severity == "" {
		f.Severity = SeverityOfWord(f.Urgency)
	}
	c := conclusion{matcher: m, all: all, finding: &f}
	return f, c.decide()
}

// unassigned is Debian's urgency of what nobody has thought about yet.
const unassigned = "not yet assigned"

type conclusion struct {
	*matcher
	all     []evidence
	finding *Finding
}

// where are the pieces of evidence that a condition holds of.
func (c *conclusion) where(holds func(*judgement) bool) []evidence {
	var list []evidence
	for _, e := range c.all {
		if holds(e.judgement) {
			list = append(list, e)
		}
	}
	return list
}

func (c *conclusion) decide() error {
	denied := c.where(func(j *judgement) bool { return j.status == StatusNotAffected && j.applies })
	if len(denied) > 0 {
		return c.say(StateNotAffected, denied, because("its source says that it is not affected", denied))
	}
	if has := c.where(func(j *judgement) bool { return j.status == StatusAffected && j.applies }); len(has) > 0 {
		return c.affected(has)
	}
	if unread := c.where(func(j *judgement) bool { return j.unreadable != "" }); len(unread) > 0 {
		return c.say(StateUndetermined, unread, `the version "`+unread[0].unreadable+`" of the advisory cannot be read`)
	}
	if open := c.where(func(j *judgement) bool { return j.status == StatusUndetermined && j.applies }); len(open) > 0 {
		return c.say(StateUndetermined, open, because("its source has not determined yet whether it is affected", open))
	}
	return c.free()
}

// affected concludes from the evidence that has it.
func (c *conclusion) affected(has []evidence) error {
	reason := "no version of " + c.finding.Release + " is without it"
	var fixes []evidence
	for _, e := range has {
		if e.fix == "" {
			continue
		}
		// All records must say that it is gone, so the last fix counts. Places of
		// two packages do not compare, but then the names are those of one source.
		if len(fixes) == 0 || e.fixAt > fixes[0].fixAt {
			fixes = fixes[:0]
		}
		if len(fixes) == 0 || e.fixAt == fixes[0].fixAt {
			fixes = append(fixes, e)
		}
	}
	taken := has
	if len(fixes) > 0 {
		taken = fixes
		c.finding.Fixed = fixes[0].fix
		reason = "fixed in " + c.finding.Fixed
		if !slices.ContainsFunc(fixes, func(e evidence) bool { return !ecosystem.ForSubscribers(e.ecosystem) }) {
			reason += ", for subscribers of Ubuntu Pro"
		}
	}
	disposition, decided := FixExpected, []evidence(nil)
	for _, d := range dispositions {
		if list := c.where(func(j *judgement) bool { return j.disposition == d && d != FixExpected }); len(list) > 0 {
			disposition, decided = d, list
		}
	}
	switch {
	case disposition == Unimportant:
		return c.say(StateUnimportant, decided, because("its distributor calls it unimportant", decided))
	case len(fixes) > 0:
		return c.say(StateAffected, taken, reason)
	case disposition == NoDSA:
		return c.say(StateNoDSA, decided, because("no advisory is planned for it", decided))
	case disposition == Postponed:
		return c.say(StateNoDSA, decided, because("it is to be fixed with a later advisory", decided))
	case disposition == Ignored:
		return c.say(StateIgnored, decided, because("it will not be fixed in this release", decided))
	case disposition == EndOfLife:
		return c.say(StateAffected, decided, because("no fix: the package is not supported in this release any more", decided))
	}
	return c.say(StateAffected, taken, reason)
}

// free concludes where no record has it.
func (c *conclusion) free() error {
	var at uint32
	var fixes []evidence
	for _, e := range c.all {
		if e.fixedAt > at {
			at, fixes = e.fixedAt, fixes[:0]
		}
		if e.fixedAt == at && at > 0 {
			fixes = append(fixes, e)
		}
	}
	if len(fixes) > 0 {
		if fixes[0].fixed == "0" {
			return c.say(StateNotAffected, fixes, "no version of "+c.finding.Release+" ever had it")
		}
		c.finding.Fixed = fixes[0].fixed
		return c.say(StateFixed, fixes, "fixed in "+fixes[0].fixed)
	}
	e := c.all[0]
	switch {
	case e.last != "":
		return c.say(StateFixed, c.all, "the last version that has it is "+e.last)
	case e.next != "":
		return c.say(StateNotAffected, c.all, "the first version that has it is "+e.next)
	}
	return c.say(StateNotAffected, c.all, "it is not among the versions that have it")
}

// because adds the first note of the evidence to what is said.
func because(what string, list []evidence) string {
	for _, e := range list {
		if e.note != "" {
			return what + ": " + e.note
		}
	}
	return what
}

// say ends a finding. The ids of a distributor's own advisories come first, and
// are named with what they fix.
func (c *conclusion) say(state State, from []evidence, reason string) error {
	f := c.finding
	var others []string
	for _, e := range from {
		r, err := c.record(e.record)
		if err != nil {
			return err
		}
		list := &others
		if r.ofDistributor {
			list = &f.Advisories
		}
		if !slices.Contains(*list, r.id) {
			*list = append(*list, r.id)
		}
	}
	if len(f.Advisories) > 0 && f.Fixed != "" {
		reason += " (" + strings.Join(f.Advisories[:min(3, len(f.Advisories))], ", ") + ")"
	}
	f.Advisories = append(f.Advisories, others...)
	f.State, f.Reason = state, reason
	return nil
}
