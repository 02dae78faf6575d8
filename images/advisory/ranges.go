package advisory

// event is a bound of a range by places.
type event struct {
	kind  eventKind
	place uint32
}

// inRange evaluates one range, whose events are sorted, as the OSV schema says
// under "Evaluation".
func inRange(events []event, place uint32) bool {
	return beforeLimits(events, place) && vulnerable(events, place)
}

func vulnerable(events []event, place uint32) bool {
	has := false
	for _, e := range events {
		switch {
		case e.kind == introduced && place >= e.place:
			has = true
		case e.kind == fixed && place >= e.place, e.kind == lastAffected && place > e.place:
			has = false
		}
	}
	return has
}

// beforeLimits tells whether the place is before any limit, or there is none.
// A limit at place 0 is "*".
func beforeLimits(events []event, place uint32) bool {
	limited := false
	for _, e := range events {
		if e.kind == limit {
			if e.place == 0 || place < e.place {
				return true
			}
			limited = true
		}
	}
	return !limited
}

func inRanges(ranges [][]event, place uint32) bool {
	for _, r := range ranges {
		if inRange(r, place) {
			return true
		}
	}
	return false
}

// nextFix is the place of the first fix after a place, or 0.
func nextFix(events []event, place uint32) uint32 {
	for _, e := range events {
		if e.kind == fixed && e.place > place {
			return e.place
		}
	}
	return 0
}

// bounds are what keeps a place out of a range: the last fix and the last
// version that has it before the place, and the first version after it that
// has it again; 0 for none.
type bounds struct{ fixed, last, next uint32 }

func (b *bounds) of(events []event, place uint32) {
	for _, e := range events {
		switch {
		case e.kind == fixed && e.place <= place:
			b.fixed = max(b.fixed, e.place)
		case e.kind == lastAffected && e.place < place:
			b.last = max(b.last, e.place)
		case e.kind == introduced && e.place > place && (b.next == 0 || e.place < b.next):
			b.next = e.place
		}
	}
}
