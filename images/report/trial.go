package report

import "fmt"

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
	note := func(when string, answers []Answer) {
		if len(answers) == 0 {
			failed = append(failed, when+": nothing was asked")
		}
		for _, a := range answers {
			if a.Error != "" {
				failed = append(failed, fmt.Sprintf("%s: %s (%s): %s", when, a.Name, a.Asked, a.Error))
			}
		}
	}
	note("isolation", t.Isolation)
	if len(t.Starts) == 0 {
		failed = append(failed, "it was not started")
	}
	for i, start := range t.Starts {
		note(fmt.Sprintf("start %d", i+1), start.Answers)
	}
	return failed
}
