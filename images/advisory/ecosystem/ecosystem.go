// Package ecosystem knows the distributions that advisories speak of: what OSV
// calls their releases, how they order versions, and by which of a package's
// names advisories call it. It never looks at a system.
package ecosystem

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apkversion "github.com/knqyf263/go-apk-version"
	rpmversion "github.com/knqyf263/go-rpm-version"

	"imgbuild/images/advisory/ecosystem/buildversion"
	"imgbuild/images/advisory/ecosystem/debversion"
)

// Order is how versions of an ecosystem follow one another.
type Order struct {
	// Name is of what defines it: "dpkg", "rpm", "apk" or "build".
	Name    string
	compare func(a, b string) int
	valid   func(string) bool
}

// Compare is negative when a is earlier than b, 0 when they are equal, and
// positive when a is later. Both must be valid.
func (o *Order) Compare(a, b string) int { return o.compare(a, b) }

// Valid tells whether v is a version; what is none has no place in the order.
func (o *Order) Valid(v string) bool { return o.valid(v) }

// The orders. Those of rpm and apk are the libraries' alone: what they take for
// a version is narrowed to what the tools take.
var (
	dpkg = &Order{"dpkg", debversion.Compare, debversion.Valid}
	rpm  = &Order{"rpm", func(a, b string) int { return rpmversion.NewVersion(a).Compare(rpmversion.NewVersion(b)) }, validRPM}
	// build is the order of build numbers.
	build = &Order{"build", buildversion.Compare, buildversion.Valid}
	apk   = &Order{"apk", func(a, b string) int { return apkversion.Version(a).Compare(apkversion.Version(b)) }, validAPK}
)

var rpmPattern = regexp.MustCompile(`^([0-9]{1,9}:)?[A-Za-z0-9._+~^]+(-[A-Za-z0-9._+~^]+)?$`)

func validRPM(v string) bool { return len(v) <= 256 && rpmPattern.MatchString(v) }

// apkPattern is that of apk-tools' documentation, with the commit hash that
// version 2 knows.
var apkPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(-r[0-9]+)?$`)

func validAPK(v string) bool { return len(v) <= 256 && apkPattern.MatchString(v) }

// Naming is by which names advisories call packages.
type Naming int

// The namings.
const (
	// BySource is by the source package and its version.
	BySource Naming = iota
	// ByEither is by the binary package or by the source package.
	ByEither
)

// Distribution is one family of ecosystems.
type Distribution struct {
	// Name is OSV's: what is before the first colon of an ecosystem.
	Name   string
	Order  *Order
	Naming Naming
	// id is ID of os-release(5), purl the type of its package URLs.
	id, purl string
	// release makes OSV's name of a release of VERSION_ID.
	release func(version string) string
}

var distributions = []Distribution{
	{"Debian", dpkg, BySource, "debian", "deb", debianRelease},
	{"Ubuntu", dpkg, BySource, "ubuntu", "deb", whole},
	{"Alpine", apk, BySource, "alpine", "apk", alpineRelease},
	{"Wolfi", apk, BySource, "wolfi", "apk", none},
	{"Chainguard", apk, BySource, "chainguard", "apk", none},
	{"AlmaLinux", rpm, ByEither, "almalinux", "rpm", major},
	{"Rocky Linux", rpm, ByEither, "rocky", "rpm", major},
	{"Red Hat", rpm, ByEither, "rhel", "rpm", func(v string) string { return "enterprise_linux:" + major(v) }},
	{"openEuler", rpm, ByEither, "openEuler", "rpm", whole},
	{"Mageia", rpm, ByEither, "mageia", "rpm", whole},
	{"Photon OS", rpm, ByEither, "photon", "rpm", whole},
	// OSV knows no Windows: its packages are products by Microsoft's names, their
	// versions builds, as package msrc writes them.
	{"Windows", build, BySource, "windows", "generic", none},
}

func whole(v string) string { return v }
func none(string) string    { return "" }
func major(v string) string { v, _, _ = strings.Cut(v, "."); return v }

func alpineRelease(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return "v" + strings.Join(parts[:min(2, len(parts))], ".")
}

func debianRelease(v string) string {
	if number := DebianRelease(v); number != "" {
		return number
	}
	return major(v)
}

// Of is the distribution that an ecosystem belongs to. One that is not known
// is an error, for then nothing can be said of its packages.
func Of(name string) (*Distribution, error) {
	family, _, _ := strings.Cut(name, ":")
	for i := range distributions {
		if distributions[i].Name == family {
			return &distributions[i], nil
		}
	}
	return nil, fmt.Errorf("the order of versions of ecosystem %q is not known: nothing can be said of its packages", name)
}

// OfRelease is the ecosystem of a release, given by ID and VERSION_ID of
// os-release(5) and the type of its package URLs, which may be empty.
func OfRelease(id, version, purl string) (string, error) {
	for _, d := range distributions {
		if d.id != id || purl != "" && purl != d.purl {
			continue
		}
		release := d.release(version)
		switch {
		case release != "" && version != "":
			return d.Name + ":" + release, nil
		case d.release("1") == "":
			return d.Name, nil
		}
		return "", fmt.Errorf("the release of distribution %q is not known: its VERSION_ID is empty", id)
	}
	return "", fmt.Errorf("no advisories are known for distribution %q%s", id, cmp.Or(strings.TrimSuffix(" with packages of type "+purl, " with packages of type "), ""))
}

// Release is the name that all names of an ecosystem's release share: OSV has
// several for one release of Ubuntu ("Ubuntu:22.04:LTS", "Ubuntu:Pro:22.04:LTS",
// whose fixes are for subscribers) and of Red Hat (by repository,
// "Red Hat:enterprise_linux:9::baseos").
func Release(name string) string {
	parts := strings.Split(name, ":")
	switch parts[0] {
	case "Ubuntu":
		if len(parts) > 2 && parts[1] == "Pro" {
			parts = slices.Delete(parts, 1, 2)
		}
		if len(parts) == 3 && parts[2] == "LTS" {
			parts = parts[:2]
		}
	case "Red Hat":
		if len(parts) > 3 && parts[1] == "enterprise_linux" {
			parts = parts[:3]
		}
	}
	return strings.Join(parts, ":")
}

// ForSubscribers tells whether the fixes of an ecosystem are for subscribers.
func ForSubscribers(name string) bool { return strings.HasPrefix(name, "Ubuntu:Pro:") }
