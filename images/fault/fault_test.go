package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"imgbuild/images/fault"
)

func TestKindAndHintSurviveWrapping(t *testing.T) {
	inner := fault.Worldf("tag %q moved", "released").WithHint("run imgbuild images verify")
	err := fmt.Errorf("promoting: %w", fault.Failedf("reading channel").Because(inner))
	if got := fault.KindOf(err); got != fault.Failed {
		t.Errorf("kind of the outermost error: got %d, want %d", got, fault.Failed)
	}
	if got := fault.HintOf(err); got != "run imgbuild images verify" {
		t.Errorf("hint: got %q", got)
	}
	if got, want := err.Error(), `promoting: reading channel: tag "released" moved`; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
}

func TestPlainErrorsAreFailures(t *testing.T) {
	if got := fault.KindOf(errors.New("x")); got != fault.Failed {
		t.Errorf("got %d", got)
	}
	if got := fault.KindOf(nil); got != 0 {
		t.Errorf("nil: got %d", got)
	}
	if got := fault.HintOf(errors.New("x")); got != "" {
		t.Errorf("hint: got %q", got)
	}
}
