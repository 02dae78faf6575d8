package pipeline

import (
	"cmp"
	"maps"
	"slices"

	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

func packageDifference(c updates.Change) life.PackageDifference {
	d := life.PackageDifference{Name: c.Name}
	if c.Old != nil {
		d.From = c.Old.Version
	}
	if c.New != nil {
		d.To = c.New.Version
	}
	return d
}

// filesDifference counts what differs, and names some of it.
func filesDifference(old, now integrity.Manifest) life.FilesDifference {
	var d life.FilesDifference
	for _, c := range integrity.Compare(old, now) {
		switch c.Kind {
		case integrity.Added:
			d.Added++
		case integrity.Removed:
			d.Removed++
		default:
			d.Changed++
		}
		if len(d.Examples) < examplesShown {
			d.Examples = append(d.Examples, recordable(string(c.Kind)+" "+c.Path))
		}
	}
	return d
}

// scoreDifferences are the scores of the disk, or of the container without one, that
// both scans gave and that differ.
func scoreDifferences(before, now map[control.Output]*report.Report) []life.ScoreDifference {
	var list []life.ScoreDifference
	for _, form := range []control.Output{control.Machine, control.Container} {
		if before[form] == nil || now[form] == nil {
			continue
		}
		for _, score := range now[form].Scores {
			at := slices.IndexFunc(before[form].Scores, func(s control.Score) bool { return s.Benchmark == score.Benchmark && s.Level == score.Level })
			if at < 0 || before[form].Scores[at].Percent() == score.Percent() {
				continue
			}
			list = append(list, life.ScoreDifference{Benchmark: score.Benchmark, Level: score.Level, From: before[form].Scores[at].Percent(), To: score.Percent()})
		}
		break
	}
	slices.SortFunc(list, func(a, b life.ScoreDifference) int {
		return cmp.Or(cmp.Compare(a.Benchmark, b.Benchmark), cmp.Compare(a.Level, b.Level))
	})
	return list
}

// without are the ids of one set that another has not, sorted.
func without(ids, others map[string]bool) []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !others[id] {
			list = append(list, id)
		}
	}
	return list
}
