package provisioners_test

import (
	"strings"
	"testing"

	"imgbuild/images/baselines/baselinestest"
	"imgbuild/images/control"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// TestShippedLinesArePartOfALanguageThatIsRead holds the controls that look for a
// line: that type reads no language, so that there has to be another resource of
// the same control that reads the file, and says that it does not parse.
func TestShippedLinesArePartOfALanguageThatIsRead(t *testing.T) {
	broken := map[string]string{"core-limit-lifted": "/etc/security/limits.d/10-coredump-debian.conf"}
	for _, c := range allControls(t) {
		for _, r := range c.Resources() {
			name, isLine := strings.CutPrefix(r.Identity(), "line ")
			if !isLine {
				continue
			}
			file, known := broken[name]
			if !known {
				t.Errorf("%s looks for %s: no language is read, and nothing says that another resource does it", c.ID, name)
				continue
			}
			s := system.NewMemory()
			place(t, s, file, "garbage\n")
			told := false
			for _, other := range c.Resources() {
				if _, err := other.Check(t.Context(), s); err != nil && strings.Contains(err.Error(), file) {
					told = true
				}
			}
			if !told {
				t.Errorf("%s: nothing says that %s does not parse", c.ID, file)
			}
		}
	}
}

// allControls are the shipped controls of all platforms, decoded.
func allControls(t *testing.T) []provisioners.Control {
	t.Helper()
	set := baselinestest.Controls(t)
	var all []provisioners.Control
	for _, platform := range []string{"debian-12", "debian-13"} {
		for _, output := range []control.Output{control.Machine, control.Container} {
			list, err := set.Of(platform, output, 2)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := provisioners.DecodeControls(list, nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, decoded...)
		}
	}
	return all
}
