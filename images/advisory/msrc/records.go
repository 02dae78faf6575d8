package msrc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem/buildversion"
	"imgbuild/images/control"
)

// Feed is what records of these documents have as their feed, and Ecosystem the
// ecosystem of their packages, whose versions are build numbers.
const (
	Feed      = "msrc"
	Ecosystem = "Windows"
)

// families are those of what runs on a Windows server. A component of a product
// of theirs is one too; what Microsoft publishes of Azure Linux, of services and
// of software for other systems is not.
var families = []string{"Windows", "ESU", "Server Software", "SQL Server", "System Center"}

// Records gives what the documents say as records: one of each vulnerability, by
// its id, and one of each update and product, by the number of the update. A
// package is a product by Microsoft's name, and its version the build. It ends
// with the first error.
func (h *History) Records(each func(*advisory.Record) error) error {
	w := &writer{map[string]*advisory.Record{}, map[string]*advisory.Record{}, map[*Vulnerability]map[string]rating{}}
	for _, id := range slices.Sorted(maps.Keys(h.products)) {
		if p := h.products[id]; h.onWindows(p) {
			for _, s := range p.merged() {
				w.add(p, s)
			}
		}
	}
	for _, r := range w.vulnerabilities {
		believeTheGraver(r)
	}
	for _, list := range []map[string]*advisory.Record{w.vulnerabilities, w.updates} {
		for _, key := range slices.Sorted(maps.Keys(list)) {
			if err := list[key].Check(); err != nil {
				return fmt.Errorf("reading MSRC documents: %w", err)
			}
			if err := each(list[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *History) onWindows(p *product) bool {
	if slices.Contains(families, p.Family) {
		return true
	}
	at := strings.LastIndexByte(p.ID, '-')
	if at < 0 {
		return false
	}
	system := h.products[p.ID[at+1:]]
	return system != nil && slices.Contains(families, system.Family)
}

// merged are the statements of a product, with those of several documents about
// one vulnerability made one, in the order of ids.
func (p *product) merged() []*statement {
	by := map[string]*statement{}
	for i := range p.statements {
		s := &p.statements[i]
		m := by[s.of.ID]
		if m == nil {
			m = &statement{}
			by[s.of.ID] = m
		}
		m.month, m.of = s.month, s.of
		m.affected = m.affected || s.affected
		m.others = append(m.others, s.others...)
		for _, u := range s.fixes {
			if !slices.Contains(m.fixes, u) {
				m.fixes = append(m.fixes, u)
			}
		}
	}
	var list []*statement
	for _, id := range slices.Sorted(maps.Keys(by)) {
		list = append(list, by[id])
	}
	return list
}

// writer holds the records of vulnerabilities by id, and of updates by number
// and product.
type writer struct {
	vulnerabilities, updates map[string]*advisory.Record
	ratings                  map[*Vulnerability]map[string]rating
}

func (w *writer) add(p *product, s *statement) {
	r := w.vulnerabilities[s.of.ID]
	if r == nil {
		r = &advisory.Record{
			ID: s.of.ID, Feed: Feed, Summary: s.of.Title, Published: s.of.Published, Modified: s.of.Revised,
			References: []string{"https://msrc.microsoft.com/update-guide/vulnerability/" + s.of.ID},
		}
		worst := w.rating(s.of, "")
		r.Severity, r.Vector = worst.severity, worst.vector
		w.vulnerabilities[s.of.ID] = r
	}
	severity := w.rating(s.of, p.ID).severity
	for _, a := range s.affectedOf(p) {
		if a.Ecosystem, a.Package = Ecosystem, p.Name; severity != r.Severity {
			a.Severity = severity
		}
		r.Affected = append(r.Affected, a)
	}
	decisive := s.decisive()
	for _, u := range s.fixes {
		w.update(p, u, s.of, slices.Contains(decisive, u))
	}
}

// believeTheGraver leaves out that a product does not have a vulnerability at all,
// where another product of the same name has it: packages have no other name.
func believeTheGraver(r *advisory.Record) {
	has := map[string]bool{}
	for _, a := range r.Affected {
		has[a.Package] = has[a.Package] || a.Status != advisory.StatusNotAffected
	}
	r.Affected = slices.DeleteFunc(r.Affected, func(a advisory.Affected) bool {
		return has[a.Package] && a.Status == advisory.StatusNotAffected && len(a.Versions) == 0
	})
}

// rating is how bad a vulnerability is: Microsoft's word, else what its score
// stands for. Of products without a rating it is that of all.
type rating struct {
	severity control.Severity
	vector   string
}

func (r rating) worse(other rating) rating {
	if other.severity != "" && (r.severity == "" || !r.severity.AtLeast(other.severity)) {
		return other
	}
	return r
}

// ratings are those of a vulnerability by product; the worst of all is that of "".
func (v *Vulnerability) ratings() map[string]rating {
	words, scores := map[string]rating{}, map[string]rating{}
	note := func(in map[string]rating, s Statement, r rating) {
		in[""] = in[""].worse(r)
		for _, id := range s.Products {
			in[id] = in[id].worse(r)
		}
	}
	for _, s := range v.Ratings {
		note(words, s, rating{severity: advisory.SeverityOfWord(s.Text)})
	}
	if words[""].severity != "" {
		return words
	}
	read := map[string]rating{}
	for _, s := range v.Scores {
		r, ok := read[s.Text]
		if !ok {
			// A vector that cannot be read rates nothing.
			if severity, err := advisory.SeverityOfVector(s.Text); err == nil {
				r = rating{severity, s.Text}
			}
			read[s.Text] = r
		}
		note(scores, s, r)
	}
	return scores
}

// rating is that of a vulnerability in a product.
func (w *writer) rating(v *Vulnerability, id string) rating {
	if w.ratings[v] == nil {
		w.ratings[v] = v.ratings()
	}
	if r, ok := w.ratings[v][id]; ok {
		return r
	}
	return w.ratings[v][""]
}

func since(build string) []advisory.Range {
	events := []advisory.Event{{Introduced: "0"}}
	if build != "" {
		events = append(events, advisory.Event{Fixed: build})
	}
	return []advisory.Range{{Events: events}}
}

// affectedOf is what a statement says of its product, whose name is still to be
// added.
func (s *statement) affectedOf(p *product) []advisory.Affected {
	if !s.affected {
		return []advisory.Affected{{Status: advisory.StatusNotAffected, Note: "Microsoft says that it does not have it"}}
	}
	if len(s.fixes) == 0 {
		return []advisory.Affected{s.otherwise()}
	}
	var list []advisory.Affected
	for _, u := range s.decisive() {
		if !u.line.cumulative {
			list = append(list, advisory.Affected{Status: advisory.StatusUndetermined, Note: unread(p, u)})
			continue
		}
		list = append(list, advisory.Affected{Ranges: since(u.build), Note: "mended by " + u.kb})
		if builds, first := s.hotpatched(u); len(builds) > 0 {
			list = append(list, advisory.Affected{Status: advisory.StatusNotAffected, Versions: builds, Note: "these are builds of hotpatches: mended by " + first})
		}
	}
	return list
}

// unread says why it cannot be told by the build whether an update is there.
func unread(p *product, u *update) string {
	if !buildversion.Valid(u.build) {
		return fmt.Sprintf("mended by %s, of which no build is named that could be compared", u.kb)
	}
	return fmt.Sprintf("mended by %s, whose build %s is not that of %s", u.kb, u.build, p.Name)
}

// otherwise is of what no update with a number mends.
func (s *statement) otherwise() advisory.Affected {
	var build, text string
	for _, f := range s.others {
		if text = f.Text; buildversion.Valid(f.Build) && (build == "" || buildversion.Compare(f.Build, build) > 0) {
			build = f.Build
		}
	}
	switch {
	case text == "":
		return advisory.Affected{Ranges: since(""), Note: "Microsoft names no update for it"}
	case build == "":
		return advisory.Affected{Status: advisory.StatusUndetermined, Note: advisory.Line(fmt.Sprintf("mended by %q, of which no build is named that could be compared", text))}
	}
	return advisory.Affected{Ranges: since(build), Note: advisory.Line(fmt.Sprintf("mended by %q", text))}
}

// hotpatched are the builds below that of an update which are without the
// vulnerability: those of hotpatches from the one that mends it on.
func (s *statement) hotpatched(u *update) (builds []string, first string) {
	for _, h := range s.fixes {
		if h.kind != Hotpatch || !h.line.cumulative || u.kind == Hotpatch {
			continue
		}
		for _, other := range h.line.updates {
			if len(builds) <= maxHotpatches && buildversion.Compare(other.build, h.build) >= 0 && buildversion.Compare(other.build, u.build) < 0 {
				builds, first = append(builds, other.build), h.kb
			}
		}
	}
	if len(builds) > maxHotpatches {
		return nil, "" // then they count as affected
	}
	return tidy(builds), first
}

// maxHotpatches is how many builds of hotpatches there may be between two
// cumulative updates; there are some three.
const maxHotpatches = 50

// update notes that an update mends a vulnerability in a product; when it came
// out no document says. One that is
// not decisive says nothing of those systems of which nothing can be compared:
// another update does.
func (w *writer) update(p *product, u *update, v *Vulnerability, decisive bool) {
	key := u.kb + " " + p.ID
	r := w.updates[key]
	if r == nil {
		r = &advisory.Record{
			ID: u.kb, Feed: Feed, Summary: advisory.Line(fmt.Sprintf("%s for %s, build %s", u.kind.words(), p.Name, u.build)),
			References: []string{"https://support.microsoft.com/help/" + strings.TrimPrefix(u.kb, "KB")},
		}
		if u.line.cumulative {
			r.Affected = []advisory.Affected{{Ecosystem: Ecosystem, Package: p.Name, Ranges: since(u.build)}}
		} else if decisive {
			r.Affected = []advisory.Affected{{Ecosystem: Ecosystem, Package: p.Name, Status: advisory.StatusUndetermined, Note: unread(p, u)}}
		}
		w.updates[key] = r
	}
	r.Upstream = append(r.Upstream, v.ID)
	r.Severity = advisory.Worse(r.Severity, w.rating(v, p.ID).severity)
}

// words are the kind as people say it.
func (k Kind) words() string {
	switch k {
	case Hotpatch:
		return "Hotpatch"
	case InternetExplorer:
		return "Cumulative update of Internet Explorer"
	case OtherKind:
		return "Update"
	}
	text := strings.ReplaceAll(string(k), "-", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}
