package msrc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory/ecosystem/buildversion"
)

// System is a Windows system as far as it is known.
type System struct {
	// Product is Microsoft's name of it: "Windows Server 2022 (Server Core
	// installation)".
	Product string
	// Build is the whole build number, "10.0.20348.2527". What is cumulative is
	// told by it.
	Build string
	// Installed are updates that are known to be there, as "KB5044099"; what has
	// a build of its own is told by them alone.
	Installed []string
}

// Needs are the updates that a system needs, so that every vulnerability is
// mended that was published up to a month and can be.
type Needs struct {
	Product string `json:"product"`
	Build   string `json:"build"`
	// Month is empty when all documents count and all that came later as well.
	Month   Month  `json:"month,omitempty"`
	Updates []Need `json:"updates"`
	// Later are mended only by an update that was not out by then.
	Later []Late `json:"later,omitempty"`
	// Open have no update.
	Open []Open `json:"open,omitempty"`
	// Notes say what had to be taken as given, each in a sentence.
	Notes []string `json:"notes,omitempty"`
}

// Need is one update.
type Need struct {
	KB string `json:"kb"`
	// Products are what it is installed for: the system, or components of it.
	Products []string `json:"products"`
	Kind     Kind     `json:"kind"`
	Build    string   `json:"build,omitempty"`
	// Fixes are the vulnerabilities that the system has without it, and Replaces
	// the updates that mend them too and that need not be installed.
	Fixes    []string `json:"fixes"`
	Replaces []string `json:"replaces,omitempty"`
	// Unproven says why it may be there already; empty when it is not.
	Unproven string `json:"unproven,omitempty"`
}

// Late is an update that came after the month for which was asked.
type Late struct {
	KB    string   `json:"kb"`
	Build string   `json:"build,omitempty"`
	Fixes []string `json:"fixes"`
}

// Open is a vulnerability that no update mends.
type Open struct {
	Vulnerability string `json:"vulnerability"`
	Product       string `json:"product"`
	Reason        string `json:"reason"`
}

// Needs says what a system needs, as of a month: what was published and what was
// out by then, by what the documents say of it today. An empty month is
// everything that is known.
func (h *History) Needs(s System, month Month) (*Needs, error) {
	os, components, err := h.find(s.Product)
	if err == nil {
		err = os.checkBuild(s.Build)
	}
	if err == nil && month != "" && month < h.documents[0].Month {
		err = fmt.Errorf("the first document is of %s", h.documents[0].Month)
	}
	if err != nil {
		return nil, fmt.Errorf("asking what %s needs: %w", s.Product, err)
	}
	n := &Needs{Product: s.Product, Build: s.Build, Month: month, Updates: []Need{}}
	a := &asking{needs: n, system: &s, os: os, wanted: map[*line]map[string]*update{}, later: map[*update][]string{}, installed: map[*product]map[string]bool{}}
	a.ask(append([]*product{os}, components...))
	if gap := h.missing(month); gap != "" {
		n.Notes = append(n.Notes, gap)
	}
	return n, nil
}

func (p *product) isComponent() bool { return strings.Contains(p.ID, "-") }

func (p *product) isSystem() bool {
	return !p.isComponent() && (p.Family == "Windows" || p.Family == "ESU") && strings.HasPrefix(p.Name, "Windows ")
}

// checkBuild refuses a build that is not of the product.
func (p *product) checkBuild(build string) error {
	if !buildversion.Valid(build) {
		return fmt.Errorf("%.40q is no build number, such as 10.0.20348.2527", build)
	}
	for _, l := range p.lines {
		if l.cumulative && l.kind != Hotpatch {
			if have, want := buildversion.Branch(build), buildversion.Branch(l.updates[0].build); have != want {
				return fmt.Errorf("build %s is not of it: its updates have builds %s.*", build, want)
			}
			return nil
		}
	}
	return fmt.Errorf("no document names a cumulative update for it")
}

// missing says which months are not there between the first and the last.
func (h *History) missing(month Month) string {
	var list []string
	months := h.Months()
	for i := 1; i < len(months); i++ {
		for at := months[i-1].next(); at < months[i]; at = at.next() {
			if month == "" || at <= month {
				list = append(list, string(at))
			}
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "there is no document of " + strings.Join(list[:min(len(list), 12)], ", ") + ": what was published then is not known here"
}

// next is the month after it.
func (m Month) next() Month {
	var year, month int
	if _, err := fmt.Sscanf(string(m), "%4d-%2d", &year, &month); err != nil {
		return m
	}
	return Month(fmt.Sprintf("%04d-%02d", year+month/12, month%12+1))
}

// asking is what a system needs.
type asking struct {
	needs  *Needs
	system *System
	os     *product
	// wanted are the updates that mend each of the vulnerabilities that are
	// there, by line.
	wanted map[*line]map[string]*update
	later  map[*update][]string
	// installed are, by product, what the installed updates replace.
	installed map[*product]map[string]bool
}

func (a *asking) ask(products []*product) {
	for _, p := range products {
		for i := range p.statements {
			if s := &p.statements[i]; s.affected && (a.needs.Month == "" || s.month <= a.needs.Month) {
				a.vulnerability(p, s)
			}
		}
	}
	for _, p := range products {
		for _, l := range p.lines {
			switch fixes := a.wanted[l]; {
			case fixes == nil:
			case l.cumulative:
				a.newest(l, fixes)
			default:
				a.unreplaced(l, fixes)
			}
		}
	}
	for _, u := range slices.SortedFunc(maps.Keys(a.later), byName) {
		a.needs.Later = append(a.needs.Later, Late{u.kb, u.build, tidy(a.later[u])})
	}
}

func byName(a, b *update) int { return strings.Compare(a.kb, b.kb) }

func tidy(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// vulnerability finds the updates that mend one which the system has.
func (a *asking) vulnerability(p *product, s *statement) {
	if len(s.fixes) == 0 {
		if !p.isComponent() || len(s.others) > 0 {
			reason := "no update mends it"
			if len(s.others) > 0 {
				reason = fmt.Sprintf("it is mended by %q, which is no update with a number", s.others[0].Text)
			}
			a.needs.Open = append(a.needs.Open, Open{s.of.ID, p.Name, reason})
		}
		return
	}
	if slices.ContainsFunc(s.fixes, func(u *update) bool { return u.kind == Hotpatch && a.has(u) }) {
		return
	}
	for _, u := range s.decisive() {
		// What is mended by an update of the system itself has no line of its own.
		if whole := a.os.updates[u.kb]; whole != nil && whole.line.cumulative {
			u = whole
		}
		switch {
		case a.has(u):
		case !u.out(a.needs.Month):
			a.later[u] = append(a.later[u], s.of.ID)
		default:
			if a.wanted[u.line] == nil {
				a.wanted[u.line] = map[string]*update{}
			}
			a.wanted[u.line][s.of.ID] = u
		}
	}
}

// preference is which kind of update is taken where several mend the same: what
// brings all, and wants nothing to be there before.
var preference = []Kind{SecurityUpdate, MonthlyRollup, OtherKind, ServicingStack, SecurityOnly, InternetExplorer, Hotpatch}

// decisive are the updates that all have to be there: those of the preferred
// kind, and of a cumulative line the last.
func (s *statement) decisive() []*update {
	for _, kind := range preference {
		var list []*update
		for _, u := range s.fixes {
			if u.kind != kind {
				continue
			}
			i := slices.IndexFunc(list, func(other *update) bool { return u.line.cumulative && other.line == u.line })
			switch {
			case i < 0:
				list = append(list, u)
			case buildversion.Compare(u.build, list[i].build) > 0:
				list[i] = u
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

// has tells whether the system is known to have an update, or one that replaces
// it.
func (a *asking) has(u *update) bool {
	if slices.Contains(a.system.Installed, u.kb) {
		return true
	}
	if u.line.cumulative && u.line.product == a.os {
		at := a.system.Build
		if u.kind != Hotpatch {
			if buildversion.Compare(at, u.build) >= 0 {
				return true
			}
		} else if slices.ContainsFunc(u.line.updates, func(h *update) bool { return buildversion.Compare(h.build, at) == 0 }) && buildversion.Compare(at, u.build) >= 0 {
			return true // the system is at the build of a hotpatch
		}
	}
	if u.line.cumulative {
		return slices.ContainsFunc(a.system.Installed, func(kb string) bool {
			other := u.line.product.updates[kb]
			return other != nil && other.line == u.line && buildversion.Compare(other.build, u.build) >= 0
		})
	}
	return a.replaced(u.line.product)[u.kb]
}

// replaced are the updates of a product that the installed ones replace.
func (a *asking) replaced(p *product) map[string]bool {
	if a.installed[p] == nil {
		a.installed[p] = map[string]bool{}
		for _, kb := range a.system.Installed {
			maps.Copy(a.installed[p], p.replaces(kb))
		}
	}
	return a.installed[p]
}

// newest adds the newest update of a cumulative line.
func (a *asking) newest(l *line, fixes map[string]*update) {
	out := l.out(a.needs.Month)
	head := out[len(out)-1]
	need := a.need(head, slices.Sorted(maps.Keys(fixes)))
	above := a.system.Build
	if l.product != a.os {
		above = ""
		need.Unproven = "the build of the system does not tell whether it is there, nor whether the component is"
	}
	for _, u := range out {
		if u != head && !a.has(u) {
			need.Replaces = append(need.Replaces, u.kb)
		}
	}
	a.needs.Notes = append(a.needs.Notes, l.product.gaps(l, above, head)...)
	a.add(need)
}

// unreplaced adds those updates of another line that no other is stated to
// replace.
func (a *asking) unreplaced(l *line, fixes map[string]*update) {
	out := l.out(a.needs.Month)
	replaced := map[string]map[string]bool{}
	for _, u := range out {
		replaced[u.kb] = l.product.replaces(u.kb)
	}
	// What replaces others counts unless it is replaced itself, and two that
	// replace one another replace neither.
	heads := slices.DeleteFunc(slices.Clone(out), func(u *update) bool { return beaten(u, out, replaced) })
	by := map[*update][]string{}
	for _, id := range slices.Sorted(maps.Keys(fixes)) {
		u := fixes[id]
		if i := slices.IndexFunc(heads, func(head *update) bool {
			return head != u && replaced[head.kb][u.kb] && !replaced[u.kb][head.kb]
		}); i >= 0 {
			u = heads[i]
		}
		by[u] = append(by[u], id)
	}
	for _, head := range slices.SortedFunc(maps.Keys(by), byName) {
		need := a.need(head, tidy(by[head]))
		need.Unproven = "its build is not that of the system, which does not tell whether it is there"
		for _, u := range out {
			if u != head && replaced[head.kb][u.kb] && !replaced[u.kb][head.kb] {
				need.Replaces = append(need.Replaces, u.kb)
			}
		}
		if replaced[head.kb][head.kb] {
			a.needs.Notes = append(a.needs.Notes, fmt.Sprintf("the documents say that %s replaces itself by way of others: which of them is the last cannot be told, and each is listed that mends something", head.kb))
		}
		a.add(need)
	}
}

// beaten tells whether an update is replaced by one that it does not replace.
func beaten(u *update, all []*update, replaced map[string]map[string]bool) bool {
	return slices.ContainsFunc(all, func(other *update) bool {
		return other != u && replaced[other.kb][u.kb] && !replaced[u.kb][other.kb]
	})
}

func (a *asking) need(u *update, fixes []string) Need {
	return Need{KB: u.kb, Products: []string{u.line.product.Name}, Kind: u.kind, Build: u.build, Fixes: fixes}
}

// add adds a need, to that of another component where one update is for both.
func (a *asking) add(n Need) {
	for i := range a.needs.Updates {
		if have := &a.needs.Updates[i]; have.KB == n.KB {
			have.Products = append(have.Products, n.Products...)
			have.Fixes = tidy(append(have.Fixes, n.Fixes...))
			have.Replaces = tidy(append(have.Replaces, n.Replaces...))
			return
		}
	}
	a.needs.Updates = append(a.needs.Updates, n)
}
