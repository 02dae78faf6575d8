package report

import (
	"fmt"

	"imgbuild/images/control"
)

// Trial is how an image behaved when it was started on an isolated network.
type Trial struct {
	// Runs says how it ran: "container", or a virtual machine with its
	// accelerator.
	Runs string `json:"runs"`
	// Isolation is what was tried from inside to get out, each with whether it
	// was in vain.
	Isolation []Answer `json:"isolation"`
	// Starts are the first and those after reboots, in order.
	Starts []Start `json:"starts"`
}

// Start is one start of an image.
type Start struct {
	// Ready is how many seconds passed until every probe was answered.
	Ready float64 `json:"ready"`
	// Answers are those to the recipe's probes and to what holds for every
	// image: no failed unit, ports as declared.
	Answers []Answer `json:"answers"`
}

// Answer is what came of asking one thing.
type Answer struct {
	// Name is the probe's name, Asked what was asked: "GET /, port 80".
	Name  string `json:"name"`
	Asked string `json:"asked"`
	// Error is why it is not as it should be; empty when it is.
	Error string `json:"error,omitempty"`
}

// Failed are the answers that are not as they should be, a line each. A trial
// that asked nothing has failed, for it showed nothing.
func (t *Trial) Failed() []string {
	var failed []string
	for _, p := range t.parts() {
		for _, line := range p.failed() {
			failed = append(failed, p.when+": "+line)
		}
	}
	if len(t.Starts) == 0 {
		failed = append(failed, "it was not started")
	}
	return failed
}

// trialPart is what was asked at one time.
type trialPart struct {
	when    string
	answers []Answer
}

func (t *Trial) parts() []trialPart {
	parts := []trialPart{{"isolation", t.Isolation}}
	for i, start := range t.Starts {
		parts = append(parts, trialPart{fmt.Sprintf("start %d", i+1), start.Answers})
	}
	return parts
}

// failed are the answers that are not as they should be.
func (p trialPart) failed() []string {
	if len(p.answers) == 0 {
		return []string{"nothing was asked"}
	}
	var failed []string
	for _, a := range p.answers {
		if a.Error != "" {
			failed = append(failed, fmt.Sprintf("%s (%s): %s", a.Name, a.Asked, a.Error))
		}
	}
	return failed
}

// trialPrefix begins the rules of a boot trial.
const trialPrefix = "boot-trial-"

// tried are the parts of a boot trial, an item each; none without one.
func tried(t *Trial) []item {
	if t == nil {
		return nil
	}
	if len(t.Starts) == 0 {
		return []item{{Rule: trialPrefix + "start-1", Title: "boot trial: it starts", Severity: control.High, Result: control.Fail, Why: "it was not started"}}
	}
	var list []item
	for i, p := range t.parts() {
		one := item{Severity: control.High, Result: control.Pass, Evidence: p.failed()}
		switch i {
		case 0:
			one.Rule, one.Title = trialPrefix+"isolation", fmt.Sprintf("boot trial: nothing is reached from inside (ways out tried: %d)", len(p.answers))
		case 1:
			one.Rule, one.Title = trialPrefix+"start-1", fmt.Sprintf("boot trial: it starts, as a %s, ready after %.1f s", t.Runs, t.Starts[0].Ready)
		default:
			one.Rule, one.Title = fmt.Sprintf("%sstart-%d", trialPrefix, i), fmt.Sprintf("boot trial: it restarts, ready after %.1f s", t.Starts[i-1].Ready)
		}
		if len(one.Evidence) > 0 {
			one.Result = control.Fail
		}
		for _, a := range p.answers {
			one.Looked = append(one.Looked, a.Name+": "+a.Asked)
		}
		list = append(list, one)
	}
	return list
}
