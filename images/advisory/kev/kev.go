// Package kev reads the catalogue of known exploited vulnerabilities that CISA
// publishes (https://www.cisa.gov/known-exploited-vulnerabilities-catalog): which
// vulnerabilities are exploited, and until when agencies have to mend them. It
// never downloads anything and knows no package.
package kev

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/boundedjson"
)

// The catalogue of 2025 has 1,400 entries, 20,000 elements and 1.3 MB.
const maxEntries = 30_000

var limits = boundedjson.Limits{Bytes: 32 << 20, Elements: 500_000}

// Catalog is the whole catalogue. It is not changed once it is read.
type Catalog struct {
	// Version is "2025.08.25".
	Version  string
	Released time.Time
	// Entries are in the order of their CVEs.
	Entries []Entry
}

// Entry is one vulnerability that is exploited.
type Entry struct {
	CVE                         string
	Vendor, Product, Name, What string
	// Added is the day on which it came into the catalogue, and Due that until
	// which American agencies have to do what Action says.
	Added, Due time.Time
	Action     string
	// Ransomware is that it is known to have been used in a campaign of
	// ransomware; that it is not is not known.
	Ransomware bool
}

type rawCatalog struct {
	Version         string     `json:"catalogVersion"`
	Released        string     `json:"dateReleased"`
	Count           *int       `json:"count"`
	Vulnerabilities []rawEntry `json:"vulnerabilities"`
}

type rawEntry struct {
	CVE        string `json:"cveID"`
	Vendor     string `json:"vendorProject"`
	Product    string `json:"product"`
	Name       string `json:"vulnerabilityName"`
	Added      string `json:"dateAdded"`
	What       string `json:"shortDescription"`
	Action     string `json:"requiredAction"`
	Due        string `json:"dueDate"`
	Ransomware string `json:"knownRansomwareCampaignUse"`
}

var cve = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// Read reads the catalogue in JSON. One that does not hold as many entries as it
// says is an error.
func Read(r io.Reader) (*Catalog, error) {
	raw, err := boundedjson.Read[rawCatalog](r, limits)
	if err == nil {
		var c *Catalog
		if c, err = raw.catalog(); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("reading the catalogue of known exploited vulnerabilities: %w", err)
}

func (raw *rawCatalog) catalog() (*Catalog, error) {
	n := len(raw.Vulnerabilities)
	switch {
	case raw.Count == nil || *raw.Count != n:
		return nil, fmt.Errorf("it holds %d entries and does not say so in its count", n)
	case n == 0:
		return nil, errors.New("it has no entry")
	case n > maxEntries:
		return nil, fmt.Errorf("it has %d entries, the limit is %d", n, maxEntries)
	}
	c := &Catalog{Version: advisory.Line(raw.Version)}
	var err error
	if c.Released, err = time.Parse(time.RFC3339, raw.Released); err != nil {
		return nil, fmt.Errorf("the date of its release %.40q cannot be read", raw.Released)
	}
	for i := range raw.Vulnerabilities {
		e, err := raw.Vulnerabilities[i].entry()
		if err != nil {
			return nil, err
		}
		c.Entries = append(c.Entries, e)
	}
	slices.SortFunc(c.Entries, func(a, b Entry) int { return strings.Compare(a.CVE, b.CVE) })
	for i := 1; i < n; i++ {
		if c.Entries[i].CVE == c.Entries[i-1].CVE {
			return nil, fmt.Errorf("%s is in it twice", c.Entries[i].CVE)
		}
	}
	return c, nil
}

func (raw *rawEntry) entry() (Entry, error) {
	e := Entry{
		CVE: raw.CVE, Vendor: advisory.Line(raw.Vendor), Product: advisory.Line(raw.Product), Name: advisory.Line(raw.Name),
		What: advisory.Line(raw.What), Action: advisory.Line(raw.Action), Ransomware: raw.Ransomware == "Known",
	}
	if !cve.MatchString(e.CVE) {
		return e, fmt.Errorf("%.60q is no CVE", e.CVE)
	}
	var err error
	if e.Added, err = time.Parse(time.DateOnly, raw.Added); err != nil {
		return e, fmt.Errorf("%s: the date %.40q cannot be read", e.CVE, raw.Added)
	}
	if e.Due, err = time.Parse(time.DateOnly, raw.Due); err != nil {
		return e, fmt.Errorf("%s: the date %.40q cannot be read", e.CVE, raw.Due)
	}
	return e, nil
}

// Find is the entry of a CVE.
func (c *Catalog) Find(id string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(c.Entries, id, func(e Entry, id string) int { return cmp.Compare(e.CVE, id) })
	if !ok {
		return Entry{}, false
	}
	return c.Entries[i], true
}
