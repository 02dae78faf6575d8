package builder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/images/gate"
	"imgbuild/images/report"
)

// TestBakesAreHeldAgainstAdvisories bakes a recipe with a gate about CVEs: without
// feeds, with one that speaks of a package, and with a waiver for that. The image is
// the same all along.
func TestBakesAreHeldAgainstAdvisories(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-small")
	recipe, err := os.ReadFile(s.recipeFile())
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("project/baselines/"+s.baseline+".yaml", string(recipe)+"gates: {cves: {severity: high, exploited: refuse}}\n")
	// refused bakes and returns what the gates said, and of what.
	type answer struct {
		Version, Container string
		Known, Rejected    bool
		Refusals           []gate.Refusal
		CVEs               *report.Tally
		Exit               int
	}
	refused := func() answer {
		t.Helper()
		out, err := s.run(t.Context(), "bake", s.baseline, "--output", "json")
		var a answer
		var no *failed
		if !errors.As(err, &no) || no.code != 3 || json.Unmarshal(out, &a) != nil || !a.Rejected || a.Exit != 3 {
			t.Fatalf("the bake ended with %v:\n%s", err, out)
		}
		return a
	}
	says := func(a answer, want ...string) {
		t.Helper()
		for i, text := range want {
			if len(a.Refusals) != len(want) || a.Refusals[i].Gate != "cves.container" || !strings.HasPrefix(a.Refusals[i].Why, text) {
				t.Fatalf("got %+v, want %q", a.Refusals, want)
			}
		}
	}

	// 1. Nothing is known, which is no good news.
	first := refused()
	if first.CVEs != nil {
		t.Errorf("without feeds there is a count of CVEs: %s", first.CVEs)
	}
	says(first, "it was not held against advisories: add a feed (imgbuild feeds add osv-debian)")

	// 2. Two records: one of a package that every Debian has, not rated by anybody,
	// and one of a package that is not there.
	today := time.Now().UTC().Format(time.RFC3339)
	for _, r := range []struct{ id, source string }{{"CVE-2099-1000", "base-files"}, {"CVE-2099-2000", "not-there"}} {
		write("media/"+r.id+".json", fmt.Sprintf(`{"schema_version": "1.6.0", "id": %q, "modified": %q, "affected": [{"package": {"ecosystem": "Debian:12", "name": %q},
			"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}]}]}`, r.id, today, r.source))
	}
	if _, err := s.run(t.Context(), "feeds", "add", filepath.Join(s.dir, "media")); err != nil {
		t.Fatal(err)
	}
	second := refused()
	if !second.Known || second.Version != first.Version || second.Container != first.Container {
		t.Errorf("advisories changed the image: %+v, %+v", first, second)
	}
	says(second, "no feed says what is exploited; add one: imgbuild feeds add kev", "CVE-2099-1000: base-files ")
	if second.CVEs == nil || !strings.HasPrefix(second.CVEs.String(), "1 fixable (1 not rated), 0 without a fix; feeds of ") {
		t.Errorf("counted: %s", second.CVEs)
	}
	if !strings.Contains(second.Refusals[1].Why, "(not rated): fixed in 999: the lock has it not, lock again; what is not rated counts as bad enough") {
		t.Errorf("got %+v", second.Refusals)
	}
	write("kev/kev.json", `{"catalogVersion": "1", "dateReleased": "`+today+`", "count": 1, "vulnerabilities": [{"cveID": "CVE-2099-2000", "vendorProject": "v", "product": "p",
		"vulnerabilityName": "n", "dateAdded": "2026-01-01", "shortDescription": "d", "requiredAction": "a", "dueDate": "2026-02-01", "knownRansomwareCampaignUse": "Unknown"}]}`)
	if _, err := s.run(t.Context(), "feeds", "add", filepath.Join(s.dir, "kev")); err != nil {
		t.Fatal(err)
	}
	says(refused(), "CVE-2099-1000: base-files ")

	// 3. A waiver accepts it once the version is scanned again.
	write("project/waivers.yaml", "files: {cve: CVE-2099-1000, package: base-files, reason: r, owner: o, expires: "+time.Now().AddDate(0, 0, 7).Format(time.DateOnly)+"}\n")
	if out, said, err := s.output(t.Context(), "scan", second.Version, "--attach"); !strings.Contains(string(said), second.Version+" passes the gates of its recipe") {
		t.Fatalf("the scan ended with %v:\n%s\n%s", err, said, out)
	}
	if again := s.bake(t); !again.Known || again.Container != first.Container {
		t.Errorf("got %+v", again)
	}
}
