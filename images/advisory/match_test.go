package advisory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/control"
)

// said is what an index says of one version of a source package of Debian 12,
// by vulnerability.
func said(t testing.TB, x *advisory.Index, name, version string) map[string]advisory.Finding {
	t.Helper()
	r, err := x.Match([]installed.Package{{
		Ecosystem: "Debian:12", Name: "lib" + name, Version: version, Source: name, SourceVersion: version,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unjudged) > 0 {
		t.Fatalf("it is not judged: %v", r.Unjudged)
	}
	found := map[string]advisory.Finding{}
	for _, f := range r.Findings {
		if _, twice := found[f.Vulnerability]; twice {
			t.Errorf("%s is there twice", f.Vulnerability)
		}
		found[f.Vulnerability] = f
	}
	return found
}

func affected(name string, events ...advisory.Event) advisory.Affected {
	return advisory.Affected{Ecosystem: "Debian:12", Package: name, Ranges: []advisory.Range{{Events: events}}}
}

var (
	begins = advisory.Event{Introduced: "0"}
	ends   = func(v string) advisory.Event { return advisory.Event{Fixed: v} }
)

func with(a advisory.Affected, change func(*advisory.Affected)) []advisory.Affected {
	change(&a)
	return []advisory.Affected{a}
}

func TestStates(t *testing.T) {
	disposed := func(d advisory.Disposition, note string, events ...advisory.Event) []advisory.Affected {
		return with(affected("ssl", events...), func(a *advisory.Affected) { a.Disposition, a.Note = d, note })
	}
	for name, c := range map[string]struct {
		records []advisory.Record
		version string
		state   advisory.State
		reason  string
		fixed   string
	}{
		"a fix is there":   {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("2-1"))}}}, "1-1", "affected", "fixed in 2-1", "2-1"},
		"no fix":           {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins)}}}, "1-1", "affected", "no version of Debian:12 is without it", ""},
		"fixed":            {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("2-1"))}}}, "2-1", "fixed", "fixed in 2-1", "2-1"},
		"fixed, a rebuild": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("2-1"))}}}, "2-1+b2", "fixed", "fixed in 2-1", "2-1"},
		"an epoch":         {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("1:1-1"))}}}, "2-1", "affected", "fixed in 1:1-1", "1:1-1"},
		"never had it":     {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("0"))}}}, "1", "not-affected", "no version of Debian:12 ever had it", ""},
		"introduced later": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", advisory.Event{Introduced: "3"}, ends("4"))}}}, "1", "not-affected", "the first version that has it is 3", ""},
		"last affected":    {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, advisory.Event{LastAffected: "3"})}}}, "3.1", "fixed", "the last version that has it is 3", ""},
		"at last affected": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, advisory.Event{LastAffected: "3"})}}}, "3", "affected", "no version of Debian:12 is without it", ""},
		"beyond the limit": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, advisory.Event{Limit: "3"})}}}, "3", "not-affected", "it is not among the versions that have it", ""},
		"without a limit":  {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, advisory.Event{Limit: "*"})}}}, "3", "affected", "no version of Debian:12 is without it", ""},
		"listed":           {[]advisory.Record{{ID: "CVE-1", Affected: with(affected("ssl"), func(a *advisory.Affected) { a.Versions = []string{"1", "3"} })}}, "3-0", "affected", "no version of Debian:12 is without it", ""},
		"not listed":       {[]advisory.Record{{ID: "CVE-1", Affected: with(affected("ssl"), func(a *advisory.Affected) { a.Versions = []string{"1", "3"} })}}, "2", "not-affected", "it is not among the versions that have it", ""},
		"unimportant":      {[]advisory.Record{{ID: "CVE-1", Affected: disposed(advisory.Unimportant, "a demo", begins, ends("2"))}}, "1", "unimportant", "its distributor calls it unimportant: a demo", "2"},
		"no-dsa":           {[]advisory.Record{{ID: "CVE-1", Affected: disposed(advisory.NoDSA, "Minor issue", begins)}}, "1", "no-dsa", "no advisory is planned for it: Minor issue", ""},
		"postponed":        {[]advisory.Record{{ID: "CVE-1", Affected: disposed(advisory.Postponed, "", begins)}}, "1", "no-dsa", "it is to be fixed with a later advisory", ""},
		"ignored":          {[]advisory.Record{{ID: "CVE-1", Affected: disposed(advisory.Ignored, "too intrusive", begins)}}, "1", "ignored", "it will not be fixed in this release: too intrusive", ""},
		"no-dsa, fixed":    {[]advisory.Record{{ID: "CVE-1", Affected: disposed(advisory.NoDSA, "", begins, ends("2"))}}, "1", "affected", "fixed in 2", "2"},
		"end of life":      {[]advisory.Record{{ID: "CVE-1", Affected: disposed(advisory.EndOfLife, "", begins)}}, "1", "affected", "no fix: the package is not supported in this release any more", ""},
		"one has no-dsa": {[]advisory.Record{
			{ID: "CVE-1", Feed: "osv", Affected: []advisory.Affected{affected("ssl", begins)}}, {ID: "CVE-1", Feed: "tracker", Affected: disposed(advisory.NoDSA, "", begins)},
		}, "1", "no-dsa", "no advisory is planned for it", ""},
		"not affected": {[]advisory.Record{
			{ID: "CVE-1", Feed: "osv", Affected: []advisory.Affected{affected("ssl", begins)}},
			{ID: "CVE-1", Feed: "vex", Affected: with(affected("ssl"), func(a *advisory.Affected) {
				a.Status, a.Note = advisory.StatusNotAffected, "the code is not built"
			})},
		}, "1", "not-affected", "its source says that it is not affected: the code is not built", ""},
		"not affected, another version": {[]advisory.Record{
			{ID: "CVE-1", Feed: "osv", Affected: []advisory.Affected{affected("ssl", begins)}},
			{ID: "CVE-1", Feed: "vex", Affected: with(affected("ssl"), func(a *advisory.Affected) {
				a.Status, a.Versions = advisory.StatusNotAffected, []string{"2"}
			})},
		}, "1", "affected", "no version of Debian:12 is without it", ""},
		"undetermined": {[]advisory.Record{{ID: "CVE-1", Affected: with(affected("ssl"), func(a *advisory.Affected) { a.Status = advisory.StatusUndetermined })}},
			"1", "undetermined", "its source has not determined yet whether it is affected", ""},
		"an unreadable version": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("<fixed>"))}}},
			"1", "undetermined", `the version "<fixed>" of the advisory cannot be read`, ""},
		"an unreadable denial": {[]advisory.Record{
			{ID: "CVE-1", Feed: "osv", Affected: []advisory.Affected{affected("ssl", begins)}},
			{ID: "CVE-1", Feed: "vex", Affected: with(affected("ssl", begins, ends("<2>")), func(a *advisory.Affected) { a.Status = advisory.StatusNotAffected })},
		}, "1", "affected", "no version of Debian:12 is without it", ""},
		"two ranges": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "ssl", Ranges: []advisory.Range{
			{Events: []advisory.Event{begins, ends("2")}}, {Events: []advisory.Event{{Introduced: "1"}, ends("3")}},
		}}}}}, "1", "affected", "fixed in 3", "3"},
		"two ranges, one without an end": {[]advisory.Record{{ID: "CVE-1", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "ssl", Ranges: []advisory.Range{
			{Events: []advisory.Event{begins}}, {Events: []advisory.Event{begins, ends("3")}},
		}}}}}, "1", "affected", "no version of Debian:12 is without it", ""},
		"two records": {[]advisory.Record{
			{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins, ends("2"))}},
			{ID: "DSA-1-1", Upstream: []string{"CVE-1"}, Affected: []advisory.Affected{affected("ssl", begins, ends("3"))}},
		}, "1", "affected", "fixed in 3 (DSA-1-1)", "3"},
		// What an advisory said of all its vulnerabilities was true when it was made.
		"an advisory denies it": {[]advisory.Record{
			{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins)}},
			{ID: "DSA-1-1", Upstream: []string{"CVE-1", "CVE-2"}, Affected: with(affected("ssl"), func(a *advisory.Affected) { a.Status = advisory.StatusNotAffected })},
		}, "1", "affected", "no version of Debian:12 is without it", ""},
		"an advisory denies another's": {[]advisory.Record{
			{ID: "DSA-2-1", Upstream: []string{"CVE-1"}, Affected: []advisory.Affected{affected("ssl", begins)}},
			{ID: "DSA-1-1", Upstream: []string{"CVE-1"}, Affected: with(affected("ssl"), func(a *advisory.Affected) { a.Status = advisory.StatusNotAffected })},
		}, "1", "not-affected", "its source says that it is not affected", ""},
		"in all releases": {[]advisory.Record{{ID: "CVE-1", Affected: with(affected("ssl", begins), func(a *advisory.Affected) { a.Ecosystem = "Debian" })}},
			"1", "affected", "no version of Debian:12 is without it", ""},
	} {
		f := said(t, advisorytest.Index(t, c.records...), "ssl", c.version)["CVE-1"]
		if f.State != c.state || f.Reason != c.reason || f.Fixed != c.fixed {
			t.Errorf("%s: %s, %q, %q; want %s, %q, %q", name, f.State, f.Reason, f.Fixed, c.state, c.reason, c.fixed)
		}
	}
}

// TestTheWorstWordRates: of what is rated by words alone the worst counts, in whatever
// order the records are.
func TestTheWorstWordRates(t *testing.T) {
	word := func(feed, urgency string) advisory.Record {
		return advisory.Record{ID: "CVE-1", Feed: feed, Affected: with(affected("ssl", begins), func(a *advisory.Affected) { a.Urgency = urgency })}
	}
	for _, records := range [][]advisory.Record{{word("a", "low"), word("b", "high")}, {word("a", "high"), word("b", "low")}} {
		if f := said(t, advisorytest.Index(t, records...), "ssl", "1")["CVE-1"]; f.Severity != control.High || f.Urgency != "high" {
			t.Errorf("it is rated %q, %q", f.Severity, f.Urgency)
		}
	}
}

func TestWhatIsNotSpokenOfHasNoFinding(t *testing.T) {
	withdrawn := advisory.Record{ID: "CVE-2", Withdrawn: time.Unix(1, 0), Affected: []advisory.Affected{affected("ssl", begins)}}
	elsewhere := advisory.Record{ID: "CVE-3", Affected: with(affected("ssl", begins), func(a *advisory.Affected) { a.Ecosystem = "Debian:11" })}
	other := advisory.Record{ID: "CVE-4", Affected: []advisory.Affected{affected("ssh", begins)}}
	if found := said(t, advisorytest.Index(t, withdrawn, elsewhere, other), "ssl", "1"); len(found) > 0 {
		t.Errorf("there is %v", found)
	}
}

// TestOneAdvisoryOfTenVulnerabilities: each is there, with the DSA as its fix
// and the severity of its own record.
func TestOneAdvisoryOfTenVulnerabilities(t *testing.T) {
	dsa := advisory.Record{ID: "DSA-1-1", Severity: control.Critical, Upstream: strings.Fields("CVE-0 CVE-1 CVE-2 CVE-3 CVE-4 CVE-5 CVE-6 CVE-7 CVE-8 CVE-9"), Affected: []advisory.Affected{affected("ssl", begins, ends("2"))}}
	cve := advisory.Record{ID: "CVE-3", Aliases: []string{"GHSA-3"}, Severity: control.Low, Affected: []advisory.Affected{affected("ssl", begins, ends("2"))}}
	found := said(t, advisorytest.Index(t, cve, dsa), "ssl", "1")
	if len(found) != 10 {
		t.Errorf("there are %d", len(found))
	}
	want := advisory.Finding{
		Vulnerability: "CVE-3", Aliases: []string{"GHSA-3"}, Release: "Debian:12", Package: "ssl", Version: "1", Binaries: []string{"libssl"},
		State: advisory.StateAffected, Reason: "fixed in 2 (DSA-1-1)", Severity: control.Low, Fixed: "2", Advisories: []string{"DSA-1-1", "CVE-3"},
	}
	if diff := cmp.Diff(want, found["CVE-3"]); diff != "" {
		t.Error(diff)
	}
	if f := found["CVE-4"]; f.Severity != control.Critical || f.Fixed != "2" {
		t.Errorf("CVE-4 is %+v", f)
	}
}

// TestNobodyTakesANameAway: a record that chains more CVEs to the name of another than
// one can stand for leaves that one its own CVE.
func TestNobodyTakesANameAway(t *testing.T) {
	debian := advisory.Record{ID: "DEBIAN-CVE-1", Aliases: []string{"CVE-1"}, Affected: []advisory.Affected{affected("ssl", begins)}}
	hostile := advisory.Record{ID: "A-1", Aliases: []string{debian.ID}}
	for i := range 257 {
		hostile.Aliases = append(hostile.Aliases, fmt.Sprintf("CVE-9-%d", i))
	}
	found := said(t, advisorytest.Index(t, debian, hostile), "ssl", "1")
	if f, ok := found["CVE-1"]; !ok || f.State != advisory.StateAffected || len(found) != 1 {
		t.Errorf("found %v", found)
	}
}

// TestARatingOfThePackageGoesFirst: it lowers that of the vulnerability only where
// nothing that holds of the version means that one.
func TestARatingOfThePackageGoesFirst(t *testing.T) {
	rated := func(s control.Severity, events ...advisory.Event) advisory.Affected {
		a := affected("ssl", events...)
		a.Severity = s
		return a
	}
	for name, c := range map[string]struct {
		entries []advisory.Affected
		want    control.Severity
	}{
		"none":                  {[]advisory.Affected{rated("", begins)}, control.Critical},
		"its own":               {[]advisory.Affected{rated(control.Low, begins)}, control.Low},
		"the worst of its own":  {[]advisory.Affected{rated(control.Low, begins), rated(control.High, begins)}, control.High},
		"one beside none":       {[]advisory.Affected{rated(control.Low, begins), rated("", begins)}, control.Critical},
		"one of other versions": {[]advisory.Affected{rated(control.Low, begins), rated(control.High, begins, ends("0.5"))}, control.Low},
	} {
		r := advisory.Record{ID: "CVE-1", Severity: control.Critical, Affected: c.entries}
		if got := said(t, advisorytest.Index(t, r), "ssl", "1")["CVE-1"].Severity; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAliasesAreOneVulnerability(t *testing.T) {
	of := func(id string, aliases ...string) advisory.Record {
		return advisory.Record{ID: id, Aliases: aliases, Affected: []advisory.Affected{affected("ssl", begins)}}
	}
	for name, c := range map[string]struct {
		records []advisory.Record
		want    string
	}{
		"an alias":                  {[]advisory.Record{of("CVE-1", "GHSA-1"), of("GHSA-1")}, "CVE-1"},
		"the other way":             {[]advisory.Record{of("CVE-1"), of("GHSA-1", "CVE-1")}, "CVE-1"},
		"by a third name":           {[]advisory.Record{of("CVE-1", "GHSA-1"), of("BIT-1", "GHSA-1")}, "CVE-1"},
		"without a CVE":             {[]advisory.Record{of("TEMP-2", "GHSA-1"), of("BIT-1", "GHSA-1")}, "BIT-1"},
		"two CVEs stay two":         {[]advisory.Record{of("CVE-1", "CVE-2"), of("CVE-2")}, "CVE-1 CVE-2"},
		"a name of two CVEs":        {[]advisory.Record{of("GHSA-1", "CVE-1", "CVE-2")}, "CVE-1 CVE-2"},
		"an advisory's other names": {[]advisory.Record{of("TEMP-1"), {ID: "DSA-1", Aliases: []string{"TEMP-1"}, Upstream: []string{"CVE-1"}, Affected: []advisory.Affected{affected("ssl", begins)}}}, "CVE-1 TEMP-1"},
		"upstream by another name":  {[]advisory.Record{of("CVE-1", "GHSA-1"), {ID: "DSA-1", Upstream: []string{"GHSA-1"}, Affected: []advisory.Affected{affected("ssl", begins)}}}, "CVE-1"},
	} {
		var got []string
		for id := range said(t, advisorytest.Index(t, c.records...), "ssl", "1") {
			got = append(got, id)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// TestChainedAliasesHideNothing: whoever chains many CVEs together by aliases
// neither makes them one nor costs more than they are.
func TestChainedAliasesHideNothing(t *testing.T) {
	var records []advisory.Record
	for i := range 3000 {
		id := "CVE-" + strings.Repeat("0", i%7) + string(rune('a'+i%26)) + strings.Repeat("1", i/26)
		records = append(records, advisory.Record{ID: id, Aliases: []string{"GHSA-1"}, Affected: []advisory.Affected{affected("ssl", begins)}})
	}
	x := advisorytest.Index(t, append(records, advisory.Record{ID: "GHSA-1", Affected: []advisory.Affected{affected("ssl", begins)}})...)
	if found := said(t, x, "ssl", "1"); len(found) != 3001 {
		t.Errorf("there are %d", len(found))
	}
}

func TestPackagesThatCannotBeJudgedAreNamed(t *testing.T) {
	x := advisorytest.Index(t, advisory.Record{ID: "CVE-1", Affected: []advisory.Affected{affected("ssl", begins)}})
	r, err := x.Match([]installed.Package{
		{Ecosystem: "npm", Name: "left-pad", Version: "1", Source: "left-pad", SourceVersion: "1"},
		{Ecosystem: "Debian:12", Name: "ssl", Version: "one", Source: "ssl", SourceVersion: "one two"},
		{Name: "app", Problem: "it has no package URL"},
		{Ecosystem: "Debian:13", Name: "ssl", Version: "1", Source: "ssl", SourceVersion: "1"},
		{Ecosystem: "Debian:12", Name: "ssl", Version: "3", Source: "ssl", SourceVersion: "3", Foreign: "vendor"},
		{Ecosystem: "Debian:12", Name: "agent", Version: "1", Source: "agent", SourceVersion: "1", Foreign: strings.Repeat("a", 64)},
		{Ecosystem: "Debian:12", Name: "later", Version: "1", Source: "later", SourceVersion: "1", Foreign: installed.Backports},
		{Ecosystem: "Debian:12", Name: "taken", Version: "1", Source: "ssl", SourceVersion: "1", Foreign: "vendor", Accepted: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []advisory.Unjudged{
		{Package: "left-pad", Version: "1", Reason: `the order of versions of ecosystem "npm" is not known: nothing can be said of its packages`},
		{Package: "ssl", Version: "one", Reason: `"one two" is no version as dpkg knows them`},
		{Package: "app", Reason: "it has no package URL"},
		{Package: "ssl", Version: "1", Reason: "no advisory speaks of Debian:13: no feed of it was read"},
		{Package: "ssl", Version: "3", Reason: "it comes from the source vendor, of which no advisory speaks; a recipe accepts that by advisories: none at the source"},
		{Package: "agent", Version: "1", Reason: "it comes from a package file of the project, of which no advisory speaks; a recipe accepts that by advisories: none at the source"},
		{Package: "later", Version: "1", Reason: "it is a backport from a later release, of which no advisory speaks"},
	}
	if diff := cmp.Diff([]advisory.Unjudged{{Package: "taken", Version: "1", Reason: "it comes from the source vendor, of which no advisory speaks"}}, r.Accepted); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, r.Unjudged); diff != "" || len(r.Findings) > 0 {
		t.Error(diff, r.Findings)
	}
}

// TestManyVersions has so many that they are found another way.
func TestManyVersions(t *testing.T) {
	a := affected("ssl")
	for i := range 10_000 {
		a.Versions = append(a.Versions, fmt.Sprint("1.", i%5000*2))
	}
	x := advisorytest.Index(t, advisory.Record{ID: "CVE-1", Affected: []advisory.Affected{a}})
	for version, want := range map[string]advisory.State{"1.0": "affected", "1.9998": "affected", "1.9997": "not-affected", "1.5000": "affected", "1.10000": "not-affected"} {
		if got := said(t, x, "ssl", version)["CVE-1"].State; got != want {
			t.Errorf("%s is %s", version, got)
		}
	}
}

// TestHostileAliases: names that stand for many, times records that have many of
// them, are refused before they fill the memory.
func TestHostileAliases(t *testing.T) {
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	add := func(r advisory.Record) {
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		add(advisory.Record{ID: fmt.Sprint("CVE-", i), Aliases: []string{"GHSA-1"}})
	}
	for i := range 20 {
		r := advisory.Record{ID: fmt.Sprint("DSA-", i)}
		for range advisory.MaxNames {
			r.Upstream = append(r.Upstream, "GHSA-1")
		}
		add(r)
	}
	if _, err := b.Index(); err == nil || !strings.Contains(err.Error(), "more than 4000000 times") {
		t.Errorf("the error is %v", err)
	}
}

// TestHostilePackages: a status file that lists one package in ever other
// versions does not fill the memory either.
func TestHostilePackages(t *testing.T) {
	var records []advisory.Record
	for i := range 1000 {
		records = append(records, advisory.Record{ID: fmt.Sprint("CVE-", i), Affected: []advisory.Affected{affected("ssl", begins)}})
	}
	var packages []installed.Package
	for i := range 600 {
		v := fmt.Sprint(i)
		packages = append(packages, installed.Package{Ecosystem: "Debian:12", Name: "ssl", Version: v, Source: "ssl", SourceVersion: v})
	}
	if _, err := advisorytest.Index(t, records...).Match(packages); err == nil || !strings.Contains(err.Error(), "more than 500000 findings") {
		t.Errorf("the error is %v", err)
	}
}
