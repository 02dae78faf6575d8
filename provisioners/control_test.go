package provisioners_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"imgbuild/images/control"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// controls reads definitions that name no benchmark, by id.
func controls(t *testing.T, text string) map[string]provisioners.Control {
	t.Helper()
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{"c.yaml": {Data: []byte(text)}}})
	if err != nil {
		t.Fatal(err)
	}
	var list []*control.Control
	for _, id := range set.IDs() {
		list = append(list, set.Controls[id])
	}
	decoded, err := provisioners.DecodeControls(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]provisioners.Control{}
	for _, c := range decoded {
		byID[c.ID] = c
	}
	return byID
}

const fourControls = `
a-motd: {title: x, severity: low, rationale: y, resources: {files: {/etc/motd: {mode: "0644", owner: root}}}}
b-elsewhere: {title: x, severity: low, rationale: y, when: {files: {/etc/apache2.conf: {mode: "0644"}}}, resources: {files: {/etc/motd: {mode: "0600"}}}}
c-unreadable: {title: x, severity: low, rationale: y, resources: {lines: {a: {path: /srv/data, line: x}}, files: {/etc/motd: {mode: "0644"}}}}
d-condition: {title: x, severity: low, rationale: y, when: {lines: {a: {path: /srv/data, line: x}}}, resources: {files: {/etc/motd: {mode: "0644"}}}}
`

func TestAControlSaysWhatWasFound(t *testing.T) {
	ctx := context.Background()
	s := system.NewMemory()
	before(t, s)
	list := controls(t, fourControls)
	check := func(c provisioners.Control) control.Finding {
		f, err := c.Check(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := check(list["a-motd"])
	if f.Result != control.Fail || len(f.Differences) != 2 || len(f.Looked) != 1 {
		t.Errorf("stock: %+v", f)
	}
	if f := check(list["b-elsewhere"]); f.Result != control.NotApplicable || !strings.Contains(f.Why, "/etc/apache2.conf is absent") {
		t.Errorf("not applicable: %+v", f)
	}
	// What cannot be read is not passed, and hides nothing else that was found.
	if f := check(list["c-unreadable"]); f.Result != control.Error || f.Why == "" || len(f.Differences) != 1 {
		t.Errorf("a directory read as a file: %+v", f)
	}
	if f := check(list["d-condition"]); f.Result != control.Error || !strings.Contains(f.Why, "whether it applies") {
		t.Errorf("a condition that cannot be told: %+v", f)
	}
	for i, want := range []bool{true, false} {
		if changed, err := list["a-motd"].Apply(ctx, s); changed != want || err != nil {
			t.Errorf("time %d: changed %v, %v", i+1, changed, err)
		}
	}
	if f := check(list["a-motd"]); f.Result != control.Pass || len(f.Differences) != 0 {
		t.Errorf("applied: %+v", f)
	}
	if changed, err := list["b-elsewhere"].Apply(ctx, s); changed || err != nil {
		t.Errorf("what does not apply was applied: %v, %v", changed, err)
	}
	if _, err := list["d-condition"].Apply(ctx, s); err == nil || !strings.Contains(err.Error(), "control d-condition") {
		t.Errorf("a condition that cannot be told, applied: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := list["a-motd"].Check(ended, s); err == nil {
		t.Error("a check outlived its context")
	}
}

func TestControlsAreAppliedInTheOrderOfTheirTypes(t *testing.T) {
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{"c.yaml": {Data: []byte(`
a: {title: x, severity: low, rationale: y, resources: {services: {nginx: enabled}, files: {/a: {absent: true}}}}
b: {title: x, severity: low, rationale: y, resources: {files: {/a: {absent: true}}}}
c: {title: x, severity: low, rationale: y, resources: {groups: {a: {}}}}
`)}}})
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := provisioners.DecodeControls([]*control.Control{set.Controls["a"], set.Controls["b"], set.Controls["c"]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := decoded[0].ID + decoded[1].ID + decoded[2].ID; got != "cba" {
		t.Errorf("got %s", got)
	}
	first, err := decoded[0].Canonical()
	if err != nil || len(first) == 0 {
		t.Fatal(err)
	}
	set.Controls["c"].Title, set.Controls["c"].Rationale = "another", "words"
	again, err := provisioners.DecodeControls([]*control.Control{set.Controls["c"]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again[0].Canonical(); err != nil || string(second) != string(first) {
		t.Errorf("other words make another state: %s, %s, %v", first, second, err)
	}
}

func TestMistakesInControlsAreAllFound(t *testing.T) {
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{"c.yaml": {Data: []byte(`
a: {title: x, severity: low, rationale: y, resources: {fils: {/a: {}}}}
b: {title: x, severity: low, rationale: y, when: {files: {a: {absent: true}}}, resources: {files: {/a: {absent: true}}}}
`)}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = provisioners.DecodeControls([]*control.Control{set.Controls["a"], set.Controls["b"]}, nil)
	for _, want := range []string{`test/c.yaml:2:56: unknown type of resource "fils"`, `test/c.yaml:3:59: expected an absolute path`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
