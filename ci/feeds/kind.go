package feeds

import (
	"strconv"
	"time"
)

// Kind is what a feed publishes, and in what form.
type Kind string

// The kinds.
const (
	// OSV are records in the OSV format: archives, or files of one record.
	OSV Kind = "osv"
	// DebianTracker is the JSON of the Debian Security Tracker.
	DebianTracker Kind = "debian-tracker"
	// DebianAdvisories are the tracker's lists of DSAs and DLAs.
	DebianAdvisories Kind = "debian-advisories"
	// CSAF are advisories and VEX statements of Red Hat and others.
	CSAF Kind = "csaf"
	// MSRC are Microsoft's monthly documents, in XML or in JSON.
	MSRC Kind = "msrc"
	// KEV is CISA's catalogue of vulnerabilities that are exploited.
	KEV Kind = "kev"
	// EPSS are FIRST's daily estimates of what will be exploited.
	EPSS Kind = "epss"
	// EOL says until when releases of operating systems are supported.
	EOL Kind = "eol"
	// Repository are the repositories that images were made from. It is no file: they
	// are read as a lock reads them, and there is one such feed.
	Repository Kind = "repository"
)

const (
	day = 24 * time.Hour
	mib = 1 << 20
)

// traits are what is known of a kind beforehand.
type traits struct {
	kind Kind
	// one and records are what a feed of it holds, for people.
	one, records string
	// largest is how large a file of it may be, as it is kept and unpacked.
	largest, unpacked int64
	// every is how often it is read, stale how old the last reading may get, where
	// the feed says nothing else.
	every, stale time.Duration
	// quiet is how long the newest thing in it may be in the past: a source that
	// answers each day with what it had in spring is stale too. 0 is that nothing
	// follows from it.
	quiet time.Duration
	// many says whether it may be several documents.
	many bool
}

var allTraits = []traits{
	{OSV, "advisory", "advisories", 2048 * mib, 8192 * mib, time.Hour, 2 * day, 14 * day, true},
	{DebianTracker, "vulnerability of a package", "vulnerabilities of packages", 512 * mib, 512 * mib, time.Hour, 2 * day, 14 * day, false},
	{DebianAdvisories, "advisory", "advisories", 64 * mib, 64 * mib, time.Hour, 2 * day, 30 * day, true},
	{CSAF, "advisory", "advisories", 1024 * mib, 4096 * mib, 6 * time.Hour, 7 * day, 30 * day, true},
	{MSRC, "vulnerability or update", "vulnerabilities and updates", 64 * mib, 64 * mib, 6 * time.Hour, 7 * day, 60 * day, true},
	{KEV, "exploited vulnerability", "exploited vulnerabilities", 64 * mib, 64 * mib, 6 * time.Hour, 3 * day, 45 * day, false},
	{EPSS, "estimate", "estimates", 256 * mib, 512 * mib, 12 * time.Hour, 7 * day, 7 * day, false},
	{EOL, "release", "releases", 16 * mib, 16 * mib, day, 30 * day, 0, true},
	{Repository, "package", "packages", 64 * mib, 64 * mib, time.Hour, 2 * day, 0, false},
}

// count is a number of what a feed of a kind holds, in words.
func (k Kind) count(n int) string {
	if n == 1 {
		return "1 " + k.traits().one
	}
	return strconv.Itoa(n) + " " + k.traits().records
}

// Kinds are the names of all kinds that are files, which can be added.
func Kinds() []string {
	var names []string
	for _, t := range allTraits {
		if t.kind != Repository {
			names = append(names, string(t.kind))
		}
	}
	return names
}

// traits of a kind; those of one that is not known refuse every file.
func (k Kind) traits() traits {
	for _, t := range allTraits {
		if t.kind == k {
			return t
		}
	}
	return traits{kind: k}
}
