package project

import "time"

// RotateWatched rotates keys and calls between before the first step and after
// every one: what is on the disk then is what a killed rotation leaves.
func (p *Project) RotateWatched(now time.Time, between func(step int)) error {
	r := &rotation{Project: p, now: now}
	if err := r.check(); err != nil {
		return err
	}
	return r.watched(between)
}

// MakeKeysWatched does the same with the making of first keys.
func (p *Project) MakeKeysWatched(now time.Time, between func(step int)) error {
	return (&rotation{Project: p, now: now}).watched(between)
}

func (r *rotation) watched(between func(step int)) error {
	between(0)
	for i, step := range r.steps() {
		if err := step(); err != nil {
			return err
		}
		between(i + 1)
	}
	return nil
}
