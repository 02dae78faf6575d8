package advisory

import "imgbuild/images/control"

// judgement is what one entry says of one version.
type judgement struct {
	record      uint32
	ecosystem   string
	urgency     string
	note        string
	unreadable  string
	status      Status
	disposition Disposition
	severity    control.Severity
	// applies tells whether the version is one of those that the entry speaks
	// of: with the default status, that it is affected.
	applies bool
	// fix is the first version after it that is without the vulnerability; it is
	// empty when the entry names none.
	fix string
	// fixAt is its place.
	fixAt uint32
	// Of a version that it does not speak of: where it stands.
	fixed, last, next string
	fixedAt           uint32
}

// judge holds the entries of one package against one version of it.
type judge struct {
	index    *Index
	versions table
	place    uint32
	events   []event
}

// entry reads the rest of an entry, after its record and its vulnerabilities.
func (j *judge) entry(part *in) judgement {
	g := judgement{
		ecosystem: j.index.word(part.number()), urgency: j.index.word(part.number()),
		status: valueOf(statuses, part.byte()), disposition: valueOf(dispositions, part.byte()), severity: valueOf(severities, part.byte()),
		note: part.text(), unreadable: part.text(),
	}
	ranges := part.count()
	var outside bounds
	for range ranges {
		j.events = j.events[:0]
		for range part.count() {
			n := part.number()
			j.events = append(j.events, event{eventKind(n & 3), uint32(n >> 2)})
		}
		if !inRange(j.events, j.place) {
			outside.of(j.events, j.place)
			continue
		}
		fix := nextFix(j.events, j.place)
		// The version is in all of the ranges that it is in until the last
		// of them is fixed.
		if !g.applies || fix == 0 || g.fixAt != 0 && fix > g.fixAt {
			g.fixAt = fix
		}
		g.applies = true
	}
	others, other := part.count(), uint32(0)
	for range others {
		if other += uint32(part.number()); other == j.place {
			g.applies = true
		}
	}
	if g.status != StatusAffected && ranges == 0 && others == 0 && g.unreadable == "" {
		g.applies = true
	}
	if g.applies {
		g.fix = versionAt(j.versions, g.fixAt)
	} else {
		g.fixed, g.last, g.next = versionAt(j.versions, outside.fixed), versionAt(j.versions, outside.last), versionAt(j.versions, outside.next)
		g.fixedAt = outside.fixed
	}
	return g
}
