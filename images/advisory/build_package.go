package advisory

import (
	"cmp"
	"slices"

	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/control"
)

// Versions of a package are sorted once, when the index is written. From then
// on a version is its place among them: 2 for the first, 4 for the second, and
// what lies between two has the odd number between theirs, so that a range is
// evaluated by numbers. 0 is before all versions.

// places are the place of each version, and the versions in order, of which
// those that are equal are one.
func (p *packageEntries) places() (places []uint32, sorted []string) {
	order := make([]uint32, 0, len(p.versions))
	places = make([]uint32, len(p.versions))
	for n, name := range p.versions {
		if p.of.Order.Valid(name) {
			order = append(order, uint32(n))
		}
	}
	slices.SortFunc(order, func(x, y uint32) int {
		return cmp.Or(p.of.Order.Compare(p.versions[x], p.versions[y]), cmp.Compare(p.versions[x], p.versions[y]))
	})
	for _, n := range order {
		if len(sorted) == 0 || p.of.Order.Compare(sorted[len(sorted)-1], p.versions[n]) != 0 {
			sorted = append(sorted, p.versions[n])
		}
		places[n] = uint32(2 * len(sorted))
	}
	return places, sorted
}

// write writes what the records say of the package.
func (p *packageEntries) write(o *out, recordNumber []uint32, about [][]uint32) {
	places, sorted := p.places()
	o.text(p.key)
	versions := make([]out, len(sorted))
	for i, v := range sorted {
		versions[i] = out(v)
	}
	o.table(versions)
	// They are sorted by where they lie: all of them read would take several times
	// the memory.
	type lying struct {
		record  uint32
		written string
	}
	order, rest := make([]lying, 0, p.n), string(p.entries)
	p.entries = nil // for the collector
	for rest != "" {
		e, after := readEntry(rest)
		order = append(order, lying{recordNumber[e.record], rest[:len(rest)-len(after)]})
		rest = after
	}
	slices.SortStableFunc(order, func(x, y lying) int { return cmp.Compare(x.record, y.record) })
	o.count(len(order))
	for _, one := range order {
		e, _ := readEntry(one.written)
		o.number(uint64(recordNumber[e.record]))
		// Which vulnerabilities that is about is in the record too, but far away.
		o.ascending(about[e.record])
		e.writeWords(o)
		ranges := e.placed(places)
		o.count(len(ranges))
		for _, r := range ranges {
			o.count(len(r))
			for _, event := range r {
				o.number(uint64(event.place)<<2 | uint64(event.kind))
			}
		}
		listed := make([]uint32, 0, len(e.versions))
		for _, v := range e.versions {
			listed = append(listed, places[v-1])
		}
		slices.Sort(listed)
		o.ascending(slices.Compact(listed))
	}
}

// write writes an entry as it is held until the index is written.
func (e *entryOf) write(o *out) {
	o.number(uint64(e.record))
	e.writeWords(o)
	o.count(len(e.ranges))
	for _, r := range e.ranges {
		o.count(len(r))
		for _, event := range r {
			o.number(uint64(event.version)<<2 | uint64(event.kind))
		}
	}
	slices.Sort(e.versions)
	o.ascending(e.versions)
}

// writeWords writes all of an entry but its record and its versions.
func (e *entryOf) writeWords(o *out) {
	o.number(uint64(e.ecosystem))
	o.number(uint64(e.urgency))
	o.byte(e.status)
	o.byte(e.disposition)
	o.byte(e.severity)
	o.text(e.note)
	o.text(e.unreadable)
}

// readEntry reads what write has written, and gives what follows it.
func readEntry(held string) (entryOf, string) {
	part := in{rest: held}
	e := entryOf{
		record: uint32(part.number()), ecosystem: uint32(part.number()), urgency: uint32(part.number()),
		status: part.byte(), disposition: part.byte(), severity: part.byte(), note: part.text(), unreadable: part.text(),
		ranges: make([][]eventOf, part.count()),
	}
	for i := range e.ranges {
		e.ranges[i] = make([]eventOf, part.count())
		for j := range e.ranges[i] {
			n := part.number()
			e.ranges[i][j] = eventOf{eventKind(n & 3), uint32(n >> 2)}
		}
	}
	e.versions = part.ascending()
	return e, part.rest
}

// placed are an entry's ranges by places, in the order in which they are
// evaluated.
func (e *entryOf) placed(places []uint32) [][]event {
	var ranges [][]event
	if e.unreadable != "" {
		return nil
	}
	for _, r := range e.ranges {
		if len(r) == 0 {
			continue // it says nothing
		}
		events := make([]event, 0, len(r))
		for _, one := range r {
			place := uint32(0)
			if one.version != always {
				place = places[one.version-1]
			}
			events = append(events, event{one.kind, place})
		}
		byPlace(events)
		ranges = append(ranges, events)
	}
	return ranges
}

// mostPruned is up to how many versions times events the listed versions are
// looked for in the ranges: it saves room, and no more.
const mostPruned = 1 << 22

// outside are those of the listed versions that no range has: sources list all
// that have ever been, and with a range besides that says nothing more. The
// ranges must be readable.
func outside(order *ecosystem.Order, ranges []Range, listed []string) []string {
	var bounds []string
	for _, r := range ranges {
		for _, e := range r.Events {
			if kind, v := kindOf(e); !unbounded(kind, v) {
				bounds = append(bounds, v)
			}
		}
	}
	if len(ranges) == 0 || len(listed) == 0 || len(bounds)*len(listed) > mostPruned {
		return listed
	}
	slices.SortFunc(bounds, order.Compare)
	at := func(v string) uint32 {
		n, equal := slices.BinarySearchFunc(bounds, v, order.Compare)
		if equal {
			return uint32(2*n + 2)
		}
		return uint32(2*n + 1)
	}
	placed := make([][]event, len(ranges))
	for i, r := range ranges {
		for _, e := range r.Events {
			kind, v := kindOf(e)
			one := event{kind: kind}
			if !unbounded(kind, v) {
				one.place = at(v)
			}
			placed[i] = append(placed[i], one)
		}
		byPlace(placed[i])
	}
	return slices.DeleteFunc(listed, func(v string) bool { return inRanges(placed, at(v)) })
}

// unbounded tells whether a bound is before or after all versions.
func unbounded(kind eventKind, v string) bool {
	return kind == introduced && v == "0" || kind == limit && v == "*"
}

// byPlace sorts events as they are evaluated: by version, and as they were listed
// where those are equal.
func byPlace(events []event) {
	slices.SortStableFunc(events, func(x, y event) int { return cmp.Compare(x.place, y.place) })
}

// The numbers of what has few values; what a source made up is the default of
// it, which is the graver one.
var (
	statuses     = []Status{StatusAffected, StatusNotAffected, StatusUndetermined}
	dispositions = []Disposition{FixExpected, NoDSA, Postponed, EndOfLife, Ignored, Unimportant}
	severities   = []control.Severity{"", control.Low, control.Medium, control.High, control.Critical}
)

func statusByte(s Status) byte             { return byte(max(0, slices.Index(statuses, s))) }
func dispositionByte(d Disposition) byte   { return byte(max(0, slices.Index(dispositions, d))) }
func severityByte(s control.Severity) byte { return byte(max(0, slices.Index(severities, s))) }

// valueOf is the value of a number, the first of a number that is none.
func valueOf[T any](values []T, n byte) T {
	if int(n) >= len(values) {
		return values[0]
	}
	return values[n]
}
