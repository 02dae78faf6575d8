package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/ci/feeds"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/msrc"
	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// Named is how the feeds call what somebody has typed: ids are written in upper case, but
// for those of GitHub. A name that nobody knows is an error of kind fault.Input, which says
// what is nearest, or what would have to be watched.
func Named(index *advisory.Index, typed string, watched []feeds.Kind) (string, error) {
	upper := strings.ToUpper(strings.TrimSpace(typed))
	forms := []string{typed, upper}
	if rest, ok := strings.CutPrefix(upper, "GHSA-"); ok {
		forms = append(forms, "GHSA-"+strings.ToLower(rest))
	}
	for _, name := range forms {
		records, err := index.Named(name)
		if err != nil {
			return "", err
		}
		if len(records) > 0 {
			return name, nil
		}
	}
	unknown := fault.Inputf("no advisory and no vulnerability is called %q in what the feeds have%s", typed, nearest(index, upper))
	if of := sourceOf(upper); of != "" && !slices.ContainsFunc(kindsOf[of], func(k feeds.Kind) bool { return slices.Contains(watched, k) }) {
		return "", unknown.WithHint("no feed that is watched has such: imgbuild feeds add %s", of)
	}
	return "", unknown.WithHint("read them now: imgbuild advisories sync --now")
}

// near is how many names on either side of an unknown one are looked at.
const near = 50

// nearest is the end of an error about an unknown name: an advisory of which it is a part,
// such as DSA-1234 of DSA-1234-1, else the one that it is most likely a slip of.
func nearest(index *advisory.Index, name string) string {
	around := index.Around(name, near)
	if at := slices.IndexFunc(around, func(n string) bool { return strings.HasPrefix(n, name+"-") }); at >= 0 {
		return fmt.Sprintf("; did you mean %q?", around[at])
	}
	if meant := node.Nearest(name, around); meant != "" {
		return fmt.Sprintf("; did you mean %q?", meant)
	}
	return ""
}

// kindsOf are the kinds of feeds that have the names of a source, by the public feed of it
// that can be added.
var kindsOf = map[string][]feeds.Kind{
	"msrc":       {feeds.MSRC},
	"osv-debian": {feeds.OSV, feeds.DebianTracker, feeds.DebianAdvisories},
}

// sourceOf is the public feed that has names like this, or "".
func sourceOf(name string) string {
	switch prefix, _, _ := strings.Cut(name, "-"); {
	case strings.HasPrefix(name, "KB"):
		return "msrc"
	case prefix == "DSA" || prefix == "DLA":
		return "osv-debian"
	}
	return ""
}

// Windows says of a name that is about Windows alone what can be done for it: images may say
// that they need it, and no lock can, for none is made of Windows yet. Nil is a name that is
// about something else too, or one that images were looked at for.
func Windows(index *advisory.Index, name string, looked int) (*Gap, error) {
	packages, err := index.Packages(name)
	if err != nil {
		return nil, err
	}
	if len(packages) == 0 || looked > 0 || slices.ContainsFunc(packages, func(n advisory.Name) bool { return n.Release != msrc.Ecosystem }) {
		return nil, nil
	}
	return &Gap{
		Where: name,
		Why:   "it is about Windows, of which nothing is locked or baked here yet: no lock can have it, and no bill of materials of an image in use names a build of Windows",
		Mend:  "see what it is about: imgbuild advisories show " + name + "; Windows servers have to be looked at by other means",
	}, nil
}
