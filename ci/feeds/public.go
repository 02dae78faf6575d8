package feeds

import "time"

// PublicSource is a source that is there for everybody, and needs no account.
type PublicSource struct {
	Name string
	Kind Kind
	URL  string
	// About is one line.
	About string
	// least is what it has had for long.
	least int
	// months is how far back the months of its documents go.
	months int
}

// Public are the sources that can be added by their names.
func Public() []PublicSource {
	return []PublicSource{
		{Name: "osv-debian", Kind: OSV, URL: "https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip", About: "OSV.dev's records of Debian", least: 20_000},
		{Name: "debian-tracker", Kind: DebianTracker, URL: "https://security-tracker.debian.org/tracker/data/json", About: "the Debian Security Tracker", least: 20_000},
		{Name: "debian-dsa", Kind: DebianAdvisories, URL: "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/DSA/list", About: "Debian's security advisories", least: 5_000},
		{Name: "kev", Kind: KEV, URL: "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json", About: "what CISA knows to be exploited", least: 1_000},
		{Name: "epss", Kind: EPSS, URL: "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", About: "FIRST's estimates of what will be exploited", least: 100_000},
		{Name: "eol", Kind: EOL, URL: "https://endoflife.date/api/v1/products/full", About: "until when systems are supported", least: 1_000},
		{Name: "msrc", Kind: MSRC, URL: "https://api.msrc.microsoft.com/cvrf/v3.0/cvrf/" + monthMark, About: "Microsoft's monthly security updates", least: 1_000, months: 24},
	}
}

func publicNames() []string {
	var names []string
	for _, p := range Public() {
		names = append(names, p.Name)
	}
	return names
}

// Feed is the feed of a public source, as it is first written.
func (p PublicSource) Feed(now time.Time) *Feed {
	f := &Feed{Name: p.Name, Kind: p.Kind, URL: p.URL, Least: p.least}
	if p.months > 0 {
		f.Since = Month{time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -p.months, 0)}
	}
	return f
}
