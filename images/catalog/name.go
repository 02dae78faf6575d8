package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"imgbuild/images/fault"
)

// The grammar of names. A baseline's name is a component of a repository's
// name (OCI distribution specification 1.1, "pull"); versions and channels
// are tags that cannot be taken for each other.
var (
	baselineName = regexp.MustCompile(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)
	channelName  = regexp.MustCompile(`^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$`)
	versionName  = regexp.MustCompile(`^[0-9]{8}\.[1-9][0-9]{0,5}$`)
	tagName      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

const (
	maxBaseline = 100
	maxChannel  = 60
)

// CheckBaseline refuses a name that cannot be a baseline's.
func CheckBaseline(name string) error {
	if len(name) > maxBaseline || !baselineName.MatchString(name) {
		return fault.Inputf("%q is not the name of a baseline", name).
			WithHint("lower-case letters and digits, parted by single '.', '_' or '-', at most %d", maxBaseline)
	}
	return nil
}

// CheckChannel refuses a name that cannot be a channel's.
func CheckChannel(name string) error {
	// "sha256-…" are the tags under which registries and cosign keep referrers.
	if len(name) > maxChannel || !channelName.MatchString(name) || strings.HasPrefix(name, "sha256-") {
		return fault.Inputf("%q is not the name of a channel", name).
			WithHint("lower-case letters and digits, parted by single '-', a letter first, at most %d", maxChannel)
	}
	return nil
}

// IsVersion reports whether a tag is a version's: YYYYMMDD.N.
func IsVersion(tag string) bool { return versionName.MatchString(tag) }

// Reference names one image: by version, by channel or by digest.
type Reference struct {
	Baseline string
	// Exactly one of the three is set.
	Version, Channel string
	Digest           digest.Digest
}

// ParseReference reads name:version, name:channel or name@sha256:….
func ParseReference(s string) (Reference, error) {
	if name, dgst, ok := strings.Cut(s, "@"); ok {
		d := digest.Digest(dgst)
		if err := CheckBaseline(name); err != nil {
			return Reference{}, err
		}
		if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
			return Reference{}, fault.Inputf("%q is not a digest", dgst).WithHint("sha256: and 64 hexadecimal digits")
		}
		return Reference{Baseline: name, Digest: d}, nil
	}
	name, tag, ok := strings.Cut(s, ":")
	if err := CheckBaseline(name); err != nil {
		return Reference{}, err
	}
	if !ok {
		return Reference{}, fault.Inputf("%q names no version", s).
			WithHint("name a version (%s:20260131.1), a channel (%s:released) or a digest (%s@sha256:…)", s, s, s)
	}
	if IsVersion(tag) {
		return Reference{Baseline: name, Version: tag}, nil
	}
	if err := CheckChannel(tag); err != nil {
		return Reference{}, fault.Inputf("%q names neither a version nor a channel", s).Because(err).
			WithHint("versions are YYYYMMDD.N")
	}
	return Reference{Baseline: name, Channel: tag}, nil
}

// String is the form that ParseReference reads.
func (r Reference) String() string {
	switch {
	case r.Version != "":
		return r.Baseline + ":" + r.Version
	case r.Channel != "":
		return r.Baseline + ":" + r.Channel
	}
	return r.Baseline + "@" + r.Digest.String()
}

// compareVersions orders version numbers, older first.
func compareVersions(a, b string) int {
	if c := strings.Compare(a[:8], b[:8]); c != 0 {
		return c
	}
	return sequence(a) - sequence(b)
}

// sequence is N of YYYYMMDD.N, at most 999999.
func sequence(version string) int {
	n, err := strconv.Atoi(version[9:])
	if err != nil {
		return 0 // not reached: versionName matched
	}
	return n
}

// nextVersion is the number after the taken ones on the day of t (UTC).
func nextVersion(taken []string, t time.Time) string {
	day := t.UTC().Format("20060102")
	last := 0
	for _, v := range taken {
		if IsVersion(v) && v[:8] == day {
			last = max(last, sequence(v))
		}
	}
	return fmt.Sprintf("%s.%d", day, last+1)
}
