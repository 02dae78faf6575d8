package policy

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// Clear refuses a word that Find has found more for than who says it may know of: one
// package in several versions, as for several releases, or packages of several vendors,
// of which each names the source that it likes. What is decided is signed.
func Clear(word string, found []Entry) error {
	_, _, exact := strings.Cut(word, "=")
	var vendors, meant []string
	versions := map[string]string{}
	several := false
	for _, e := range found {
		u := e.State.Update
		if v := vendor(u.Archive); !slices.Contains(vendors, v) {
			vendors = append(vendors, v)
		}
		if v := versions[u.Name]; v != "" && v != u.Version {
			several = true
		}
		versions[u.Name] = u.Version
		meant = append(meant, fmt.Sprintf("  %s of %s, %.12s", u, u.Archive, u.SHA256))
	}
	if len(vendors) < 2 && (exact || !several) {
		return nil
	}
	return fault.Inputf("%s means several updates:\n%s", word, strings.Join(meant, "\n")).
		WithHint("name each by NAME=VERSION, or by the beginning of its digest")
}

// vendor is who an archive's packages are from: Debian's are one.
func vendor(archive string) string {
	if archive == "debian-security" {
		return "debian"
	}
	return archive
}
