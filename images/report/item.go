package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"imgbuild/images/advisory"
	"imgbuild/images/control"
)

// item is one thing that was looked at, of whatever kind.
type item struct {
	// Rule is the control's id, "integrity", "hygiene-" and a kind, "boot-trial-" and
	// a part of it, a vulnerability's id or "advisories".
	Rule, Title string
	Severity    control.Severity
	Result      control.Result
	// Why and Evidence say what was found; Paths are the files it was found in.
	Why      string
	Evidence []string
	Paths    []string
	Sections []string
	// Looked says what of the target was looked at.
	Looked []string
	// Vulnerability tells what is one.
	Vulnerability bool
}

// The titles of what is no control.
const (
	integrityRule  = "integrity"
	integrityTitle = "every file is what was baked"
	seenRule       = "seen"
	seenTitle      = "all of it was looked at"
	hygienePrefix  = "hygiene-"
	hygieneTitle   = "nothing lies in the image that must not"
)

// items are all things of a report: its rules, then its vulnerabilities.
func items(r *Report) []item { return append(rules(r), vulnerable(r)...) }

// rules are the things of a report that have a result each time: its controls, then
// what differs from the manifest, then what must not be there, then what another
// engine says, then the boot trial.
func rules(r *Report) []item {
	var list []item
	for _, f := range r.Findings {
		i := item{Rule: f.Control, Title: f.Title, Severity: f.Severity, Result: f.Result, Why: f.Why, Looked: f.Looked}
		for _, d := range f.Differences {
			i.Evidence = append(i.Evidence, d.String())
			if path, _, _ := strings.Cut(d.Subject, ":"); strings.HasPrefix(path, "/") {
				i.Paths = append(i.Paths, path)
			}
		}
		for _, ref := range f.References {
			i.Sections = append(i.Sections, ref.Benchmark+" "+ref.Section)
		}
		list = append(list, i)
	}
	for _, m := range r.Manual {
		list = append(list, item{
			Rule: m.Benchmark + "-" + m.Section, Title: m.Title, Severity: control.Low, Result: control.Manual, Why: m.What,
			Sections: []string{m.Benchmark + " " + m.Section},
		})
	}
	if r.Looked(Integrity) {
		list = append(list, drift(r))
	}
	if len(r.Checks) == 0 || len(r.Unseen) > 0 {
		list = append(list, seen(r))
	}
	list = append(list, hygienic(r)...)
	list = append(list, opinions(r.Opinion)...)
	return append(list, tried(r.Trial)...)
}

// seen is the one item of what was not looked at.
func seen(r *Report) item {
	i := item{Rule: seenRule, Title: seenTitle, Severity: control.High, Result: control.Pass, Evidence: r.Unseen}
	if len(r.Unseen) > 0 {
		i.Result = control.Fail
	}
	return i
}

// drift is the one item of the integrity manifest.
func drift(r *Report) item {
	i := item{Rule: integrityRule, Title: integrityTitle, Severity: control.High, Result: control.Pass}
	switch {
	case !r.Compared:
		i.Result, i.Why = control.NotApplicable, "there is no manifest to compare with"
	case len(r.Drift) > 0:
		i.Result = control.Fail
	}
	for _, d := range r.Drift {
		i.Evidence = append(i.Evidence, d.String())
		i.Paths = append(i.Paths, "/"+d.Path)
	}
	return i
}

// hygienic are the kinds of what must not be there that were found, one item
// that passes without any; of a server, where none is looked for, no item.
func hygienic(r *Report) []item {
	if r.Live || !r.Looked(Hygiene) {
		return nil
	}
	if len(r.Strays) == 0 {
		return []item{{Rule: strings.TrimSuffix(hygienePrefix, "-"), Title: hygieneTitle, Severity: control.High, Result: control.Pass}}
	}
	var list []item
	for _, f := range r.Strays {
		rule, result := hygienePrefix+f.Kind, control.Fail
		if f.Waived(r.At) {
			result = control.Waived
		}
		at := slices.IndexFunc(list, func(i item) bool { return i.Rule == rule && i.Result == result })
		if at < 0 {
			at, list = len(list), append(list, item{Rule: rule, Title: "in the image: " + f.Kind, Severity: control.High, Result: result})
		}
		text := f.Path + ": " + f.Detail
		if f.Why != "" {
			text += "; " + f.Why
		}
		list[at].Evidence = append(list[at].Evidence, text)
		list[at].Paths = append(list[at].Paths, f.Path)
	}
	return list
}

// The title and rule of whether the vulnerabilities could be told.
const (
	advisoriesRule  = "advisories"
	advisoriesTitle = "what is published about vulnerabilities was looked at"
)

// vulnerable are the vulnerabilities, after whether they could be told. Of a server,
// where nobody looks for them, there is no item.
func vulnerable(r *Report) []item {
	if r.Live || !r.Looked(CVEs) {
		return nil
	}
	first := item{Rule: advisoriesRule, Title: advisoriesTitle, Severity: control.High, Result: control.Pass}
	if r.Advised == nil {
		first.Result, first.Why = control.NotApplicable, NotLooked
		return []item{first}
	}
	if first.Evidence = r.Untold(); len(first.Evidence) > 0 {
		first.Result = control.Error
	}
	list := []item{first}
	for i := range r.Vulnerabilities {
		list = append(list, r.Vulnerabilities[i].item(r.At))
	}
	return list
}

// Untold is why that nothing more is said of the vulnerabilities is no fact: for want
// of feeds, for the alarms of those that say what there is and what is exploited, and
// for packages that could not be judged. It is nil where nobody looked, which is no
// fact either.
func (r *Report) Untold() []string {
	if r.Advised == nil {
		return nil
	}
	var list []string
	asked := []Says{OfPackages}
	if r.Advised.Has(OfExploits) {
		asked = append(asked, OfExploits)
	}
	for _, says := range asked {
		for _, lack := range r.Advised.Lacks(says, r.At) {
			list = append(list, lack.String())
		}
	}
	for _, unclear := range r.Advised.Unclear() {
		list = append(list, "it cannot be told which vulnerabilities it has: "+unclear)
	}
	return list
}

// item is a vulnerability as one of the things of a report.
func (v *Vulnerability) item(now time.Time) item {
	i := item{
		Rule: v.ID, Title: v.ID + " in " + v.Source + " " + v.Version, Severity: v.Severity, Result: v.Result(now), Why: v.Why,
		Evidence: append([]string{v.Mend()}, v.facts()...), Paths: []string{"/var/lib/dpkg/status"}, Vulnerability: true,
	}
	return i
}

// Result is what a vulnerability is among the results of a scan.
func (v *Vulnerability) Result(now time.Time) control.Result {
	switch {
	case v.Waived(now):
		return control.Waived
	case v.Pressing():
		return control.Fail
	case v.State == advisory.StateUnimportant:
		return control.NotApplicable
	case v.Dismissed():
		return control.Manual
	case v.State == advisory.StateUndetermined:
		return control.Error
	}
	return control.Fail
}

// facts are further lines about a vulnerability.
func (v *Vulnerability) facts() []string {
	list := []string{"installed from it: " + strings.Join(v.Binaries, ", ")}
	if v.Exploited != nil {
		text := "known to be exploited since " + v.Exploited.Since.Format(time.DateOnly)
		if v.Exploited.Ransomware {
			text += ", for ransomware too"
		}
		list = append(list, text)
	}
	if v.EPSS != nil {
		list = append(list, "the chance of it being exploited within 30 days is "+v.EPSS.String()+" (EPSS)")
	}
	if len(v.Aliases) > 0 {
		list = append(list, "also called "+strings.Join(v.Aliases, ", "))
	}
	if len(v.Advisories) > 0 {
		list = append(list, "said by "+strings.Join(v.Advisories, ", "))
	}
	return list
}

// lines is all that is to be said of an item.
func (i item) lines() []string {
	var list []string
	if i.Why != "" {
		list = append(list, plain(i.Why))
	}
	for _, evidence := range i.Evidence {
		list = append(list, plain(evidence))
	}
	return list
}

// most is how much evidence of one item goes into a page and into the formats that
// other programs read, which have bounds of their own. A report as JSON has all.
const most = 1000

// bounded are lines, and how many more there are.
func bounded(lines []string) []string {
	if len(lines) <= most {
		return lines
	}
	return append(slices.Clone(lines[:most]), fmt.Sprintf("and %d more", len(lines)-most))
}

// plain is a text of an image as no terminal and no reader of XML stumbles over
// it.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\x%02x", r)
		}
	}
	return b.String()
}
