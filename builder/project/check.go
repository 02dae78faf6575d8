package project

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imgbuild/builder/debian/fetch"
	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

// check refuses values that no command can work with. Paths are absolute.
func (l *loaded) check() error {
	if !slices.Contains(policy.Modes(), l.Policy.Mode) {
		return fault.Inputf("%s is %q", l.subject("policy.mode"), l.Policy.Mode).
			WithHint("use open (whoever locks approves) or approved (locks take approved updates alone)")
	}
	for _, s := range []struct {
		key   string
		value *string
	}{{"mirror", &l.Mirror}, {"security-mirror", &l.SecurityMirror}, {"snapshot", &l.Snapshot}, {"proxy", &l.Proxy}} {
		if *s.value == "" {
			continue
		}
		u, err := url.Parse(*s.value)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fault.Inputf("%s is %q, which is no http or https URL", l.subject(s.key), *s.value).
				WithHint("write it as http://mirror.example/debian")
		}
		*s.value = strings.TrimRight(*s.value, "/")
	}
	for _, source := range l.Archive.Sources {
		if _, err := fetch.ParseSource(source); err != nil {
			return fault.Inputf("%s", l.subject("archive.sources")).Because(err)
		}
	}
	size, err := ParseSize(l.Cache.Limit)
	if err != nil {
		return fault.Inputf("%s", l.subject("cache.limit")).Because(err)
	}
	l.Cache.LimitBytes = size
	return nil
}

// checkCatalogs refuses places that were meant as registries and would become
// directories. It needs them as they were written.
func (l *loaded) checkCatalogs() error {
	if err := checkCatalog(l.subject("catalog"), l.Catalog, l.base("catalog")); err != nil {
		return err
	}
	for i, entry := range l.Trust {
		if err := checkCatalog(fmt.Sprintf("%s: entry %d: catalog", l.subject(trustKey), i+1), entry.Catalog, l.base(trustKey)); err != nil {
			return err
		}
	}
	return nil
}

func checkCatalog(subject, place, base string) error {
	if IsRegistry(place) || filepath.IsAbs(place) {
		return nil
	}
	if scheme, rest, ok := strings.Cut(place, "://"); ok {
		return fault.Inputf("%s is %q, and no catalog is reached by %s://", subject, place, scheme).
			WithHint("write a registry as docker://%s, whatever it speaks, or name a directory", rest)
	}
	host, _, deeper := strings.Cut(place, "/")
	if deeper && host[0] != '.' && strings.ContainsAny(host, ".:") && !exists(filepath.Join(base, host)) {
		return fault.Inputf("%s is %q, which looks like a registry and would be a new directory", subject, place).
			WithHint("write docker://%[1]s, or ./%[1]s for a directory", place)
	}
	return nil
}

// Slip is a variable of the environment that is probably meant as another one.
type Slip struct{ Name, Meant string }

// Slips finds variables that nothing reads and whose names come near to those
// of settings.
func Slips() []Slip {
	const prefix = "IMGBUILD_"
	known := []string{strings.TrimPrefix(PasswordVariable, prefix)}
	for _, s := range Settings() {
		known = append(known, strings.TrimPrefix(s.Variable(), prefix))
	}
	isKnown := map[string]bool{}
	for _, name := range known {
		isKnown[name] = true
	}
	var slips []Slip
	for _, assignment := range os.Environ() {
		name, value, _ := strings.Cut(assignment, "=")
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours || value == "" || isKnown[rest] {
			continue
		}
		if near := node.Nearest(rest, known); near != "" {
			slips = append(slips, Slip{Name: name, Meant: prefix + near})
		}
	}
	return slips
}
