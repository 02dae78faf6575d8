package control_test

import (
	"testing"
	"testing/fstest"
	"time"

	"imgbuild/images/control"
	"imgbuild/images/fault"
)

func TestScopes(t *testing.T) {
	for said, want := range map[[2]string]control.Scope{
		{"", ""}: "", {"acme", ""}: "acme", {"", "acme/web"}: "acme/web", {"big-shop", "big-shop/web-2"}: "big-shop/web-2",
	} {
		if got, err := control.ParseScope(said[0], said[1]); got != want || err != nil {
			t.Errorf("%q: got %q, %v", said, got, err)
		}
	}
	for _, said := range [][2]string{{"Acme", ""}, {"acme/web", ""}, {"", "web"}, {"", "acme/"}, {"shop", "acme/web"}, {"-", ""}, {"a\n", ""}} {
		if _, err := control.ParseScope(said[0], said[1]); fault.KindOf(err) != fault.Input {
			t.Errorf("%q: got %v", said, err)
		}
	}
	for _, c := range []struct {
		scope, other control.Scope
		covers       bool
	}{
		{"", "acme", true}, {"acme", "acme/web", true}, {"acme/web", "acme/web", true},
		{"acme", "", false}, {"acme/web", "acme", false}, {"acme", "acme-eu", false}, {"acme/web", "acme/db", false},
	} {
		if got := c.scope.Covers(c.other); got != c.covers {
			t.Errorf("%q covers %q: %v", c.scope, c.other, got)
		}
	}
	for _, c := range []struct {
		scope   control.Scope
		channel string
		owns    bool
	}{
		{"", "released", true}, {"acme", "acme", true}, {"acme", "acme-prod", true}, {"acme/web", "acme-web-prod", true},
		{"acme", "released", false}, {"acme", "acmeprod", false}, {"acme/web", "acme-prod", false},
	} {
		if got := c.scope.Owns(c.channel); got != c.owns {
			t.Errorf("%q owns %q: %v", c.scope, c.channel, got)
		}
	}
}

// TestWaiversOfCustomersAndFleets has one for all, one for a customer and one
// for a fleet of theirs.
func TestWaiversOfCustomersAndFleets(t *testing.T) {
	set := load(t, definitions())
	text := `
theirs: {control: ssh-no-root, customers: [acme], reason: x, owner: y, expires: 2027-01-01}
fleets: {control: motd-owner, fleets: [acme/web], reason: x, owner: y, expires: 2027-01-01}
`
	list, err := control.LoadWaivers(fstest.MapFS{"waivers.yaml": {Data: []byte(text)}}, "waivers.yaml", set, nil)
	if err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[control.Scope][2]control.Result{
		"":         {control.Fail, control.Fail},
		"acme":     {control.Fail, control.Waived},
		"acme/web": {control.Waived, control.Waived},
		"acme/db":  {control.Fail, control.Waived},
		"shop/web": {control.Fail, control.Fail},
	} {
		got := control.Waive(findings(control.Fail, control.Fail), list, control.Subject{Baseline: "web", Output: control.Machine, For: scope},
			time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC))
		by := map[string]control.Result{}
		for _, f := range got {
			by[f.Control] = f.Result
		}
		if by["motd-owner"] != want[0] || by["ssh-no-root"] != want[1] {
			t.Errorf("for %q: got %v, want %v", scope, by, want)
		}
	}
}
