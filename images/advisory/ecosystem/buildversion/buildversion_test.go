package buildversion_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"imgbuild/images/advisory/ecosystem/buildversion"
)

func TestCompare(t *testing.T) {
	ordered := []string{"0", "4.8.1", "4.8.04762.02", "4.8.04762.10", "4.8.9000", "10.0.17763.6189", "10.0.20348", "10.0.20348.999", "10.0.20348.2700", "10.1"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := buildversion.Compare(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s compare as %d", a, b, got)
			}
		}
	}
	for _, equal := range [][2]string{{"4.8.04762.02", "4.8.4762.2"}, {"10.0", "10.0.0.0"}, {"0", "000"}} {
		if got := buildversion.Compare(equal[0], equal[1]); got != 0 {
			t.Errorf("%s and %s compare as %d", equal[0], equal[1], got)
		}
	}
}

// TestCompareAgainstNumbers holds the order against that of lists of numbers.
func TestCompareAgainstNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var text [2]string
		var list [2][6]int
		for i := range 2 {
			for j := range 1 + random.IntN(6) {
				list[i][j] = random.IntN(3) * random.IntN(1_000)
				if j > 0 {
					text[i] += "."
				}
				text[i] += fmt.Sprintf("%0*d", 1+random.IntN(3), list[i][j])
			}
			if !buildversion.Valid(text[i]) {
				t.Fatalf("%q is not valid", text[i])
			}
		}
		if got, want := buildversion.Compare(text[0], text[1]), slices.Compare(list[0][:], list[1][:]); got != want {
			t.Fatalf("%s and %s compare as %d, not %d", text[0], text[1], got, want)
		}
	}
}

func TestValid(t *testing.T) {
	for _, v := range []string{"", ".", "1.", ".1", "1..2", "v1", "1.0\n", "16.0.x", "1234567890", "1.2.3.4.5.6.7", "10.0.20348.2700 "} {
		if buildversion.Valid(v) {
			t.Errorf("%q is valid", v)
		}
	}
	if got := buildversion.Branch("10.0.20348.2700"); got != "10.0.20348" {
		t.Errorf("the branch is %q", got)
	}
	if got := buildversion.Branch("7"); got != "" {
		t.Errorf("the branch is %q", got)
	}
}
