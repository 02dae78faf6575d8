package msrc

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory/ecosystem/buildversion"
)

// line is a row of updates of one product, each of which replaces those before
// it.
type line struct {
	product *product
	kind    Kind
	// cumulative is that its builds order it: the newest has all that the others
	// have. Of another line only what is stated is known.
	cumulative bool
	// updates are in the order of builds, else of first mention.
	updates []*update
	// ceilings are the last builds that were out by a month, of the months in
	// which the line has an update of its own.
	ceilings []ceiling
}

type ceiling struct {
	month Month
	build string
}

// order sorts the updates of a product into lines.
//
// A document is of a month, but the updates in it are not: one that mends a
// vulnerability late stands in the document of the month in which that was
// published. What was out in a month is seen by which of the updates mends most
// there: that one is the month's own.
func (p *product) order() {
	if p.isSystem() {
		branches := map[string]int{}
		for _, u := range p.updates {
			for build, n := range u.builds {
				if buildversion.Valid(build) {
					branches[buildversion.Branch(build)] += n
				}
			}
		}
		for _, branch := range slices.Sorted(maps.Keys(branches)) {
			if branches[branch] > branches[p.branch] {
				p.branch = branch
			}
		}
	}
	byKind := map[Kind][]*update{}
	for _, kb := range slices.Sorted(maps.Keys(p.updates)) {
		u := p.updates[kb]
		byKind[u.kind] = append(byKind[u.kind], u)
	}
	for _, kind := range preference {
		groups := connect(byKind[kind])
		if kind == SecurityUpdate || kind == MonthlyRollup || kind == Hotpatch {
			groups = p.trunk(kind, byKind[kind], groups)
		}
		for _, g := range groups {
			slices.SortFunc(g, func(a, b *update) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.kb, b.kb)) })
			p.lines = append(p.lines, &line{product: p, kind: kind, updates: g})
		}
	}
	for _, l := range p.lines {
		for _, u := range l.updates {
			u.line = l
		}
	}
}

// connect groups updates that are connected by what they state to replace, also
// by way of updates that no document describes.
func connect(all []*update) [][]*update {
	group := map[string]string{}
	root := func(kb string) string {
		for group[kb] != "" {
			kb = group[kb]
		}
		return kb
	}
	for _, u := range all {
		for other := range u.supersedes {
			if a, b := root(u.kb), root(other); a != b {
				group[max(a, b)] = min(a, b)
			}
		}
	}
	by := map[string][]*update{}
	for _, u := range all {
		by[root(u.kb)] = append(by[root(u.kb)], u)
	}
	var list [][]*update
	for _, key := range slices.Sorted(maps.Keys(by)) {
		list = append(list, by[key])
	}
	return list
}

// trunk takes the groups that are of the product's cumulative line out of all
// of one kind, and returns the others. Not all are: updates of the recovery
// environment are called the same, and have a build of their own that is always
// lower. So a group is of the line when it has a month's own update, or when
// all of its builds are above those of the months in which it is mentioned.
func (p *product) trunk(kind Kind, all []*update, groups [][]*update) [][]*update {
	own := map[Month]*update{}
	for _, u := range all {
		if !p.tellsBuild(u) {
			continue
		}
		for month, n := range u.counts {
			if o := own[month]; o == nil || n > o.counts[month] || n == o.counts[month] && buildversion.Compare(u.build, o.build) > 0 {
				own[month] = u
			}
		}
	}
	l := &line{product: p, kind: kind, cumulative: true}
	var others [][]*update
	for _, g := range groups {
		if p.ofTrunk(g, own) {
			l.updates = append(l.updates, g...)
		} else {
			others = append(others, g)
		}
	}
	if len(l.updates) == 0 {
		return others
	}
	slices.SortFunc(l.updates, func(a, b *update) int { return cmp.Or(buildversion.Compare(a.build, b.build), cmp.Compare(a.kb, b.kb)) })
	top := ""
	for _, month := range slices.Sorted(maps.Keys(own)) {
		if top == "" || buildversion.Compare(own[month].build, top) > 0 {
			top = own[month].build
		}
		l.ceilings = append(l.ceilings, ceiling{month, top})
	}
	p.lines = append(p.lines, l)
	return others
}

func (p *product) ofTrunk(group []*update, own map[Month]*update) bool {
	has, above := false, true
	for _, u := range group {
		if !p.tellsBuild(u) {
			return false
		}
		for month := range u.counts {
			o := own[month]
			has = has || o == u
			above = above && buildversion.Compare(u.build, o.build) > 0
		}
	}
	return has || above
}

// tellsBuild tells whether an update can be one that replaces all of the product
// and gives it its build: on Windows itself such an update wants a restart, and
// has a build of the release.
func (p *product) tellsBuild(u *update) bool {
	return buildversion.Valid(u.build) && (!p.isSystem() || buildversion.Branch(u.build) == p.branch && (u.restart == "Yes" || u.kind == Hotpatch))
}

// ceiling is the build of the line's newest update that was out by a month; empty
// when none was. An empty month is now.
func (l *line) ceiling(month Month) string {
	if month == "" {
		return l.updates[len(l.updates)-1].build
	}
	build := ""
	for _, c := range l.ceilings {
		if c.month <= month {
			build = c.build
		}
	}
	return build
}

// out tells whether an update was out by a month.
func (u *update) out(month Month) bool {
	if !u.line.cumulative {
		return month == "" || u.first <= month
	}
	ceiling := u.line.ceiling(month)
	return ceiling != "" && buildversion.Compare(u.build, ceiling) <= 0
}

// out are the updates that were out by a month.
func (l *line) out(month Month) []*update {
	var list []*update
	for _, u := range l.updates {
		if u.out(month) {
			list = append(list, u)
		}
	}
	return list
}

// replaces are the updates that one is stated to replace, and those which they
// replace, and so on. One that replaces itself is in it.
func (p *product) replaces(kb string) map[string]bool {
	found := map[string]bool{}
	queue := []string{kb}
	for len(queue) > 0 {
		u := p.updates[queue[0]]
		queue = queue[1:]
		if u == nil {
			continue // of which no document speaks
		}
		for other := range u.supersedes {
			if !found[other] {
				found[other] = true
				queue = append(queue, other)
			}
		}
	}
	return found
}

// gaps says where the order of a cumulative line is not stated, or its builds
// are stated in several ways: between builds above one and up to an update.
func (p *product) gaps(l *line, above string, head *update) []string {
	var notes []string
	var before *update
	for _, u := range l.updates {
		if buildversion.Compare(u.build, head.build) > 0 {
			break
		}
		if above != "" && buildversion.Compare(u.build, above) <= 0 {
			before = u
			continue
		}
		if len(u.builds) > 1 {
			notes = append(notes, fmt.Sprintf("the documents name several builds of %s: %s; %s, which most name, is taken", u.kb, strings.Join(slices.Sorted(maps.Keys(u.builds)), ", "), u.build))
		}
		if before != nil && buildversion.Compare(before.build, u.build) < 0 {
			stated := p.replaces(u.kb)
			switch {
			case stated[u.kb] || p.replaces(before.kb)[u.kb]:
				notes = append(notes, fmt.Sprintf("the documents say that %s and %s replace one another; %s has the higher build %s and is taken to be the later", u.kb, before.kb, u.kb, u.build))
			case !stated[before.kb]:
				notes = append(notes, fmt.Sprintf("no document says that %s replaces %s%s; its build %s is higher, and it is taken to", u.kb, before.kb, p.instead(u), u.build))
			}
		}
		before = u
	}
	return notes
}

// instead says what an update is stated to replace, where no document
// describes that.
func (p *product) instead(u *update) string {
	for _, kb := range slices.Sorted(maps.Keys(u.supersedes)) {
		if p.updates[kb] == nil {
			return fmt.Sprintf(", only that it replaces %s, of which none speaks", kb)
		}
	}
	return ""
}
