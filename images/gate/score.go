package gate

import (
	"fmt"

	"imgbuild/images/baseline"
)

// scores are the least scores that are not reached. A benchmark that says
// nothing of one form, such as of a container, is held against the others; one
// that says nothing of any is not passed.
func scores(gates baseline.Gates, facts Facts) []Refusal {
	var refusals []Refusal
	for benchmark, least := range gates.MinScore {
		for level, percent := range []int{1: least.Level1, 2: least.Level2} {
			gate, held := fmt.Sprintf("min-score.%s.level-%d", benchmark, level), false
			for _, form := range facts.Forms {
				r := facts.Reports[form]
				if r == nil || percent == 0 {
					continue
				}
				score, ok := r.Score(benchmark, level)
				if held = held || ok; ok && score.Percent() < float64(percent) {
					refusals = append(refusals, Refusal{gate + "." + string(form), fmt.Sprintf("the score is %.2f %%, at least %d %% are asked for", score.Percent(), percent)})
				}
			}
			if percent != 0 && !held {
				refusals = append(refusals, Refusal{gate, "nothing of the benchmark was held against it"})
			}
		}
	}
	return refusals
}

// worse are the scores that are lower than those of the version before, and
// those that it had and this one lacks. What another platform was held to may
// go with it, and so may a form.
func worse(facts Facts) []Refusal {
	var refusals []Refusal
	for _, form := range facts.Forms {
		was, r := facts.Before.Reports[form], facts.Reports[form]
		if was == nil || r == nil {
			continue // a form without a report is refused by itself
		}
		for _, old := range was.Scores {
			gate := fmt.Sprintf("no-worse.%s.level-%d.%s", old.Benchmark, old.Level, form)
			score, ok := r.Score(old.Benchmark, old.Level)
			switch {
			case ok && score.Percent() < old.Percent():
				refusals = append(refusals, Refusal{gate, fmt.Sprintf("the score is %.2f %%, that of %s is %.2f %%", score.Percent(), facts.Before.Version, old.Percent())})
			case !ok && r.Platform == was.Platform:
				refusals = append(refusals, Refusal{gate, fmt.Sprintf("nothing of the benchmark was held against it, the score of %s is %.2f %%", facts.Before.Version, old.Percent())})
			}
		}
	}
	return refusals
}
