package report

import (
	"fmt"
	"math"
	"strings"

	"imgbuild/images/control"
)

// pageBenchmark is a benchmark's score at its levels and by section.
type pageBenchmark struct {
	ID, Version string
	Levels      []pageLevel
	// Chapters are by the first number of the sections, at the highest level;
	// Parts by the first two.
	Chapters, Parts []chapter
}

type pageLevel struct {
	Level int
	// Percent and Waived are the score without waivers and with them.
	Percent, Waived string
	// Trend is against the report before; nil without one.
	Trend *trend
}

// trend is how a score has moved.
type trend struct{ Class, Text string }

// chapter adds up sections that begin alike.
type chapter struct {
	Number     string
	Pass, Fail int
}

// Total is how many sections of the chapter say something.
func (c chapter) Total() int { return c.Pass + c.Fail }

// pageBenchmarks are the scores of a report, next to those of the one before.
func pageBenchmarks(r, before *Report) []pageBenchmark {
	var list []pageBenchmark
	for _, s := range r.Scores {
		if len(list) == 0 || list[len(list)-1].ID != s.Benchmark {
			list = append(list, pageBenchmark{ID: s.Benchmark, Version: s.Version})
		}
		b := &list[len(list)-1]
		level := pageLevel{Level: s.Level, Percent: percentText(s.Percent()), Waived: percentText(s.PercentWaived())}
		if before != nil {
			if was, ok := before.Score(s.Benchmark, s.Level); ok {
				level.Trend = newTrend(s.Percent() - was.Percent())
			}
		}
		b.Levels = append(b.Levels, level)
		b.Chapters, b.Parts = chapters(s, 1), chapters(s, 2)
	}
	return list
}

// percentText is a score as people read it: 100.0 % is all.
func percentText(percent float64) string {
	if text := fmt.Sprintf("%.1f %%", percent); text != "100.0 %" || percent == 100 {
		return text
	}
	return "99.9 %"
}

func newTrend(by float64) *trend {
	switch by = math.Round(by*10) / 10; {
	case by > 0:
		return &trend{"up", fmt.Sprintf("▲ %.1f", by)}
	case by < 0:
		return &trend{"down", fmt.Sprintf("▼ %.1f", -by)}
	}
	return &trend{"dim", "± 0.0"}
}

// chapters adds up what passes and fails by the first numbers of the sections,
// without those of which nothing does either.
func chapters(s control.Score, depth int) []chapter {
	var list []chapter
	for _, section := range s.Sections {
		numbers := strings.Split(section.Section, ".")
		number := strings.Join(numbers[:min(depth, len(numbers))], ".")
		pass, fail := 0, 0
		switch section.Result {
		case control.Pass:
			pass = 1
		case control.Fail, control.Error, control.Waived:
			fail = 1
		default:
			continue
		}
		if len(list) == 0 || list[len(list)-1].Number != number {
			list = append(list, chapter{Number: number})
		}
		last := &list[len(list)-1]
		last.Pass += pass
		last.Fail += fail
	}
	return list
}
