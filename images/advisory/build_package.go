package advisory

import (
	"cmp"
	"slices"

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
	slices.SortStableFunc(p.entries, func(x, y entryOf) int { return cmp.Compare(recordNumber[x.record], recordNumber[y.record]) })
	o.count(len(p.entries))
	for i := range p.entries {
		e := &p.entries[i]
		o.number(uint64(recordNumber[e.record]))
		// Which vulnerabilities that is about is in the record too, but far away.
		o.ascending(about[e.record])
		o.number(uint64(e.ecosystem))
		o.number(uint64(e.urgency))
		o.byte(statusByte(e.status))
		o.byte(dispositionByte(e.disposition))
		o.byte(severityByte(e.severity))
		o.text(e.note)
		o.text(e.unreadable)
		ranges := e.placed(places)
		o.count(len(ranges))
		for _, r := range ranges {
			o.count(len(r))
			for _, event := range r {
				o.number(uint64(event.place)<<2 | uint64(event.kind))
			}
		}
		o.ascending(e.others(places, ranges))
	}
}

// placed are an entry's ranges by places, in the order in which they are
// evaluated: by version, and as they were listed where those are equal.
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
				place = places[one.version]
			}
			events = append(events, event{one.kind, place})
		}
		slices.SortStableFunc(events, func(x, y event) int { return cmp.Compare(x.place, y.place) })
		ranges = append(ranges, events)
	}
	return ranges
}

// mostPruned is up to how many versions times events the listed versions are
// looked for in the ranges: it saves room, and no more.
const mostPruned = 1 << 22

// others are the listed versions that no range has already.
func (e *entryOf) others(places []uint32, ranges [][]event) []uint32 {
	var others []uint32
	events := 0
	for _, r := range ranges {
		events += len(r)
	}
	all := events*len(e.versions) > mostPruned
	for _, v := range e.versions {
		if place := places[v]; all || !inRanges(ranges, place) {
			others = append(others, place)
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
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
