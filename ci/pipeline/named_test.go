package pipeline_test

import (
	"strings"
	"testing"

	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/advisory/msrc"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// update2022 is one of Windows Server 2022.
func update2022() advisory.Record {
	return advisory.Record{ID: "KB5044281", Upstream: []string{"CVE-2024-0001"}, Affected: []advisory.Affected{{
		Ecosystem: msrc.Ecosystem, Package: "Windows Server 2022", Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "10.0.20348.2762"}}}},
	}}}
}

// TestWhatAnAdvisoryIsCalled has ids as people type them.
func TestWhatAnAdvisoryIsCalled(t *testing.T) {
	x := advisorytest.Index(t, record("DSA-5678-1", "ssl", "2", ""), record("CVE-2026-1234", "ssl", "2", ""), record("GHSA-abcd-2345-wxyz", "ssl", "2", ""), update2022())
	for typed, want := range map[string]string{
		"CVE-2026-1234": "CVE-2026-1234", "cve-2026-1234": "CVE-2026-1234", " dsa-5678-1": "DSA-5678-1", "ghsa-ABCD-2345-wxyz": "GHSA-abcd-2345-wxyz", "kb5044281": "KB5044281",
	} {
		if got, err := pipeline.Named(x, typed, nil); got != want || err != nil {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	all := []feeds.Kind{feeds.OSV, feeds.MSRC}
	for _, c := range []struct {
		typed      string
		watched    []feeds.Kind
		meant, how string
	}{
		{"dsa-5678", all, `did you mean "DSA-5678-1"?`, "advisories sync --now"},
		{"CVE-2026-1243", all, `did you mean "CVE-2026-1234"?`, "advisories sync --now"},
		{"KB5044282", all, `did you mean "KB5044281"?`, "advisories sync --now"},
		{"KB9999999", all[:1], "", "feeds add msrc"},
		{"DSA-1-1", all[1:], "", "feeds add osv-debian"},
		{"DSA-1-1", all, "", "advisories sync --now"},
	} {
		_, err := pipeline.Named(x, c.typed, c.watched)
		if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), c.meant) || !strings.HasSuffix(fault.HintOf(err), c.how) {
			t.Errorf("%s: %v (%s)", c.typed, err, fault.HintOf(err))
		}
	}
}

// TestAnUpdateOfWindows has one image whose bill names a build of Windows, and none: neither
// is nothing.
func TestAnUpdateOfWindows(t *testing.T) {
	q, images := question(t, update2022(), record("CVE-2026-0001", "openssl", "2", control.High))
	about, err := q.About(t.Context(), "kb5044281", images)
	if err != nil || about.ID != "KB5044281" || len(about.Looked) != 0 {
		t.Fatalf("%+v, %v", about, err)
	}
	gap, err := pipeline.Windows(q.Index, about.ID, len(about.Looked))
	if err != nil || gap == nil || !strings.Contains(gap.Why, "no bill of materials of an image in use names a build of Windows") {
		t.Errorf("%v, %v", gap, err)
	}
	if gap, err := pipeline.Windows(q.Index, "CVE-2026-0001", 0); gap != nil || err != nil {
		t.Errorf("of Debian: %v, %v", gap, err)
	}

	from, images := three()
	from.contents["20260101.3"] = pipeline.Contents{control.Machine: []installed.Package{{
		Ecosystem: msrc.Ecosystem, Name: "Windows Server 2022", Version: "10.0.20348.2527", Source: "Windows Server 2022", SourceVersion: "10.0.20348.2527",
	}}}
	q.Stock = update(t, &pipeline.Stock{Dir: t.TempDir(), Read: from.read}, images, images)
	if about, err = q.About(t.Context(), "KB5044281", images); err != nil || len(about.Looked) != 1 {
		t.Fatalf("%+v, %v", about, err)
	}
	if gap, err = pipeline.Windows(q.Index, about.ID, len(about.Looked)); gap != nil || err != nil {
		t.Errorf("%v, %v", gap, err)
	}
	has := pipeline.Havings{}
	for _, c := range about.Concerns {
		has.Note(c)
	}
	gaps := has.Unlocked(nil)
	if len(gaps) != 1 || !strings.HasPrefix(gaps[0].Why, "its image web:20260101.3 has CVE-2024-0001, and no lock") {
		t.Errorf("%v", gaps)
	}
}
