package advisory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/control"
)

// aliases joins the names of vulnerabilities, so that each is one however many
// sources name it. A CVE is always one of its own: nobody can make two of them
// one, and so hide one, by an alias. Other names are those of the CVEs that they
// are aliases of; where there is no CVE they are joined among themselves.
type aliases struct {
	records []*recordEntry
	// parent is a union-find over names that are no CVEs.
	parent map[string]string
	// cves are those that a set of such names stands for, by its root.
	cves map[string][]string
	// ids are the vulnerabilities, sorted, and number is their place there.
	ids    []string
	number map[string]uint32
	// about are the vulnerabilities of each record.
	about [][]uint32
}

// mostCVEs is how many CVEs one other name can stand for. Aliases that chain
// more of them together are made to; then the name stands for itself, and the
// CVEs are found by theirs.
const mostCVEs = 256

// mostNamed is how many times records may name vulnerabilities, all in all, by
// whatever name. Those that are published do so some 300,000 times.
const mostNamed = 4_000_000

func isCVE(name string) bool { return strings.HasPrefix(name, "CVE-") }

func join(records []*recordEntry) (*aliases, error) {
	a := &aliases{records: records, parent: map[string]string{}, cves: map[string][]string{}, number: map[string]uint32{}}
	for _, r := range records {
		if len(r.upstream) == 0 {
			a.union(r)
		}
	}
	for _, r := range records {
		if len(r.upstream) == 0 {
			a.attach(r)
		}
	}
	for root := range a.cves {
		slices.Sort(a.cves[root])
		a.cves[root] = slices.Compact(a.cves[root])
	}
	names, total := make([][]string, len(records)), 0
	all := map[string]bool{}
	for i, r := range records {
		named := r.upstream
		if len(named) == 0 {
			named = a.own(r)
		}
		for _, name := range named {
			names[i] = append(names[i], a.of(name)...)
			if total += 1 + len(r.aliases); total+len(names[i]) > mostNamed {
				return nil, fmt.Errorf("joining aliases: records name vulnerabilities more than %d times: %s does so %d times", mostNamed, r.id, len(names[i]))
			}
		}
		total += len(names[i]) * (1 + len(r.aliases))
		for _, id := range names[i] {
			all[id] = true
		}
	}
	a.ids = slices.Sorted(maps.Keys(all))
	for i, id := range a.ids {
		a.number[id] = uint32(i)
	}
	a.about = make([][]uint32, len(records))
	for i := range records {
		for _, id := range names[i] {
			a.about[i] = append(a.about[i], a.number[id])
		}
		slices.Sort(a.about[i])
		a.about[i] = slices.Compact(a.about[i])
	}
	return a, nil
}

// root is the name that stands for all that a name is joined with.
func (a *aliases) root(name string) string {
	for {
		up, ok := a.parent[name]
		if !ok || up == name {
			return name
		}
		// Halving keeps the paths short, however long the chains are.
		if next, ok := a.parent[up]; ok {
			a.parent[name] = next
		}
		name = up
	}
}

// union joins the names of a record that are no CVEs: the least is the root.
func (a *aliases) union(r *recordEntry) {
	first := ""
	for _, name := range slices.Concat([]string{r.id}, r.aliases) {
		if isCVE(name) {
			continue
		}
		root := a.root(name)
		if first == "" {
			first = root
			a.parent[first] = first
			continue
		}
		a.parent[max(first, root)] = min(first, root)
		first = min(first, root)
	}
}

// attach notes the CVEs that a record's other names stand for.
func (a *aliases) attach(r *recordEntry) {
	names := slices.Concat([]string{r.id}, r.aliases)
	other := slices.IndexFunc(names, func(n string) bool { return !isCVE(n) })
	if other < 0 {
		return
	}
	root := a.root(names[other])
	for _, name := range names {
		if isCVE(name) {
			a.cves[root] = append(a.cves[root], name)
		}
	}
}

// own are the names that a record about a vulnerability stands for: its id, but its
// own CVEs where others have chained so many to the id that it stands for none.
func (a *aliases) own(r *recordEntry) []string {
	if isCVE(r.id) || len(a.cves[a.root(r.id)]) <= mostCVEs {
		return []string{r.id}
	}
	var cves []string
	for _, name := range r.aliases {
		if isCVE(name) {
			cves = append(cves, name)
		}
	}
	if len(cves) == 0 || len(cves) > mostCVEs {
		return []string{r.id}
	}
	return cves
}

// of are the vulnerabilities that a name stands for.
func (a *aliases) of(name string) []string {
	if isCVE(name) {
		return []string{name}
	}
	root := a.root(name)
	if cves := a.cves[root]; len(cves) > 0 && len(cves) <= mostCVEs {
		return cves
	}
	return []string{root}
}

// vulnerabilities are the parts of the table of vulnerabilities: the id, the
// severity, other names, and the records about it.
func (a *aliases) vulnerabilities(recordNumber []uint32) []out {
	type vulnerability struct {
		own, other control.Severity
		names      []string
		records    []uint32
	}
	list := make([]vulnerability, len(a.ids))
	for i, r := range a.records {
		for _, n := range a.about[i] {
			v := &list[n]
			v.records = append(v.records, recordNumber[i])
			if len(r.upstream) > 0 {
				v.other = Worse(v.other, r.severity)
				continue
			}
			v.own = Worse(v.own, r.severity)
			for _, name := range slices.Concat([]string{r.id}, r.aliases) {
				if name != a.ids[n] && !isCVE(name) {
					v.names = append(v.names, name)
				}
			}
		}
	}
	parts := make([]out, len(list))
	for i, v := range list {
		o := &parts[i]
		o.text(a.ids[i])
		// An advisory's severity is that of the worst of all that it mends.
		severity := v.own
		if severity == "" {
			severity = v.other
		}
		o.byte(severityByte(severity))
		slices.Sort(v.names)
		v.names = slices.Compact(v.names)
		o.count(len(v.names))
		for _, name := range v.names {
			o.text(name)
		}
		slices.Sort(v.records)
		o.ascending(v.records)
	}
	return parts
}

// names are the parts of the table of names: a name, and the vulnerabilities
// that it stands for.
func (a *aliases) names() []out {
	stands := map[string][]uint32{}
	add := func(name string) {
		if _, done := stands[name]; done {
			return
		}
		for _, id := range a.of(name) {
			if n, ok := a.number[id]; ok {
				stands[name] = append(stands[name], n)
			}
		}
	}
	for _, id := range a.ids {
		add(id)
	}
	for _, r := range a.records {
		if len(r.upstream) == 0 {
			add(r.id)
			for _, name := range r.aliases {
				add(name)
			}
		}
	}
	parts := make([]out, 0, len(stands))
	for _, name := range slices.Sorted(maps.Keys(stands)) {
		var o out
		o.text(name)
		slices.Sort(stands[name])
		o.ascending(stands[name])
		parts = append(parts, o)
	}
	return parts
}
