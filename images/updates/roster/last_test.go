package roster_test

import (
	"testing"
	"time"

	"imgbuild/images/updates/life"
	"imgbuild/images/updates/roster"
)

func TestTheLastRecordIsWhatStandsOnTheMost(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	record := func(digest string, when time.Time, after ...string) life.Signed {
		return life.Signed{Digest: digest, Record: &life.Record{When: when, After: after}}
	}
	// b is somebody else's; x was signed elsewhere, by who dates it ahead.
	a, b := record("a", noon), record("b", noon, "a")
	c, x := record("c", noon.Add(time.Hour), "b"), record("x", noon.AddDate(70, 0, 0))
	for name, c := range map[string]struct {
		own   []life.Signed
		last  string
		known int
	}{
		"in a line":     {[]life.Signed{a, c}, "c", 2},
		"one beside it": {[]life.Signed{x, c, a}, "c", 2},
		"on its own":    {[]life.Signed{x}, "x", 1},
		"one of two":    {[]life.Signed{x, a}, "a", 1},
	} {
		last, known := roster.Last([]life.Signed{a, b, x, record("c", noon, "b")}, c.own)
		if last.Digest != c.last || known != c.known {
			t.Errorf("%s: %s, which knows %d, expected %s with %d", name, last.Digest, known, c.last, c.known)
		}
	}
}
