// Package advisorytest makes indexes of the records that a test has. It is for tests
// alone.
package advisorytest

import (
	"testing"

	"imgbuild/images/advisory"
)

// Builder has taken up records.
func Builder(t testing.TB, records ...advisory.Record) *advisory.Builder {
	t.Helper()
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := b.Add(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// Index is an index of records.
func Index(t testing.TB, records ...advisory.Record) *advisory.Index {
	t.Helper()
	x, err := Builder(t, records...).Index()
	if err != nil {
		t.Fatal(err)
	}
	return x
}
