package advisory

import (
	"cmp"
	"slices"
	"strings"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/control"
)

// unassigned is Debian's urgency of what nobody has thought about yet.
const unassigned = "not yet assigned"

// conclusion makes one finding of all that is said of one vulnerability in a
// subject.
//
// A statement that the version is not affected counts most; that of an advisory about
// many, which is for all of them and was true when it was made, only where no record
// about the vulnerability itself says otherwise. Else the package
// has the vulnerability as soon as one record says so. What the distributor
// decided about it is looked at only where no version is without it: once there
// is a fix it is there to be taken. What it calls unimportant stays so.
type conclusion struct {
	*desk
	Finding
	// all is what is said; has is the part that has it.
	all, has []*judgement
}

func (d *desk) conclude(s *subject, number uint32, all []*judgement) (Finding, error) {
	v, err := d.index.vulnerability(number)
	if err != nil {
		return Finding{}, err
	}
	c := conclusion{desk: d, all: all, Finding: Finding{
		Vulnerability: v.id, Aliases: v.names, Release: s.release, Package: s.name, Version: s.version, Severity: v.severity,
	}}
	// A rating for the package itself goes before that of the vulnerability, but where
	// one record gives none, it means that of the vulnerability.
	var own control.Severity
	for _, j := range all {
		if j.applies {
			own = Worse(own, cmp.Or(j.severity, v.severity))
		}
		if j.urgency != unassigned && (c.Urgency == "" || Worse(SeverityOfWord(c.Urgency), SeverityOfWord(j.urgency)) != SeverityOfWord(c.Urgency)) {
			c.Urgency = j.urgency
		}
	}
	if own != "" {
		c.Severity = own
	}
	if c.Severity == "" {
		c.Severity = SeverityOfWord(c.Urgency)
	}
	err = c.decide()
	return c.Finding, err
}

// where are those of what is said that a condition holds of.
func (c *conclusion) where(holds func(*judgement) bool) []*judgement {
	if len(c.all) == 1 && holds(c.all[0]) {
		return c.all
	}
	var list []*judgement
	for _, j := range c.all {
		if holds(j) {
			list = append(list, j)
		}
	}
	return list
}

func (c *conclusion) decide() error {
	var denied, unread, open bool
	for _, j := range c.all {
		denied = denied || j.status == StatusNotAffected && j.applies
		unread = unread || j.unreadable != ""
		open = open || j.status == StatusUndetermined && j.applies
	}
	c.has = c.where(func(j *judgement) bool { return j.status == StatusAffected && j.applies })
	if denied && len(c.has) > 0 {
		var err error
		if denied, err = c.deniedByItsOwn(); err != nil {
			return err
		}
	}
	switch {
	case denied:
		from := c.where(func(j *judgement) bool { return j.status == StatusNotAffected && j.applies })
		return c.say(StateNotAffected, from, because("its source says that it is not affected", from))
	case len(c.has) > 0:
		return c.affected()
	case unread:
		from := c.where(func(j *judgement) bool { return j.unreadable != "" })
		return c.say(StateUndetermined, from, `the version "`+from[0].unreadable+`" of the advisory cannot be read`)
	case open:
		from := c.where(func(j *judgement) bool { return j.status == StatusUndetermined && j.applies })
		return c.say(StateUndetermined, from, because("its source has not determined yet whether it is affected", from))
	}
	return c.free()
}

// deniedByItsOwn tells, where a record has it and another denies that, whether the one
// that counts denies it.
func (c *conclusion) deniedByItsOwn() (bool, error) {
	var own, others bool // a record about the vulnerability denies it; one has it
	for _, j := range c.all {
		if !j.applies || j.status != StatusNotAffected && j.status != StatusAffected {
			continue
		}
		id, ofDistributor, err := c.about(j)
		if err != nil {
			return false, err
		}
		itself := !ofDistributor || id == c.Vulnerability || slices.Contains(c.Aliases, id)
		own = own || itself && j.status == StatusNotAffected
		others = others || itself && j.status == StatusAffected
	}
	return own || !others, nil
}

// about is the id of the record that a judgement is taken from, and whether it is a
// distributor's advisory, which is about vulnerabilities that others name.
func (c *conclusion) about(j *judgement) (id string, ofDistributor bool, err error) {
	part := c.index.records.part(int(j.record))
	id = part.text()
	part.number()
	ofDistributor = part.byte() == 1
	if part.failed {
		return "", false, errIndex
	}
	return id, ofDistributor, nil
}

// affected concludes where a record has it.
func (c *conclusion) affected() error {
	// All records must say that it is gone, so the last fix counts. Places of
	// two packages do not compare, but then they are of one source.
	var last uint32
	for _, j := range c.has {
		last = max(last, j.fixAt)
	}
	var fixes []*judgement
	if last > 0 {
		fixes = c.where(func(j *judgement) bool { return j.status == StatusAffected && j.applies && j.fixAt == last })
		c.Fixed = fixes[0].fix
	}
	disposition := FixExpected
	for _, j := range c.all {
		if slices.Index(dispositions, j.disposition) > slices.Index(dispositions, disposition) {
			disposition = j.disposition
		}
	}
	decided := func(state State, reason string) error {
		from := c.where(func(j *judgement) bool { return j.disposition == disposition })
		return c.say(state, from, because(reason, from))
	}
	switch {
	case disposition == Unimportant:
		return decided(StateUnimportant, "its distributor calls it unimportant")
	case len(fixes) > 0:
		reason := "fixed in " + c.Fixed
		if !slices.ContainsFunc(fixes, func(j *judgement) bool { return !ecosystem.ForSubscribers(j.ecosystem) }) {
			reason += ", for subscribers of Ubuntu Pro"
		}
		return c.say(StateAffected, fixes, reason)
	case disposition == NoDSA:
		return decided(StateNoDSA, "no advisory is planned for it")
	case disposition == Postponed:
		return decided(StateNoDSA, "it is to be fixed with a later advisory")
	case disposition == Ignored:
		return decided(StateIgnored, "it will not be fixed in this release")
	case disposition == EndOfLife:
		return decided(StateAffected, "no fix: the package is not supported in this release any more")
	}
	return c.say(StateAffected, c.has, "no version of "+c.Release+" is without it")
}

// free concludes where no record has it.
func (c *conclusion) free() error {
	var last uint32
	for _, j := range c.all {
		last = max(last, j.fixedAt)
	}
	if last > 0 {
		fixes := c.where(func(j *judgement) bool { return j.fixedAt == last })
		if fixes[0].fixed == "0" {
			return c.say(StateNotAffected, fixes, "no version of "+c.Release+" ever had it")
		}
		c.Fixed = fixes[0].fixed
		return c.say(StateFixed, fixes, "fixed in "+c.Fixed)
	}
	for _, j := range c.all {
		switch {
		case j.last != "":
			return c.say(StateFixed, c.all, "the last version that has it is "+j.last)
		case j.next != "":
			return c.say(StateNotAffected, c.all, "the first version that has it is "+j.next)
		}
	}
	return c.say(StateNotAffected, c.all, "it is not among the versions that have it")
}

// because adds the first note to what is said.
func because(what string, from []*judgement) string {
	for _, j := range from {
		if j.note != "" {
			return what + ": " + j.note
		}
	}
	return what
}

// say ends the finding. The ids of a distributor's own advisories come first,
// and are named with what they fix.
func (c *conclusion) say(state State, from []*judgement, reason string) error {
	c.Advisories = make([]string, 0, len(from))
	distributors := 0
	for _, j := range from {
		id, ofDistributor, err := c.about(j)
		if err != nil {
			return err
		}
		switch {
		case slices.Contains(c.Advisories, id):
		case ofDistributor:
			c.Advisories = slices.Insert(c.Advisories, distributors, id)
			distributors++
		default:
			c.Advisories = append(c.Advisories, id)
		}
	}
	if distributors > 0 && c.Fixed != "" {
		reason += " (" + strings.Join(c.Advisories[:min(3, distributors)], ", ") + ")"
	}
	c.State, c.Reason = state, reason
	return nil
}
