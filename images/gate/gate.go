// Package gate judges whether an image may enter a channel: the gates of its
// recipe held against what is known of the finished version. It is pure: it
// reads nothing itself, and never decides what follows from a no.
package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// Facts are what is known of a finished version.
type Facts struct {
	// Sizes are the stored sizes of its outputs in bytes, by output name:
	// "container", "qcow2", "raw".
	Sizes map[string]int64
	// Packages are the names of all packages in any output.
	Packages []string
	// Forms are those that it has, Reports what scans found of them.
	Forms   []control.Output
	Reports map[control.Output]*report.Report
	// Trials are the newest ones of the forms; none of what was not started.
	Trials map[control.Output]*report.Trial
	// Before is the version before; nil when it is the first that was scanned.
	Before *Before
	// Now is when waivers must hold.
	Now time.Time
}

// Before is the newest earlier version that was scanned and may be used: what
// a version must not be worse than.
type Before struct {
	// Version is its name, for people.
	Version string
	Reports map[control.Output]*report.Report
}

// Refusal is a gate that said no.
type Refusal struct {
	// Gate is its key in the recipe, such as "max-size.container".
	Gate string `json:"gate"`
	// Why says what was found and what was wanted.
	Why string `json:"why"`
}

// Judge holds facts against gates and returns those that say no, in order. A
// gate about an output that the version does not have says no: what cannot be
// seen is not passed.
func Judge(gates baseline.Gates, facts Facts) []Refusal {
	var refusals []Refusal
	for output, most := range gates.MaxSize {
		size, known := facts.Sizes[output]
		name := "max-size." + output
		switch {
		case !known:
			refusals = append(refusals, Refusal{name, "the version has no such output"})
		case size > int64(most):
			refusals = append(refusals, Refusal{name, fmt.Sprintf("it has %s, at most %s are allowed", mib(size), mib(int64(most)))})
		}
	}
	for _, name := range gates.ForbidPackages {
		if slices.Contains(facts.Packages, name) {
			refusals = append(refusals, Refusal{"forbid-packages." + name, "the package is installed"})
		}
	}
	if gates.Scanned() {
		refusals = append(refusals, scanned(gates, facts)...)
	}
	// Of one gate they stay as they come: the worst first.
	slices.SortStableFunc(refusals, func(a, b Refusal) int { return strings.Compare(a.Gate, b.Gate) })
	return few(refusals)
}

// The refusals are kept as a record: of one gate so many, of a reason so many
// bytes.
const (
	maxRefusals = 10
	maxWhy      = 400
)

// few leaves of sorted refusals of one gate the first ones, and says how many
// more there are; whoever wants all of them reads the report.
func few(refusals []Refusal) []Refusal {
	var list []Refusal
	for len(refusals) > 0 {
		same := 1
		for same < len(refusals) && refusals[same].Gate == refusals[0].Gate {
			same++
		}
		for _, r := range refusals[:min(same, maxRefusals)] {
			if len(r.Why) > maxWhy {
				r.Why = strings.ToValidUTF8(r.Why[:maxWhy], "") + "…"
			}
			list = append(list, r)
		}
		if same > maxRefusals {
			list = append(list, Refusal{refusals[0].Gate, fmt.Sprintf("and %d more", same-maxRefusals)})
		}
		refusals = refusals[same:]
	}
	return list
}

// scanned are the gates that say no to what scans found. A form that was not
// scanned whole is refused, and so is a version without any form: what was not
// looked at is not passed.
func scanned(gates baseline.Gates, facts Facts) []Refusal {
	var refusals []Refusal
	if len(facts.Forms) == 0 {
		refusals = append(refusals, Refusal{"scan", "the version has no form that could be scanned"})
	}
	for _, form := range facts.Forms {
		r := facts.Reports[form]
		no := func(gate, why string, args ...any) {
			refusals = append(refusals, Refusal{gate + "." + string(form), fmt.Sprintf(why, args...)})
		}
		if r == nil {
			no("scan", "it was not scanned")
			continue
		}
		if r.Narrowed {
			no("scan", "it was held to a part of what there is only")
			continue
		}
		for _, u := range r.Unseen {
			no("scan", "%s was not looked at", u)
		}
		if gates.NoFail != "" {
			if len(r.Findings) == 0 {
				no("no-fail", "no control was held against it")
			}
			for _, f := range r.Failed(gates.NoFail, facts.Now) {
				no("no-fail."+f.Control, "%s (%s): %s", f.Title, f.Severity, reason(f))
			}
		}
		if gates.BootTrial {
			trial := facts.Trials[form]
			if trial == nil {
				no("boot-trial", "it was not started")
			} else {
				for _, failed := range trial.Failed() {
					no("boot-trial", "%s", failed)
				}
			}
		}
		if gates.CVEs != nil {
			refusals = append(refusals, cves(gates.CVEs, string(form), r, facts.Now)...)
		}
		if gates.Clean {
			for _, s := range r.Littered(facts.Now) {
				no("clean", "%s", s)
			}
			for _, d := range r.Drift {
				no("clean", "%s", d)
			}
			if !r.Compared {
				no("clean", "it was not compared with its manifest")
			}
		}
	}
	refusals = append(refusals, scores(gates, facts)...)
	if gates.NoWorse && facts.Before != nil {
		refusals = append(refusals, worse(facts)...)
	}
	return refusals
}

// reason is why a finding is refused, with the first of its differences.
func reason(f control.Finding) string {
	text := "it fails"
	switch {
	case f.Result == control.Error:
		text = "it cannot be told: " + f.Why
	case f.Result == control.Waived:
		text = "its waiver holds no more"
	}
	if f.Result != control.Error && len(f.Differences) > 0 {
		text += ": " + f.Differences[0].String()
		if more := len(f.Differences) - 1; more > 0 {
			text += fmt.Sprintf(", and %d more", more)
		}
	}
	return text
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// Error is the refusals as one error of kind fault.Gate, a line each; nil without
// any. scope is whom the image was judged for.
func Error(image string, scope control.Scope, refusals []Refusal) error {
	if len(refusals) == 0 {
		return nil
	}
	var all []string
	for _, r := range refusals {
		all = append(all, r.Gate+": "+r.Why)
	}
	between := " "
	if len(all) > 1 {
		between = "\n  "
	}
	whom, flag := "", ""
	if scope != "" {
		whom, flag = " for "+string(scope), " "+scope.Flag()
	}
	no := fault.Gatef("%s does not pass the gates of its recipe%s:%s%s", image, whom, between, strings.Join(all, between))
	again := scanAgain(image, flag, refusals)
	if Aged(refusals) {
		return no.WithHint("read the feeds and scan it again: imgbuild feeds check && %s", again)
	}
	return no.WithHint("change the recipe or its gates and bake again; after a change of waivers, %s", again)
}

// scanAgain is what scans the forms that refusals are about, and starts those whose
// trial is missing or failed, a command for each: one that says no form scans the disk
// of a version that has one.
func scanAgain(image, flag string, refusals []Refusal) string {
	var commands []string
	for _, form := range []control.Output{control.Machine, control.Container} {
		about := func(gate string) bool {
			return slices.ContainsFunc(refusals, func(r Refusal) bool {
				return strings.HasPrefix(r.Gate, gate) && strings.HasSuffix(r.Gate, "."+string(form))
			})
		}
		if !about("") {
			continue
		}
		command := "imgbuild scan " + image + flag
		if form == control.Container {
			command += " --form container"
		}
		if about("boot-trial.") {
			command += " --boot-trial"
		}
		commands = append(commands, command+" --attach")
	}
	if len(commands) == 0 {
		return "imgbuild scan " + image + flag + " --attach"
	}
	return strings.Join(commands, "; ")
}
