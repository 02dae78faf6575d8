package advisory_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"imgbuild/images/advisory"
	"imgbuild/images/control"
)

func TestCheckRefusesWhatIsBeyondBounds(t *testing.T) {
	ranged := func(e advisory.Event) []advisory.Affected {
		return []advisory.Affected{{Ecosystem: "Debian:12", Package: "openssl", Ranges: []advisory.Range{{Events: []advisory.Event{e}}}}}
	}
	for name, c := range map[string]struct {
		record advisory.Record
		says   string
	}{
		"no id":           {advisory.Record{}, "empty id"},
		"long id":         {advisory.Record{ID: strings.Repeat("x", advisory.MaxName+1)}, "the limit is 256"},
		"escape sequence": {advisory.Record{ID: "CVE-1\x1b[2J"}, "cannot be printed"},
		"no UTF-8":        {advisory.Record{ID: "CVE-\xff"}, "cannot be printed"},
		"empty alias":     {advisory.Record{ID: "CVE-1", Aliases: []string{""}}, "empty alias"},
		"aliases":         {advisory.Record{ID: "CVE-1", Upstream: make([]string, advisory.MaxNames+1)}, "10001 aliases"},
		"packages":        {advisory.Record{ID: "CVE-1", Affected: make([]advisory.Affected, advisory.MaxAffected+1)}, "50001 affected"},
		"no package":      {advisory.Record{ID: "CVE-1", Affected: []advisory.Affected{{Ecosystem: "Debian:12"}}}, "empty package"},
		"empty version":   {advisory.Record{ID: "CVE-1", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "x", Versions: []string{""}}}}, "empty version"},
		"event of none":   {advisory.Record{ID: "CVE-1", Affected: ranged(advisory.Event{})}, "0 versions instead of one"},
		"event of two":    {advisory.Record{ID: "CVE-1", Affected: ranged(advisory.Event{Introduced: "0", Fixed: "1"})}, "2 versions instead of one"},
		"events": {advisory.Record{ID: "CVE-1", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Package: "x", Ranges: []advisory.Range{
			{Events: slices.Repeat([]advisory.Event{{Introduced: "1"}}, advisory.MaxEvents+1)}}}}}, "more than 10000 events"},
	} {
		if err := c.record.Check(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
	good := advisory.Record{ID: "CVE-1", Aliases: []string{"GHSA-1"}, Affected: ranged(advisory.Event{Introduced: "0"})}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func TestLineIsOnePrintableLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		" a\n\tb\r\n":                    "a b",
		"a\x1b[31mb\x00":                 "a[31mb",
		"\u202ea\xff b":                  "a b",
		strings.Repeat("ä ", 1<<20):      strings.Repeat("ä ", advisory.MaxLine/2),
		strings.Repeat("ä", 1<<20) + "z": strings.Repeat("ä", advisory.MaxLine-1) + "…",
	} {
		got := advisory.Line(text)
		if !strings.HasPrefix(got, strings.TrimSuffix(want, " ")) || utf8.RuneCountInString(got) > advisory.MaxLine+1 || len(text) < 100 && got != want {
			t.Errorf("%.40q is %.60q, want %.60q", text, got, want)
		}
	}
}

func TestSeverityOfVector(t *testing.T) {
	for vector, want := range map[string]control.Severity{
		"AV:N/AC:L/Au:N/C:C/I:C/A:C":                                       control.Critical, // 10.0
		"(AV:L/AC:L/Au:N/C:P/I:P/A:P)":                                     control.Medium,   // 4.6
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                     control.Critical, // 9.8
		"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N":                     control.Medium,   // 5.5
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N":                     "",               // 0.0
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N":  control.Critical, // 9.3
		"CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N ": "error",
		"CVSS:3.1/AV:N": "error",
		"CVSS:9.9/AV:N": "error",
		"":              "error",
	} {
		got, err := advisory.SeverityOfVector(vector)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is %q, want %q (%v)", vector, got, want, err)
		}
	}
}

func TestWorseKeepsWhatIsKnown(t *testing.T) {
	for _, c := range [][3]control.Severity{
		{"", control.Low, control.Low}, {control.Low, "", control.Low}, {"", "", ""},
		{control.High, control.Medium, control.High}, {control.Medium, control.Critical, control.Critical},
	} {
		if got := advisory.Worse(c[0], c[1]); got != c[2] {
			t.Errorf("of %q and %q %q is worse, want %q", c[0], c[1], got, c[2])
		}
	}
}
