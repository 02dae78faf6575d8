package msrc

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Document is what was published for one month, as it was when it was fetched:
// Microsoft revises documents for years.
type Document struct {
	// ID is "2025-Sep"; a second document of a month has a letter behind it.
	ID    string
	Month Month
	Title string
	// Released and Revised are when it was first and last published.
	Released, Revised time.Time
	Products          []Product
	Vulnerabilities   []Vulnerability
}

// MaxWeight is how much all documents of a [History] may weigh together; those of
// ten years weigh some 2 million.
const MaxWeight = 3_000_000

// Weight is how often a document refers to products, with what each update is
// said to replace in each of them: by that, documents take memory.
func (d *Document) Weight() int {
	n := 0
	for i := range d.Vulnerabilities {
		v := &d.Vulnerabilities[i]
		n += 1 + len(v.Affected) + len(v.NotAffected)
		for _, s := range v.Ratings {
			n += len(s.Products)
		}
		for _, s := range v.Scores {
			n += len(s.Products)
		}
		for _, f := range v.Fixes {
			n += len(f.Products) * (1 + 4*len(f.Supersedes))
		}
	}
	return n
}

// Product is one release of a product. Its ID is that of a component and a
// release of Windows, joined by "-", where a component is mended by itself:
// "11676-11923" is .NET Framework on Windows Server 2022.
type Product struct {
	ID, Name string
	// Family is "Windows", "ESU", "Mariner"; empty when the document sorts it
	// nowhere.
	Family string
}

// Vulnerability is what a document says of one, by the ids of products.
type Vulnerability struct {
	// ID is a CVE, or "ADV240001" of an advisory without one.
	ID, Title          string
	Published, Revised time.Time
	// Exploited is that Microsoft has seen it exploited.
	Exploited bool
	// Affected and NotAffected are the products that it says so of.
	Affected, NotAffected []string
	// Ratings are Microsoft's words, such as "Important", and Scores are CVSS
	// vectors. One without products is of all.
	Ratings, Scores []Statement
	Fixes           []Fix
}

// Statement is a text about some products.
type Statement struct {
	Text     string
	Products []string
}

// Fix is what mends a vulnerability in some products.
type Fix struct {
	// KB is "KB5041160"; empty when it is mended otherwise, as Text says
	// ("Release Notes", "Click to Run").
	KB, Text string
	Kind     Kind
	// Build is the first build that is without the vulnerability, as it stands:
	// not all are numbers.
	Build string
	// Supersedes are the updates that it replaces. Unread is what stands in that
	// field and is none.
	Supersedes []string
	Unread     string
	// Restart is "Yes", "No" or "Maybe".
	Restart  string
	Products []string
}

// Kind is what sort of update one is.
type Kind string

// The kinds.
const (
	// SecurityUpdate replaces those before it, on Windows 10 and Server 2016 and
	// later.
	SecurityUpdate Kind = "security-update"
	// MonthlyRollup does so on the releases before them.
	MonthlyRollup Kind = "monthly-rollup"
	// SecurityOnly has the fixes of one month alone.
	SecurityOnly Kind = "security-only"
	// InternetExplorer is for systems that take updates of kind SecurityOnly.
	InternetExplorer Kind = "ie-cumulative"
	// Hotpatch works without a restart, on a system that is enrolled and has a
	// certain cumulative update. Its build is lower than that of the cumulative
	// update with the same fixes.
	Hotpatch Kind = "hotpatch"
	// ServicingStack is of what installs updates.
	ServicingStack Kind = "servicing-stack"
	// OtherKind is any other.
	OtherKind Kind = "other"
)

// kindOf reads a SubType, which is written with and without spaces.
func kindOf(subtype string) Kind {
	switch strings.ToLower(strings.ReplaceAll(subtype, " ", "")) {
	case "securityupdate":
		return SecurityUpdate
	case "monthlyrollup":
		return MonthlyRollup
	case "securityonly":
		return SecurityOnly
	case "iecumulative":
		return InternetExplorer
	case "securityhotpatchupdate":
		return Hotpatch
	case "servicingstackupdate":
		return ServicingStack
	}
	return OtherKind
}

// Month is a month as "2025-09".
type Month string

var identifier = regexp.MustCompile(`^([0-9]{4}-[A-Z][a-z]{2})(-[A-Z])?$`)

// monthOf is the month of a document's id.
func monthOf(id string) (Month, error) {
	parts := identifier.FindStringSubmatch(id)
	if parts == nil {
		return "", fmt.Errorf("its id %.32q is not of the form 2025-Sep", id)
	}
	t, err := time.Parse("2006-Jan", parts[1])
	if err != nil {
		return "", fmt.Errorf("its id %q names no month", id)
	}
	return Month(t.Format("2006-01")), nil
}
