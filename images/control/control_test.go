package control_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// definitions are two controls, one of them for machines, a benchmark with a
// section of each kind, and two profiles.
func definitions() fstest.MapFS {
	return fstest.MapFS{
		"ssh.yaml": {Data: []byte(`
ssh-no-root:
  title: root does not log in over SSH
  severity: high
  rationale: who did what is known by name
  outputs: [vm]
  resources: {lines: {root: {path: /etc/ssh/sshd_config, line: PermitRootLogin no}}}
motd-owner:
  title: the message of the day belongs to root
  severity: low
  rationale: nobody else writes to those who log in
  when: {files: {/etc/motd: {mode: "0644"}}}
  references: {stig: [V-1]}
  resources: {files: {/etc/motd: {owner: root}}}
`)},
		"benchmarks/house.yaml": {Data: []byte(`
title: The house's own
version: 1.0.0
platforms: [debian-12]
sections:
  1.10.1: {level: 1, controls: [motd-owner]}
  1.9.1: {level: 1, controls: [motd-owner, ssh-no-root]}
  1.9.2: {level: 2, title: Somebody looks, manual: look at it}
  "2.1": {level: 2, controls: [ssh-no-root]}
`)},
		"references/law.yaml": {Data: []byte("title: The law\nversion: V2\ncontrols: {motd-owner: [LAW-2, LAW-1]}\n")},
		"profiles.yaml": {Data: []byte(`
house-l1: {description: the least, benchmarks: [house], level: 1}
house-machines: {description: all of it, benchmarks: [house], level: 2, outputs: [vm]}
`)},
	}
}

func load(t *testing.T, files fstest.MapFS) *control.Set {
	t.Helper()
	set, err := control.Load(control.Source{Name: "shipped", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func ids(list []*control.Control) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.ID)
	}
	return out
}

func TestProfilesTakeWhatBenchmarksAskFor(t *testing.T) {
	set := load(t, definitions())
	for _, c := range []struct {
		platform string
		output   control.Output
		profiles []string
		want     []string
	}{
		{"debian-12", control.Machine, []string{"house-l1"}, []string{"motd-owner", "ssh-no-root"}},
		{"debian-12", control.Container, []string{"house-l1"}, []string{"motd-owner"}},
		{"debian-13", control.Machine, []string{"house-l1"}, nil},
		{"debian-12", control.Container, []string{"house-machines"}, nil},
		{"debian-12", control.Machine, []string{"house-machines", "house-l1"}, []string{"motd-owner", "ssh-no-root"}},
	} {
		got, err := set.Select(node.Position{}, c.platform, c.output, c.profiles...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, ids(got)); diff != "" {
			t.Errorf("%s %s %v:\n%s", c.platform, c.output, c.profiles, diff)
		}
	}
	_, err := set.Select(node.Position{}, "debian-12", control.Machine, "house-l3")
	if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), `unknown profile "house-l3"; did you mean "house-l1"?`) {
		t.Errorf("got %v", err)
	}
}

func TestSectionsAreInTheOrderOfABook(t *testing.T) {
	want := []control.Reference{
		{Benchmark: "house", Version: "1.0.0", Section: "1.9.1", Level: 1},
		{Benchmark: "house", Version: "1.0.0", Section: "1.10.1", Level: 1},
		{Benchmark: "law", Version: "V2", Section: "LAW-2"},
		{Benchmark: "law", Version: "V2", Section: "LAW-1"},
		{Benchmark: "stig", Section: "V-1"},
	}
	if diff := cmp.Diff(want, load(t, definitions()).References("motd-owner")); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInDefinitionsAreFoundAtTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"key":               {"x.yaml", "a: {titel: x, severity: low, rationale: y, resources: {files: {/a: {}}}}", `shipped/x.yaml:1:5: unknown key "titel"; did you mean "title"?`},
		"requirement":       {"references/law.yaml", "title: t\nversion: '1'\ncontrols: {motd-owner: [a b]}", `shipped/references/law.yaml:3:25: "a b" is not the id of a requirement`},
		"of nothing":        {"references/law.yaml", "title: t\nversion: '1'\ncontrols: {motd-owner: []}", `"motd-owner" has no requirement`},
		"requirement twice": {"references/law.yaml", "title: t\nversion: '1'\ncontrols: {motd-owner: [a, a]}", `"a" is given twice`},
		"of no control":     {"references/law.yaml", "title: t\nversion: '1'\ncontrols: {motd-owners: [a]}", `shipped/references/law.yaml:3:12: unknown control "motd-owners"; did you mean "motd-owner"?`},
		"no version":        {"references/law.yaml", "title: t\ncontrols: {motd-owner: [a]}", `missing key "version"`},
		"own reference":     {"x.yaml", "a: {title: x, severity: low, rationale: y, references: {stig: ['']}, resources: {files: {/a: {}}}}", `"" is not the id of a requirement`},
		"severity":          {"x.yaml", "a: {title: x, severity: big, rationale: y, resources: {files: {/a: {}}}}", `"severity"`},
		"no resources":      {"x.yaml", "a: {title: x, severity: low, rationale: y}", `missing key "resources"`},
		"nothing":           {"x.yaml", "a: {title: x, severity: low, rationale: y, resources: {}}", `expected a map of resources for "resources"`},
		"empty type":        {"x.yaml", "a: {title: x, severity: low, rationale: y, resources: {files: {}}}", `"files" has no resource`},
		"id":                {"x.yaml", "A_b: {title: x, severity: low, rationale: y, resources: {files: {/a: {}}}}", `"A_b" is not an id`},
		"twice":             {"x.yaml", "motd-owner: {title: x, severity: low, rationale: y, resources: {files: {/a: {}}}}", `control "motd-owner" is defined already at shipped/ssh.yaml:8:1`},
		"list":              {"x.yaml", "- a", `expected a map by id`},
		"control":           {"benchmarks/x.yaml", "{title: x, version: '1', sections: {1.1.1: {level: 1, controls: [motd-ower]}}}", `unknown control "motd-ower"; did you mean "motd-owner"?`},
		"both":              {"benchmarks/x.yaml", "{title: x, version: '1', sections: {1.1.1: {level: 1, title: y, manual: z, controls: [motd-owner]}}}", `expected exactly one of "controls" and "manual"`},
		"neither":           {"benchmarks/x.yaml", "{title: x, version: '1', sections: {1.1.1: {level: 1}}}", `expected exactly one of "controls" and "manual"`},
		"level":             {"benchmarks/x.yaml", "{title: x, version: '1', sections: {1.1.1: {level: 3, controls: [motd-owner]}}}", `expected level 1 or 2, found 3`},
		"number":            {"benchmarks/x.yaml", "{title: x, version: '1', sections: {1.a: {level: 1, controls: [motd-owner]}}}", `"1.a" is not the number of a section`},
		"benchmark":         {"profiles.yaml", "p: {description: x, level: 1, benchmarks: [hose]}", `unknown benchmark "hose"; did you mean "house"?`},
		"platform":          {"x.yaml", "a: {title: x, severity: low, rationale: y, platforms: [debian-12, debian13], resources: {files: {/a: {}}}}", `shipped/x.yaml:1:67: unknown value "debian13" for "platforms"; did you mean "debian-13"?`},
		"platforms":         {"benchmarks/x.yaml", "{title: x, version: '1', platforms: [Debian-12], sections: {1.1.1: {level: 1, controls: [motd-owner]}}}", `unknown value "Debian-12" for "platforms"; did you mean "debian-12"?`},
	} {
		files := definitions()
		files[c.file] = &fstest.MapFile{Data: []byte(c.text)}
		_, err := control.Load(control.Source{Name: "shipped", Files: files})
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// findings are results of the two controls.
func findings(motd, ssh control.Result) []control.Finding {
	return []control.Finding{
		{Control: "ssh-no-root", Severity: control.High, Result: ssh, Asked: true},
		{Control: "motd-owner", Severity: control.Low, Result: motd, Asked: true},
	}
}

func TestScoresCountSections(t *testing.T) {
	b := load(t, definitions()).Benchmarks["house"]
	for _, c := range []struct {
		motd, ssh     control.Result
		level         int
		want          string
		plain, waived float64
	}{
		{control.Pass, control.Pass, 1, "pass pass", 100, 100},
		{control.Pass, control.Fail, 1, "fail pass", 50, 50},
		{control.Pass, control.Waived, 1, "waived pass", 50, 100},
		{control.Pass, control.Error, 2, "error manual pass error", 100.0 / 3, 100.0 / 3},
		{control.NotApplicable, control.Pass, 1, "pass not-applicable", 100, 100},
		{control.NotApplicable, control.NotApplicable, 2, "not-applicable manual not-applicable not-applicable", 0, 0},
		{control.Fail, control.Waived, 2, "fail manual fail waived", 0, 100.0 / 3},
	} {
		s := b.Score(c.level, findings(c.motd, c.ssh))
		var got []string
		for _, section := range s.Sections {
			got = append(got, string(section.Result))
		}
		if strings.Join(got, " ") != c.want || s.Percent() != c.plain || s.PercentWaived() != c.waived {
			t.Errorf("%s, %s at level %d: %v, %g %%, with waivers %g %%", c.motd, c.ssh, c.level, got, s.Percent(), s.PercentWaived())
		}
	}
}

// TestReportsSayWhatTheyWereHeldTo has the ways in which a report says less than
// a whole one.
func TestReportsSayWhatTheyWereHeldTo(t *testing.T) {
	set := load(t, definitions())
	found := findings(control.Pass, control.Fail)
	whole := set.NewReport("debian-12", control.Machine, found, 2)
	if whole.Narrowed || len(whole.Manual) != 1 || whole.Manual[0].Section != "1.9.2" {
		t.Errorf("a whole report: %+v", whole)
	}
	level := set.NewReport("debian-12", control.Machine, found, 1)
	if _, ok := level.Score("house", 2); !level.Narrowed || ok {
		t.Errorf("a report of level 1: %+v", level)
	}
	if named := set.NewReport("debian-12", control.Machine, found, 2, "house"); !named.Narrowed {
		t.Error("a report of named benchmarks is a whole one")
	}
	if _, err := set.Of("debian-13", control.Machine, 2, "house"); fault.KindOf(err) != fault.Input {
		t.Errorf("a benchmark of another platform: %v", err)
	}
	// A waiver that held when the report was made holds no more.
	found[0].Result, found[0].WaivedBefore = control.Waived, time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
	waived := set.NewReport("debian-12", control.Machine, found, 2)
	for now, want := range map[time.Time]int{found[0].WaivedBefore.Add(-1): 0, found[0].WaivedBefore: 1} {
		if got := waived.Failed(control.Low, now); len(got) != want {
			t.Errorf("at %s: %d failures, want %d", now, len(got), want)
		}
	}
}

func TestReports(t *testing.T) {
	set := load(t, definitions())
	r := set.NewReport("debian-12", control.Machine, findings(control.Pass, control.Fail), 2)
	if len(r.Scores) != 2 || r.Findings[0].Control != "motd-owner" || len(r.Findings[0].References) != 5 {
		t.Errorf("%+v", r)
	}
	if got := r.Failed(control.Medium, time.Time{}); len(got) != 1 || got[0].Control != "ssh-no-root" {
		t.Errorf("failed at medium and above: %v", got)
	}
	if got := r.Failed(control.Critical, time.Time{}); len(got) != 0 {
		t.Errorf("failed at critical: %v", got)
	}
	if other := set.NewReport("debian-13", control.Machine, findings(control.Pass, control.Fail), 2); len(other.Scores) != 0 {
		t.Errorf("a platform without a benchmark has the scores %v", other.Scores)
	}
}

func TestWaivers(t *testing.T) {
	set := load(t, definitions())
	read := func(text string) ([]*control.Waiver, error) {
		return control.LoadWaivers(fstest.MapFS{"waivers.yaml": {Data: []byte(text)}}, "waivers.yaml", set, []string{"setuid", "token"})
	}
	day := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	list, err := read(`
console:
  control: ssh-no-root
  reason: the console of the hoster logs in as root
  owner: ops@example.com
  expires: 2027-03-31
  baselines: [web]
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		result   control.Result
		baseline string
		now      string
		want     control.Result
		why      string
	}{
		{control.Fail, "web", "2027-03-30T23:59:59Z", control.Waived, "the console of the hoster logs in as root (ops@example.com, before 2027-03-31)"},
		{control.Fail, "web", "2027-03-31T00:00:00Z", control.Fail, "the waiver expired on 2027-03-31"},
		{control.Fail, "shop", "2027-01-01T00:00:00Z", control.Fail, ""},
		{control.Error, "web", "2027-01-01T00:00:00Z", control.Error, ""},
		{control.Pass, "web", "2027-01-01T00:00:00Z", control.Pass, ""},
	} {
		before := findings(control.Fail, c.result)
		got := control.Waive(before, list, control.Subject{Baseline: c.baseline, Output: control.Machine}, day(c.now))
		if got[0].Result != c.want || got[0].Why != c.why || got[1].Result != control.Fail || before[0].Result != c.result {
			t.Errorf("%+v: got %+v", c, got[0])
		}
	}
	for text, want := range map[string]string{
		"a: {control: ssh-no-rot, reason: x, owner: y, expires: 2027-01-01}":        `waivers.yaml:1:5: unknown control "ssh-no-rot"; did you mean "ssh-no-root"?`,
		"a: {control: ssh-no-root, reason: ' ', owner: y, expires: 2027-01-01}":     `"reason" is empty`,
		"a: {control: ssh-no-root, reason: x, expires: 2027-01-01}":                 `missing key "owner"`,
		"a: {control: ssh-no-root, reason: x, owner: y, expires: soon}":             `expected a day such as 2027-03-31, found "soon"`,
		"a: {control: ssh-no-root, reason: x, owner: y}":                            `missing key "expires"`,
		"a: {control: ssh-no-root, reason: x, owner: y, expires: 2027-01-01, z: 1}": `unknown key "z"`,

		"a: {reason: x, owner: y, expires: 2027-01-01}":                                                              `expected one of "control", "stray" and "cve"`,
		"a: {control: ssh-no-root, stray: {kind: token, path: /a}, reason: x, owner: y, expires: 2027-01-01}":        `expected one of "control", "stray" and "cve"`,
		"a: {stray: {kind: tokn, path: /a}, reason: x, owner: y, expires: 2027-01-01}":                               `waivers.yaml:1:13: unknown kind "tokn"; did you mean "token"?`,
		"a: {stray: {kind: token}, reason: x, owner: y, expires: 2027-01-01}":                                        `missing key "path"`,
		"a: {control: ssh-no-root, customers: [Acme], reason: x, owner: y, expires: 2027-01-01}":                     `"Acme" is not the name of a customer`,
		"a: {control: ssh-no-root, fleets: [web], reason: x, owner: y, expires: 2027-01-01}":                         `"web" is not the name of a fleet: expected CUSTOMER/FLEET`,
		"a: {control: ssh-no-root, customers: [acme], fleets: [acme/web], reason: x, owner: y, expires: 2027-01-01}": `"customers" and "fleets" are both given`,
		"a: {control: ssh-no-root, customers: [acme, ''], reason: x, owner: y, expires: 2027-01-01}":                 `"" is not the name of a customer`,
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
