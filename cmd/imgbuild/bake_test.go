package main

import (
	"strings"
	"testing"

	"imgbuild/images/fault"
	"imgbuild/images/gate"
)

// TestWhatABakeSaysOfRefusals: that nothing but its scan has grown old rejects no
// version, though no channel takes it now.
func TestWhatABakeSaysOfRefusals(t *testing.T) {
	aged, no := gate.Refusal{Gate: "cves-aged.vm", Why: "old"}, gate.Refusal{Gate: "cves.vm", Why: "CVE-1"}
	for name, c := range map[string]struct {
		refusals    []gate.Refusal
		rejected    bool
		exit        int
		state, says string
	}{
		"nothing": {nil, false, 0, "baked web:1\n", ""},
		"its age": {[]gate.Refusal{aged}, false, 3, "baked web:1, its scan has grown old: no channel takes it until it is scanned again\n", "the scan of web:1 has grown old"},
		"more":    {[]gate.Refusal{aged, no}, true, 3, "baked web:1, rejected by its gates: no channel takes it\n", "web:1 is rejected: it does not pass the gates of its recipe"},
	} {
		b := &bakedImage{Version: "web:1", Refusals: c.refusals}
		b.judge()
		var text strings.Builder
		b.write(&text)
		err := refused(&environment{}, b)
		if b.Rejected != c.rejected || b.Exit != c.exit || !strings.HasPrefix(text.String(), c.state) || (err == nil) != (c.says == "") || err != nil && err.Error() != c.says || err != nil && fault.HintOf(err) == "" {
			t.Errorf("%s: %+v, %v:\n%s", name, b, err, &text)
		}
	}
}
