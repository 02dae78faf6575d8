package advisory_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/control"
)

// someRecords are a CVE of two feeds, an advisory about it and another, one of
// an ecosystem that is not known, and one that was withdrawn.
func someRecords() []advisory.Record {
	return []advisory.Record{
		{
			ID: "DSA-1-1", Feed: "osv", Upstream: []string{"CVE-2", "CVE-1"}, Summary: "ssl - security update",
			Published:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			References: []string{"https://example.org/dsa"}, Affected: []advisory.Affected{affected("ssl", begins, ends("2"))},
		},
		{
			ID: "CVE-1", Feed: "tracker", Summary: "of the tracker",
			Affected: with(affected("ssl", begins), func(a *advisory.Affected) { a.Disposition, a.Note, a.Urgency = advisory.NoDSA, "Minor issue", "low" }),
		},
		{
			ID: "CVE-1", Feed: "osv", Aliases: []string{"GHSA-1"}, Severity: control.High, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
			Affected: []advisory.Affected{
				{Ecosystem: "Debian:11", Package: "ssl", Versions: []string{"1", "1.1"}, Ranges: []advisory.Range{{Events: []advisory.Event{begins, ends("1.2")}}}},
				{Ecosystem: "Ubuntu:22.04:LTS", Package: "ssl", Versions: []string{"1"}},
				{Ecosystem: "npm", Package: "ssl", Versions: []string{"1"}},
			},
		},
		{ID: "CVE-3", Withdrawn: time.Unix(1, 0), Affected: []advisory.Affected{affected("ssl", begins)}},
	}
}

// lengths is where an index says how long its two parts are.
const lengths = len("imgbuild advisories") + 2

func write(t testing.TB, records ...advisory.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := advisorytest.Builder(t, records...).Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAnIndexOnDisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "index")
	written := write(t, someRecords()...)
	if err := os.WriteFile(name, written, 0o600); err != nil {
		t.Fatal(err)
	}
	if again := write(t, someRecords()...); !bytes.Equal(written, again) {
		t.Error("the same records give other bytes")
	}
	x, err := advisory.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if x.Records() != 3 {
		t.Errorf("there are %d records", x.Records())
	}
	if diff := cmp.Diff(map[string]int{"npm": 1}, x.Unknown()); diff != "" {
		t.Error(diff)
	}
	records := someRecords()
	for i := range records {
		records[i].Affected = nil
	}
	dsa, tracker, osv := &records[0], &records[1], &records[2]
	debian12, debian11, ubuntu := advisory.Name{Release: "Debian:12", Package: "ssl"}, advisory.Name{Release: "Debian:11", Package: "ssl"}, advisory.Name{Release: "Ubuntu:22.04", Package: "ssl"}
	for name, want := range map[string]struct {
		records  []*advisory.Record
		packages []advisory.Name
	}{
		"DSA-1-1": {[]*advisory.Record{dsa}, []advisory.Name{debian12}},
		"CVE-1":   {[]*advisory.Record{osv, tracker, dsa}, []advisory.Name{debian11, debian12, ubuntu}},
		"GHSA-1":  {[]*advisory.Record{osv, tracker, dsa}, []advisory.Name{debian11, debian12, ubuntu}},
		"CVE-2":   {[]*advisory.Record{dsa}, []advisory.Name{debian12}},
		"CVE-3":   {},
		"":        {},
		"ZZZ":     {},
	} {
		found, err := x.Named(name)
		if diff := cmp.Diff(want.records, found); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		packages, err := x.Packages(name)
		if diff := cmp.Diff(want.packages, packages); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	if f := said(t, x, "ssl", "1")["CVE-1"]; f.State != advisory.StateAffected || f.Fixed != "2" || f.Severity != control.High || f.Urgency != "low" {
		t.Errorf("CVE-1 is %+v", f)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if _, err := x.Named("CVE-1"); err == nil {
		t.Error("details are read from a file that is closed")
	}
	if _, err := advisory.Open(name + ".none"); err == nil {
		t.Error("there is an index that is not there")
	}
}

func TestDamagedIndexesAreRefused(t *testing.T) {
	good := write(t, someRecords()...)
	if _, err := advisory.Read(bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	details := int(binary.LittleEndian.Uint64(good[lengths+8:]))
	if details < 100 || details > len(good)-300 {
		t.Fatalf("%d of %d bytes are details", details, len(good))
	}
	for at := range len(good) - details {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if at >= lengths+8 && at < lengths+16 {
			continue // how long the details are is not covered
		}
		if _, err := advisory.Read(bytes.NewReader(bad)); err == nil {
			t.Fatalf("byte %d of %d may be changed", at, len(good))
		}
	}
	for n := range len(good) - details {
		if _, err := advisory.Read(bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("%d of %d bytes are enough", n, len(good))
		}
	}
	x, err := advisory.Read(bytes.NewReader(good[:len(good)-1]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Named("CVE-1"); err == nil {
		t.Error("details are read that are not there")
	}
}

// FuzzRead has an index of any content with the right digest: whatever it says,
// it is an answer or an error.
func FuzzRead(f *testing.F) {
	good := write(f, someRecords()...)
	const header = lengths + 8 + 8 + sha256.Size
	f.Add(good[header:], uint16(binary.LittleEndian.Uint64(good[lengths+8:])))
	f.Add(write(f)[header:], uint16(0))
	f.Fuzz(func(t *testing.T, body []byte, details uint16) {
		hot := max(0, len(body)-int(details))
		sum := sha256.Sum256(body[:hot])
		data := bytes.Clone(good[:lengths])
		data = binary.LittleEndian.AppendUint64(data, uint64(hot))
		data = binary.LittleEndian.AppendUint64(data, uint64(len(body)-hot))
		data = append(append(data, sum[:]...), body...)
		x, err := advisory.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, name := range []string{"CVE-1", "DSA-1-1", "GHSA-1"} {
			_, _ = x.Named(name)
			_, _ = x.Packages(name)
		}
		_, _ = x.Match([]installed.Package{{Ecosystem: "Debian:12", Name: "ssl", Version: "1", Source: "ssl", SourceVersion: "1"}})
		_ = fmt.Sprint(x.Unknown(), x.Records())
	})
}
