package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"imgbuild/images/control"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// TestWanted has versions of one package, and says which of them a lock may still take.
func TestWanted(t *testing.T) {
	in := func(baselines ...string) func(*life.State) {
		return func(s *life.State) {
			s.Evaluation = &life.Evaluation{}
			for _, b := range baselines {
				s.Evaluation.Applies = append(s.Evaluation.Applies, life.Applies{Baseline: b, Architecture: "amd64"})
			}
		}
	}
	by := func(approvals ...life.Approval) func(*life.State) {
		return func(s *life.State) { s.Approvals = approvals }
	}
	rejected := func(s *life.State) { s.Stage, s.Rejection = life.StageRejected, &life.Decision{} }
	onHold := func(s *life.State) { s.Hold = &life.Decision{Until: noon.Add(time.Hour)} }
	type versions [][]func(*life.State) // 1, 2, 3 …
	one := policy.Policy{Mode: policy.Approved}
	two := policy.Policy{Mode: policy.Approved, TwoPerson: true}
	auto := policy.Policy{Mode: policy.Approved, AutoApprove: &policy.AutoApprove{Severity: control.Low}}
	kept := policy.Policy{Mode: policy.Approved, Hold: []policy.Hold{{Packages: "nginx"}}}
	shop, ada := in("shop"), by(person("ada"))
	for name, c := range map[string]struct {
		policy   policy.Policy
		versions versions
		want     []int
	}{
		"it waits":                                {one, versions{{shop}}, []int{1}},
		"it waits, with mode open":                {policy.Policy{}, versions{{shop}}, []int{1}},
		"it is discovered":                        {one, versions{{}}, []int{1}},
		"a later one waits":                       {one, versions{{shop}, {shop}}, []int{2}},
		"for another baseline":                    {one, versions{{in("shop", "blog")}, {shop}}, []int{1, 2}},
		"approved, and a later one waits":         {one, versions{{shop, ada}, {shop}}, []int{1, 2}},
		"approved by one of two":                  {two, versions{{shop, ada}, {shop}}, []int{2}},
		"both are approved":                       {one, versions{{shop, ada}, {shop, ada}}, []int{2}},
		"approved for another baseline too":       {one, versions{{in("shop", "blog"), ada}, {shop, ada}}, []int{1, 2}},
		"by the policy":                           {auto, versions{{shop, by(machine(life.ByPolicy, ""))}, {shop}}, []int{1, 2}},
		"by the policy, which has no rule":        {one, versions{{shop, by(machine(life.ByPolicy, ""))}, {shop}}, []int{2}},
		"rejected":                                {one, versions{{shop, rejected}}, nil},
		"approved, and a later one is rejected":   {one, versions{{shop, ada}, {shop, rejected}}, []int{1}},
		"held":                                    {one, versions{{shop, onHold}}, []int{1}},
		"approved and held, and a later one":      {one, versions{{shop, ada, onHold}, {shop}}, []int{1, 2}},
		"approved and kept back, and a later one": {kept, versions{{shop, ada}, {shop}}, []int{1, 2}},
		"a lock has had it":                       {one, versions{{shop, by(machine(life.ByOpenLock, "shop"))}, {shop}}, []int{2}},
		"a lock has had the latest":               {one, versions{{shop, by(machine(life.ByFirstLock, "shop"))}}, nil},
		"a lock has had it that nobody evaluated": {one, versions{{by(machine(life.ByFirstLock, "shop"))}}, nil},
	} {
		h := &life.History{States: map[string]*life.State{}}
		for i, changes := range c.versions {
			s := tried()
			s.Update = life.Update{Name: "nginx", Source: "nginx", Version: fmt.Sprint(i + 1), SHA256: fmt.Sprint(i + 1)}
			s.Evaluation = nil
			for _, change := range changes {
				change(s)
			}
			if s.Evaluation != nil {
				s.Evaluation.Facts = life.Facts{Security: true, Severity: control.High}
			}
			h.States[s.Update.SHA256] = s
		}
		var got []int
		for _, s := range policy.Wanted(h, c.policy, noon) {
			got = append(got, int(s.Update.Version[0]-'0'))
		}
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%s: wanted are %v, expected %v", name, got, c.want)
		}
	}
}
