package csaf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/csaf"
	"imgbuild/images/control"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func since(version string) []advisory.Range {
	events := []advisory.Event{{Introduced: "0"}}
	if version != "" {
		events = append(events, advisory.Event{Fixed: version})
	}
	return []advisory.Range{{Events: events}}
}

func TestAnAdvisory(t *testing.T) {
	got, err := csaf.Decode(read(t, "testdata/advisory.json"))
	if err != nil {
		t.Fatal(err)
	}
	const title = "Red Hat Security Advisory: sizer and meter security update"
	published, modified := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2030, 2, 2, 0, 0, 0, 0, time.UTC)
	want := &csaf.Document{ID: "RHSA-2030:0001", Title: title, Others: 1, Records: []*advisory.Record{
		{
			ID: "RHSA-2030:0001", Feed: "csaf", Upstream: []string{"CVE-2030-0001"}, Summary: title, Severity: control.High, Published: published, Modified: modified,
			References: []string{"https://example.org/RHSA-2030:0001", "https://example.org/CVE-2030-0001"},
			Affected: []advisory.Affected{
				{
					Ecosystem: "Red Hat:enterprise_linux:9::appstream", Package: "meter", Ranges: since("3.0-1.module+el9.1+7+abc"), Status: advisory.StatusUndetermined, Severity: control.Low,
					Note: "it is said of module meter:3: whether that is the stream of the package cannot be told",
				},
				{Ecosystem: "Red Hat:enterprise_linux:9::baseos", Package: "sizer", Ranges: since("32:1.2-1.el9")},
				{
					Ecosystem: "Red Hat:enterprise_linux:9::baseos", Package: "sizer-doc", Versions: []string{"32:1.2-1.el9"}, Status: advisory.StatusNotAffected,
					Note: "the vulnerable code is not in it",
				},
			},
		},
		{
			ID: "RHSA-2030:0001", Feed: "csaf", Upstream: []string{"7654321"}, Summary: title, Severity: control.Medium, Vector: "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H",
			Published: published, Modified: modified, References: []string{"https://example.org/RHSA-2030:0001"},
			Affected: []advisory.Affected{{Ecosystem: "Red Hat:enterprise_linux:9::baseos", Package: "sizer", Ranges: since("32:1.2-1.el9")}},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVEX(t *testing.T) {
	got, err := csaf.Decode(read(t, "testdata/vex.json"))
	if err != nil {
		t.Fatal(err)
	}
	const eight, nine = "Red Hat:enterprise_linux:8", "Red Hat:enterprise_linux:9"
	want := &csaf.Document{ID: "CVE-2030-0003", Title: "a title", Others: 1, Records: []*advisory.Record{{
		ID: "CVE-2030-0003", Feed: "csaf", Summary: "alpha: and others", Severity: control.Medium,
		Published: time.Date(2029, 12, 31, 0, 0, 0, 0, time.UTC), Modified: time.Date(2030, 2, 2, 0, 0, 0, 0, time.UTC),
		References: []string{"https://example.org/CVE-2030-0003"},
		Affected: []advisory.Affected{
			{Ecosystem: eight, Package: "alpha", Status: advisory.StatusNotAffected, Note: "the component is not in it"},
			{Ecosystem: nine, Package: "alpha", Ranges: since("")},
			{Ecosystem: nine, Package: "beta", Ranges: since(""), Disposition: advisory.Postponed, Note: "Fix deferred"},
			{Ecosystem: nine, Package: "delta", Ranges: since(""), Disposition: advisory.EndOfLife, Note: "Out of support scope"},
			{Ecosystem: nine, Package: "epsilon", Status: advisory.StatusUndetermined, Note: "Red Hat is looking at it"},
			{Ecosystem: nine, Package: "eta", Status: advisory.StatusNotAffected, Note: "Red Hat says so without a reason"},
			{Ecosystem: nine, Package: "gamma", Ranges: since(""), Disposition: advisory.Ignored, Note: "Will not fix"},
			{
				Ecosystem: nine, Package: "theta", Ranges: since(""), Status: advisory.StatusUndetermined,
				Note: "it is said of module theta:1: whether that is the stream of the package cannot be told",
			},
			// The source package of that name is not affected, but the binary package is.
			{Ecosystem: nine, Package: "zeta", Ranges: since("")},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoDocument(t *testing.T) {
	text := string(read(t, "testdata/advisory.json"))
	swap := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q to replace", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	nested := `{"category": "vendor", "name": "x", "branches": [`
	for data, says := range map[string]string{
		"":                                       "it is empty",
		"[]":                                     "unmarshal",
		"{}":                                     `CSAF version ""`,
		text[:len(text)/2]:                       "EOF",
		text + "{}":                              "after top-level value",
		"\xef\xbb\xbf" + text:                    "byte order mark",
		swap(`"2.0"`, `"2.1"`):                   `CSAF version "2.1"`,
		swap(`"final"`, `"draft"`):               `the status "draft"`,
		swap(`"RHSA-2030:0001"`, "\"RHSA\x00\""): "invalid",
		swap(`"vulnerabilities"`, `"Vulnerabilities"`):                                                                      "says nothing of any vulnerability",
		swap(`"CVE-2030-0001"`, `""`):                                                                                       "has no id",
		swap(`"CVE-2030-0001"`, `"CVE-\u001b"`):                                                                             "cannot be printed",
		swap(`2030-01-02T03:04:05+00:00`, "yesterday"):                                                                      "cannot be read",
		swap(`"BaseOS:sizer-32:1.2-1.el9.src"`, `"BaseOS:nothing"`):                                                         "is not defined",
		swap(`"product_reference": "sizer-32:1.2-1.el9.src"`, `"product_reference": "nothing"`):                             "which is not defined",
		swap(`"relates_to_product_reference": "BaseOS"`, `"relates_to_product_reference": "nothing"`):                       "which is not defined",
		swap(`"relates_to_product_reference": "BaseOS"`, `"relates_to_product_reference": "BaseOS:sizer-32:1.2-1.el9.src"`): "relationships away",
		swap(`"pkg:rpm/redhat/sizer@1.2-1.el9?arch=src&epoch=32"`, `"pkg:rpm/"`):                                            "package URL",
		swap(`"product_id": "AppStream"`, `"product_id": "BaseOS"`):                                                         "defined twice",
		swap(`"product_id": "AppStream"`, `"product_id": ""`):                                                               "has 0 bytes",
		swap(`"known_not_affected"`, `"under_investigation": ["BaseOS:sizer-32:1.2-1.el9.src"], "known_not_affected"`):      "and something else as well",
		swap(`"known_not_affected"`, `"known_affected": ["BaseOS:sizer-32:1.2-1.el9.src"], "known_not_affected"`):           "and something else as well",
		swap(`"flags"`, `"flags": [{"label": "x", "group_ids": ["none"]}], "x"`):                                            "group \"none\" of products is not defined",
		swap(`"branches": [`, `"branches": [`+strings.Repeat(nested, 40)+strings.Repeat("]}", 40)+","):                      "deeper than 32",
		strings.Repeat(" ", 65<<20):                                                                                         "more than",
	} {
		if _, err := csaf.Decode([]byte(data)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", data, err, says)
		}
	}
}

// TestSharedDocuments reads documents of Red Hat and Microsoft that are not part
// of this project.
func TestSharedDocuments(t *testing.T) {
	names, err := filepath.Glob("../../../../shared/data/redhat/*.json")
	if err != nil || len(names) == 0 {
		t.Skip("the documents are not here")
	}
	more, _ := filepath.Glob("../../../../shared/data/msrc/csaf/*.json")
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, more...) {
		d, err := csaf.Decode(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		affected := 0
		for _, r := range d.Records {
			affected += len(r.Affected)
			if r.Severity == "" {
				t.Errorf("%s: %v is not rated", d.ID, r.Upstream)
			}
			if err := b.Add(r); err != nil {
				t.Error(err)
			}
		}
		if affected == 0 && d.Others == 0 {
			t.Errorf("%s says nothing of any package", d.ID)
		}
	}
	if _, err := b.Index(); err != nil {
		t.Error(err)
	}
	d, err := csaf.Decode(read(t, "../../../../shared/data/redhat/vex-cve-2024-3094.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range d.Records[0].Affected {
		if a.Status != advisory.StatusNotAffected || len(a.Versions) > 0 || a.Note != "the vulnerable code is not in it" {
			t.Errorf("%s of %s is %q: %s", a.Package, a.Ecosystem, a.Status, a.Note)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"testdata/advisory.json", "testdata/vex.json"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := csaf.Decode(data)
		if err != nil {
			return
		}
		for _, r := range d.Records {
			if err := r.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}
