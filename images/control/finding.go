package control

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Result is what came of holding a control against a system.
type Result string

// The results.
const (
	Pass Result = "pass"
	Fail Result = "fail"
	// Error means that it could not be told: a file that does not parse.
	Error Result = "error"
	// Manual means that a person has to look.
	Manual        Result = "manual"
	NotApplicable Result = "not-applicable"
	// Waived is a failure that is accepted.
	Waived Result = "waived"
)

// worst orders results by what they make of a section that several controls
// meet together.
var worst = []Result{Error, Fail, Waived, Manual, Pass, NotApplicable}

// Worst is the worse of two results; the other one where one is empty.
func Worst(a, b Result) Result {
	if a == "" || b != "" && slices.Index(worst, b) < slices.Index(worst, a) {
		return b
	}
	return a
}

// Difference is one way in which a system is not as a control demands.
type Difference struct {
	// Subject is what was looked at, Have and Want are the two states.
	Subject string `json:"subject"`
	Have    string `json:"have"`
	Want    string `json:"want"`
}

func (d Difference) String() string {
	return fmt.Sprintf("%s is %s, should be %s", d.Subject, d.Have, d.Want)
}

// Finding is the result of one control.
type Finding struct {
	Control  string   `json:"control"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Result   Result   `json:"result"`
	// Asked says that the target was to be in this state: it is of the profiles
	// of its recipe, or nobody chose any.
	Asked bool `json:"asked"`
	// Differences are the evidence of a failure.
	Differences []Difference `json:"differences,omitempty"`
	// Looked says what of a system was looked at: the identities of the
	// control's resources.
	Looked []string `json:"looked,omitempty"`
	// Why explains an error, and why a control is not applicable.
	Why string `json:"why,omitempty"`
	// Waiver is the id of the one that accepts the failure, also of one that
	// does not any more.
	Waiver string `json:"waiver,omitempty"`
	// WaivedBefore is the first moment at which the waiver holds no more; zero
	// for what is not waived.
	WaivedBefore time.Time   `json:"waived_before,omitzero"`
	References   []Reference `json:"references,omitempty"`
}

// ToLookAt is a section of a benchmark that a person has to look at.
type ToLookAt struct {
	Reference
	Title string `json:"title"`
	// What says what to look at.
	What string `json:"what"`
}

// Report is what was found on one output of an image, or on one host.
type Report struct {
	// Platform is such as "debian-12".
	Platform string `json:"platform"`
	Output   Output `json:"output"`
	// Narrowed says that only a part was asked for, such as some benchmarks: no
	// gate goes by such a report.
	Narrowed bool `json:"narrowed,omitempty"`
	// Findings are sorted by control.
	Findings []Finding `json:"findings"`
	// Manual are the sections that a person has to look at.
	Manual []ToLookAt `json:"manual"`
	Scores []Score    `json:"scores"`
}

// Score adds up the sections of one benchmark up to a level.
type Score struct {
	Benchmark string `json:"benchmark"`
	Version   string `json:"version"`
	Level     int    `json:"level"`
	// Counts are of sections, by result.
	Counts map[Result]int `json:"counts"`
	// Sections are the results one by one, in the benchmark's order.
	Sections []SectionResult `json:"sections"`
}

// SectionResult is the result of one section.
type SectionResult struct {
	Section string `json:"section"`
	Result  Result `json:"result"`
}

// Percent is the share of the sections that pass among those that pass or
// fail; what could not be told and what is waived counts as failed. Without any
// it is 0, for nothing was shown.
func (s Score) Percent() float64 { return percent(s.Counts[Pass], s.failed()+s.Counts[Waived]) }

// PercentWaived is Percent with what is waived counted as passed.
func (s Score) PercentWaived() float64 {
	return percent(s.Counts[Pass]+s.Counts[Waived], s.failed())
}

func (s Score) failed() int { return s.Counts[Fail] + s.Counts[Error] }

func percent(pass, fail int) float64 {
	if pass+fail == 0 {
		return 0
	}
	return 100 * float64(pass) / float64(pass+fail)
}

// Score adds findings up by a benchmark's sections up to a level. A section
// has the worst result of its controls; it is not applicable when all of them
// are, or when none of them was held against the system.
func (b *Benchmark) Score(level int, findings []Finding) Score {
	results := make(map[string]Result, len(findings))
	for _, f := range findings {
		results[f.Control] = f.Result
	}
	score := Score{Benchmark: b.ID, Version: b.Version, Level: level, Counts: map[Result]int{}}
	for _, section := range b.Sections {
		if section.Level > level {
			continue
		}
		result := NotApplicable
		if section.Manual != "" {
			result = Manual
		}
		for _, id := range section.Controls {
			if r, ok := results[id]; ok && slices.Index(worst, r) < slices.Index(worst, result) {
				result = r
			}
		}
		score.Counts[result]++
		score.Sections = append(score.Sections, SectionResult{Section: section.ID, Result: result})
	}
	return score
}

// Score is that of a benchmark at a level, and whether there is one.
func (r *Report) Score(benchmark string, level int) (Score, bool) {
	for _, s := range r.Scores {
		if s.Benchmark == benchmark && s.Level == level {
			return s, true
		}
	}
	return Score{}, false
}

// Failed are the findings of a severity and above that were asked for and fail
// at a moment, or could not be told: also those whose waiver holds no more.
func (r *Report) Failed(least Severity, now time.Time) []Finding {
	var list []Finding
	for _, f := range r.Findings {
		failed := f.Result == Fail || f.Result == Error || f.Result == Waived && !now.Before(f.WaivedBefore)
		if failed && f.Asked && f.Severity.AtLeast(least) {
			list = append(list, f)
		}
	}
	return list
}

// NewReport makes a report of findings: sorted by control, with what each is
// there for, and the scores of the named benchmarks, of all of the platform's
// when none is named, at each level up to the given one. findings must be of all
// controls that these ask for.
func (s *Set) NewReport(platform string, output Output, findings []Finding, level int, named ...string) *Report {
	r := &Report{
		Platform: platform, Output: output, Narrowed: level < maxLevel || len(named) > 0,
		Findings: append([]Finding{}, findings...), Manual: []ToLookAt{}, Scores: []Score{},
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int { return strings.Compare(a.Control, b.Control) })
	for i := range r.Findings {
		r.Findings[i].References = slices.DeleteFunc(s.References(r.Findings[i].Control), func(ref Reference) bool {
			b := s.Benchmarks[ref.Benchmark]
			return b != nil && !b.For(platform)
		})
	}
	for _, id := range sortedKeys(s.Benchmarks) {
		b := s.Benchmarks[id]
		if !b.For(platform) || len(named) > 0 && !slices.Contains(named, id) {
			continue
		}
		judged := false
		for l := 1; l <= level; l++ {
			if score := b.Score(l, findings); score.judged() > 0 {
				r.Scores, judged = append(r.Scores, score), true
			}
		}
		if judged {
			r.Manual = append(r.Manual, b.manual(level)...)
		}
	}
	return r
}

// maxLevel is the highest level of a benchmark.
const maxLevel = 2

// manual are the benchmark's sections up to a level that a person looks at.
func (b *Benchmark) manual(level int) []ToLookAt {
	var list []ToLookAt
	for _, s := range b.Sections {
		if s.Manual != "" && s.Level <= level {
			list = append(list, ToLookAt{Reference{b.ID, b.Version, s.ID, s.Level}, s.Title, s.Manual})
		}
	}
	return list
}

// judged is how many sections say something of the system.
func (s Score) judged() int { return s.Counts[Pass] + s.failed() + s.Counts[Waived] }
