package debversion_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"imgbuild/images/advisory/ecosystem/debversion"
)

// dpkgs answers are how dpkg's own library orders pairs of versions; of all of
// them by one process.
func dpkgs(t *testing.T, pairs [][2]string) []string {
	t.Helper()
	if err := exec.Command("perl", "-MDpkg::Version", "-e", "1").Run(); err != nil {
		t.Skip("libdpkg-perl is not on this machine, and it is the peer")
	}
	var in bytes.Buffer
	for _, p := range pairs {
		fmt.Fprintln(&in, p[0], p[1])
	}
	cmd := exec.Command("perl", "-MDpkg::Version", "-lane", "print version_compare($F[0], $F[1])")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(pairs) {
		t.Fatalf("%d answers for %d pairs", len(answers), len(pairs))
	}
	return answers
}

// generator makes versions that are alike, so that all of the order is used.
type generator struct{ *rand.Rand }

func (g generator) part(alphabet string, most int) string {
	var b strings.Builder
	for range g.IntN(most) {
		b.WriteByte(alphabet[g.IntN(len(alphabet))])
	}
	return b.String()
}

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) version() string {
	v := g.pick("", "", "", "0:", "1:", "01:", "2:") + g.pick("0", "1", "1.0", "1.10", "2024", "00", "3")
	switch g.IntN(3) {
	case 0:
		v += g.part("0011299aZz.+~", 8)
	case 1:
		v += g.pick("", ".", "~rc", "+dfsg", "+really", ".a") + g.part("0129", 14)
	}
	switch g.IntN(4) {
	case 0:
		v += "-" + g.pick("0", "1", "1.1", "0ubuntu1") + g.pick("", "+deb12u1", "+deb12u10", "~bpo12+1", "+b1", "+b10", "~deb12u2")
	case 1:
		v += "-1" + g.part("019a.+~", 6)
	case 2:
		v += "-2-" + g.part("019a.+~", 4) + "1"
	}
	return v
}

// near is a version that differs from another in one place, or nowhere.
func (g generator) near(v string) string {
	// dpkg wants a digit first, after the epoch.
	first := strings.IndexByte(v, ':') + 2
	at := first + g.IntN(len(v)-first+1)
	changed := v[:at] + g.pick("", "~", "+", "0", "1", "a", ".", "9") + v[at:]
	if debversion.Valid(changed) && strings.Count(changed, ":") <= 1 {
		return changed
	}
	return v
}

// TestVersionsCompareAsInDpkg takes 5 s.
func TestVersionsCompareAsInDpkg(t *testing.T) {
	pairs := [][2]string{
		{"1.0", "1.0-0"}, {"1.0~", "1.0"}, {"1.0~~", "1.0~"}, {"0:1", "1"}, {"00:1", "1"}, {"1:0", "2"},
		{"1.2.3-4", "1.2.3-4+b1"}, {"1.0a", "1.0+"}, {"1.0-1~bpo12+1", "1.0-1"}, {"2.36-9+deb12u10", "2.36-9+deb12u9"},
		{"1.010", "1.10"}, {"1-2-3", "1-2-4"}, {"1.0.a", "1.0.0"}, {"1z", "1."},
	}
	g := generator{rand.New(rand.NewPCG(1, 2))}
	for len(pairs) < 110_000 {
		v := g.version()
		pairs = append(pairs, [2]string{v, g.version()}, [2]string{v, g.near(v)})
	}
	said, wrong := map[string]int{}, 0
	for i, want := range dpkgs(t, pairs) {
		a, b := pairs[i][0], pairs[i][1]
		said[want]++
		forth, back := debversion.Compare(a, b), debversion.Compare(b, a)
		if fmt.Sprint(sign(forth)) != want || sign(back) != -sign(forth) {
			t.Errorf("%s and %s: %d one way, %d the other, dpkg says %s", a, b, forth, back, want)
			if wrong++; wrong > 20 {
				t.FailNow()
			}
		}
	}
	if len(said) != 3 || min(said["-1"], said["0"], said["1"]) < 1000 {
		t.Errorf("dpkg's answers are %v: the pairs do not try all of them", said)
	}
}

// TestLongNumbers asks dpkg itself: its library for Perl counts in floating
// point.
func TestLongNumbers(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not on this machine, and it is the peer")
	}
	for _, pair := range [][2]string{
		{"20230101000000000000000001", "20230101000000000000000002"}, {"99999999999999999999", "100000000000000000000"},
	} {
		if err := exec.Command("dpkg", "--compare-versions", pair[0], "lt", pair[1]).Run(); err != nil {
			t.Errorf("dpkg does not have %s before %s: %v", pair[0], pair[1], err)
		}
		if debversion.Compare(pair[0], pair[1]) >= 0 {
			t.Errorf("%s is not before %s", pair[0], pair[1])
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// TestVersionsOfASharedList reads lines "a < b" of a list that is not part of
// this project.
func TestVersionsOfASharedList(t *testing.T) {
	data, err := os.ReadFile("../../../../../shared/data/version-compare/debian-versions.txt")
	if err != nil {
		t.Skip("the list of version pairs is not here")
	}
	pairs := 0
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) != 3 || strings.HasPrefix(line, "#") {
			continue
		}
		c := debversion.Compare(words[0], words[2])
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
		if got := debversion.Valid(version); got != want {
			t.Errorf("%q: got %v", version, got)
		}
	}
}
