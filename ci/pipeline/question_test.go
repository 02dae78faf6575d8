package pipeline_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/kev"
	"imgbuild/images/control"
)

var now = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// record is about all versions of a package before fixed, or about all.
func record(id, name, fixed string, severity control.Severity) advisory.Record {
	events := []advisory.Event{{Introduced: "0"}}
	if fixed != "" {
		events = append(events, advisory.Event{Fixed: fixed})
	}
	return advisory.Record{ID: id, Severity: severity, Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: name, Ranges: []advisory.Range{{Events: events}}}}}
}

// question asks of three images.
func question(t *testing.T, records ...advisory.Record) (*pipeline.Question, []*pipeline.Image) {
	t.Helper()
	from, images := three()
	stock := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
	return &pipeline.Question{Index: advisorytest.Index(t, records...), Facts: &feeds.Facts{}, Stock: update(t, stock, images, images), Now: now}, images
}

// lines are concerns as text, one a line.
func lines(concerns []*pipeline.Concern) string {
	var b strings.Builder
	for _, c := range concerns {
		fmt.Fprintf(&b, "%s %s %s:", c.ID, c.Severity, c.State)
		for _, p := range c.Places {
			fmt.Fprintf(&b, " %s/%s=%s", p.Image, p.Output, p.State)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestTheWorstComesFirst(t *testing.T) {
	q, images := question(t,
		record("CVE-2026-0001", "openssl", "2", control.Medium),
		record("CVE-2026-0002", "linux", "7", control.Critical),
		record("CVE-2026-0003", "bash", "", control.Low),
		record("CVE-2026-0004", "openssl", "1", control.Critical),
		record("CVE-2026-0005", "linux", "7", ""),
	)
	q.Facts.Exploited = []*kev.Catalog{{Entries: []kev.Entry{{CVE: "CVE-2026-0003", Added: now}}}}
	a, err := q.Concerns(t.Context(), images)
	if err != nil || len(a.Gaps) > 0 {
		t.Fatal(err, a.Gaps)
	}
	want := `CVE-2026-0003 low affected: web:20260101.3/vm=affected web:20260101.3/container=affected
CVE-2026-0002 critical affected: web:20260101.2/vm=affected
CVE-2026-0005  affected: web:20260101.2/vm=affected
CVE-2026-0001 medium affected: web:20260101.1/vm=affected web:20260101.1/container=affected
`
	if got := lines(a.Concerns); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	// What is waived comes last.
	q.Waivers = []*control.Waiver{{ID: "w", CVE: "CVE-2026-0003", Owner: "ops", Reason: "no shell", Expires: control.Date{Time: now.AddDate(0, 1, 0)}}}
	if a, err = q.Concerns(t.Context(), images); err != nil || a.Concerns[3].ID != "CVE-2026-0003" || a.Concerns[3].Open() {
		t.Errorf("%v: %s", err, lines(a.Concerns))
	}
}

func TestAboutNamesEveryOutputOfWhatMayHaveIt(t *testing.T) {
	dsa := record("DSA-1-1", "linux", "7", "")
	dsa.Upstream = []string{"CVE-2026-0001", "CVE-2026-0002"}
	q, images := question(t, dsa, record("CVE-2026-0003", "openssl", "2", control.High))
	about, err := q.About(t.Context(), "DSA-1-1", images)
	if err != nil {
		t.Fatal(err)
	}
	want := `CVE-2026-0002  affected: web:20260101.2/vm=affected web:20260101.2/container=not-in-this-output
CVE-2026-0001  affected: web:20260101.2/vm=affected web:20260101.2/container=not-in-this-output
`
	if got := lines(about.Concerns); got != want || len(about.Looked) != 1 {
		t.Errorf("looked at %d, got\n%swant\n%s", len(about.Looked), got, want)
	}
	if got := about.Concerns[0].Places[1].Reason; got != "only in the disk (liblinux): the container has no package of linux" {
		t.Error(got)
	}
	if about, err = q.About(t.Context(), "CVE-2026-0003", images); err != nil {
		t.Fatal(err)
	}
	want = "CVE-2026-0003 high affected: web:20260101.1/vm=affected web:20260101.1/container=affected web:20260101.2/vm=fixed web:20260101.2/container=fixed\n"
	if got := lines(about.Concerns); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if _, err := q.About(t.Context(), "CVE-1", images); err == nil {
		t.Error("what nobody knows is known")
	}
}

func TestWhatCannotBeReadIsAGap(t *testing.T) {
	from, images := three()
	delete(from.contents, "20260101.1")
	stock := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
	q := &pipeline.Question{Index: advisorytest.Index(t, record("CVE-2026-0001", "openssl", "3", "")), Facts: &feeds.Facts{}, Stock: update(t, stock, images, images), Now: now}
	a, err := q.Concerns(t.Context(), images)
	if err != nil || len(a.Gaps) != 1 || a.Gaps[0].Where != "web:20260101.1" || len(a.Concerns) != 1 {
		t.Errorf("%v: %v, %s", err, a.Gaps, lines(a.Concerns))
	}
	q.Index = advisorytest.Index(t, record("CVE-2026-0001", "openssl", "3", ""))
	q.Index = advisorytest.Index(t)
	if a, err = q.Concerns(t.Context(), images[1:]); err != nil || len(a.Gaps) != 4 || !strings.Contains(a.Gaps[0].Why, "no advisory speaks of Debian:12") {
		t.Errorf("%v: %v", err, a.Gaps)
	}
}

func TestNewsIsToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seen.json")
	tell := func(gaps []pipeline.Gap, records ...advisory.Record) []string {
		q, images := question(t, records...)
		q.Facts.Exploited = []*kev.Catalog{{Entries: []kev.Entry{{CVE: "CVE-2026-0009", Added: now}}}}
		a, err := q.Concerns(t.Context(), images[:2])
		if err != nil {
			t.Fatal(err)
		}
		known := pipeline.Know(a.Concerns, now)
		before, err := pipeline.Notice(t.Context(), path, known, gaps)
		if err != nil {
			t.Fatal(err)
		}
		if before == nil {
			before = &pipeline.Seen{}
		}
		var all []string
		for _, n := range known.Since(before) {
			all = append(all, fmt.Sprintf("%s %s %v in %s", n.What, n.ID, n.Fixed, strings.Join(n.Where, " and ")))
		}
		return all
	}
	for i, step := range []struct {
		gaps    []pipeline.Gap
		records []advisory.Record
		want    []string
	}{
		{nil, []advisory.Record{record("CVE-2026-0001", "openssl", "", "")}, []string{"new CVE-2026-0001 [] in web (container) and web (vm)"}},
		{nil, []advisory.Record{record("CVE-2026-0001", "openssl", "", "")}, nil},
		{nil, []advisory.Record{record("CVE-2026-0001", "openssl", "3", "")}, []string{"fixable CVE-2026-0001 [3] in web (container) and web (vm)"}},
		{nil, []advisory.Record{record("CVE-2026-0001", "openssl", "3", ""), record("CVE-2026-0009", "linux", "", "")}, []string{"exploited CVE-2026-0009 [] in web (vm)"}},
		// What cannot be told now is not gone.
		{[]pipeline.Gap{{Where: "feed osv"}}, []advisory.Record{record("CVE-2026-0009", "linux", "", "")}, nil},
		{nil, []advisory.Record{record("CVE-2026-0009", "linux", "", "")}, []string{"gone CVE-2026-0001 [] in web (container) and web (vm)"}},
	} {
		if got := tell(step.gaps, step.records...); !slices.Equal(got, step.want) {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}
