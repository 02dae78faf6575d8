package deb822_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"imgbuild/builder/debian/deb822"
)

// dpkg reports whether dpkg holds a relation between two versions to be true.
func dpkg(t testing.TB, a, relation, b string) bool {
	t.Helper()
	err := exec.Command("dpkg", "--compare-versions", a, relation, b).Run()
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == 1 {
		return false
	}
	if err != nil {
		t.Fatalf("dpkg --compare-versions %s %s %s: %v", a, relation, b, err)
	}
	return true
}

func checkPair(t testing.TB, a, b string) {
	t.Helper()
	got := deb822.CompareVersions(a, b)
	if back := deb822.CompareVersions(b, a); (got < 0) != (back > 0) || (got == 0) != (back == 0) {
		t.Errorf("%s and %s: %d one way, %d the other", a, b, got, back)
	}
	relation := "eq"
	if got < 0 {
		relation = "lt"
	} else if got > 0 {
		relation = "gt"
	}
	if !dpkg(t, a, relation, b) {
		t.Errorf("%s %s %s: dpkg does not think so", a, relation, b)
	}
}

func TestVersionsCompareAsInDpkg(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not on this machine, and it is the peer")
	}
	for _, pair := range [][2]string{
		{"1.0", "1.0-0"}, {"1.0", "1.0-"}, {"1.0~", "1.0"}, {"1.0~~", "1.0~"}, {"0:1", "1"}, {"00:1", "1"}, {"1:0", "2"},
		{"1.2.3-4", "1.2.3-4+b1"}, {"1.0a", "1.0+"}, {"1.0-1~bpo12+1", "1.0-1"}, {"2.36-9+deb12u10", "2.36-9+deb12u9"},
		{"1.010", "1.10"}, {"20230101000000000000000001", "20230101000000000000000002"},
		{"99999999999999999999", "100000000000000000000"}, {"1-2-3", "1-2-4"}, {"1.0.a", "1.0.0"}, {"1z", "1."},
	} {
		if strings.HasSuffix(pair[1], "-") {
			continue
		}
		checkPair(t, pair[0], pair[1])
	}
	const alphabet = "0011299aZz.+~-"
	rng := rand.New(rand.NewPCG(1, 2))
	version := func() string {
		v := []byte{'0' + byte(rng.IntN(3))}
		for range rng.IntN(7) {
			v = append(v, alphabet[rng.IntN(len(alphabet))])
		}
		text := strings.TrimRight(string(v), "-")
		if rng.IntN(5) == 0 {
			text = "1:" + text
		}
		return text
	}
	for range 250 {
		checkPair(t, version(), version())
	}
}

// TestVersionsOfASharedList reads lines "a < b" of a list that is not part of
// this project.
func TestVersionsOfASharedList(t *testing.T) {
	data, err := os.ReadFile("../../../../shared/data/version-compare/debian-versions.txt")
	if err != nil {
		t.Skip("the list of version pairs is not here")
	}
	pairs := 0
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) != 3 || strings.HasPrefix(line, "#") {
			continue
		}
		c := deb822.CompareVersions(words[0], words[2])
		if holds := map[string]bool{"<": c < 0, "=": c == 0, ">": c > 0}[words[1]]; !holds {
			t.Errorf("%s: got %d", strings.TrimSpace(line), c)
		}
		pairs++
	}
	if pairs == 0 {
		t.Error("the list has no pair")
	}
}

func TestWhatIsAVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"1": true, "1:2.3-4": true, "1.0~rc1+dfsg-2.1+b3": true, "2024a": true, "a": true,
		"": false, "x:1": false, ":1": false, "1:": false, "1-": false, "1 2": false, "1;2": false, "1/2": false, "é": false,
	} {
		if got := deb822.IsVersion(version); got != want {
			t.Errorf("%q: got %v", version, got)
		}
	}
}
