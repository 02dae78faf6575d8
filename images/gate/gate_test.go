package gate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
)

func TestJudge(t *testing.T) {
	facts := gate.Facts{Sizes: map[string]int64{"container": 50 << 20, "qcow2": 300 << 20}, Packages: []string{"nginx", "telnet"}}
	for name, c := range map[string]struct {
		gates baseline.Gates
		want  []gate.Refusal
	}{
		"none":    {},
		"at most": {gates: baseline.Gates{MaxSize: map[string]baseline.Bytes{"container": 50 << 20}, ForbidPackages: []string{"rsh-client"}}},
		"too large, and forbidden": {
			gates: baseline.Gates{MaxSize: map[string]baseline.Bytes{"container": 50<<20 - 1, "qcow2": 1 << 30}, ForbidPackages: []string{"telnet", "gcc"}},
			want: []gate.Refusal{
				{Gate: "forbid-packages.telnet", Why: "the package is installed"},
				{Gate: "max-size.container", Why: "it has 50.0 MiB, at most 50.0 MiB are allowed"},
			},
		},
		"an output that is not there": {
			gates: baseline.Gates{MaxSize: map[string]baseline.Bytes{"raw": 1 << 40}},
			want:  []gate.Refusal{{Gate: "max-size.raw", Why: "the version has no such output"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := gate.Judge(c.gates, facts)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if err := gate.Error("web:1", got); (err != nil) != (len(c.want) > 0) || err != nil && fault.KindOf(err) != fault.Gate {
				t.Errorf("got %v", err)
			}
		})
	}
}
