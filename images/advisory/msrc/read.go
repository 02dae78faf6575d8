package msrc

import (
	"bytes"
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

// Limits on one document. The largest so far has 11 MB as XML, 900
// vulnerabilities, 400 products, 20,000 references to them and 170,000 elements.
const (
	maxElements        = 1_000_000
	maxTag             = 64 << 10
	maxVulnerabilities = 20_000
	maxProducts        = 50_000
	maxReferences      = 2_000_000
	maxDepth           = 64
)

var limits = boundedjson.Limits{Bytes: 64 << 20, Elements: maxElements}

// Read reads one document, in XML or in JSON.
func Read(r io.Reader) (*Document, error) {
	data, err := io.ReadAll(io.LimitReader(r, limits.Bytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading an MSRC document: %w", err)
	}
	d, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("reading an MSRC document: %w", err)
	}
	return d, nil
}

func decode(data []byte) (*Document, error) {
	if int64(len(data)) > limits.Bytes {
		return nil, fmt.Errorf("it has more than %d bytes", limits.Bytes)
	}
	var raw *rawDocument
	var err error
	switch start := bytes.TrimLeft(data, " \t\r\n"); {
	case len(start) == 0:
		return nil, errors.New("it is empty")
	case start[0] == '{':
		raw, err = boundedjson.Decode[rawDocument](data, limits)
	case start[0] == '<':
		raw, err = decodeXML(data)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return nil, errors.New("it begins with a byte order mark: save it as UTF-8 without one")
	default:
		return nil, errors.New("it is neither XML nor JSON")
	}
	if err != nil {
		return nil, err
	}
	return raw.document()
}

var (
	vulnerabilityID = regexp.MustCompile(`^[A-Za-z]{2,8}-?[0-9][A-Za-z0-9-]{3,30}$`)
	productID       = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)
	article         = regexp.MustCompile(`^(?:KB)?([0-9]{6,8})$`)
	articles        = regexp.MustCompile(`\b(?:KB)?([0-9]{6,8})\b`)
)

func (raw *rawDocument) document() (*Document, error) {
	d := &Document{ID: raw.Tracking.Identification.ID.Value, Title: advisory.Line(raw.Title.Value)}
	var err error
	if d.Month, err = monthOf(d.ID); err != nil {
		return nil, err
	}
	if d.Released, err = readTime(raw.Tracking.Released); err != nil {
		return nil, err
	}
	if d.Revised, err = readTime(raw.Tracking.Revised); err != nil {
		return nil, err
	}
	if d.Products, err = raw.Tree.products(); err != nil {
		return nil, err
	}
	if len(d.Products) == 0 || len(raw.Vulnerabilities) == 0 {
		return nil, fmt.Errorf("%s has %d products and %d vulnerabilities: it says nothing", d.ID, len(d.Products), len(raw.Vulnerabilities))
	}
	if len(raw.Vulnerabilities) > maxVulnerabilities {
		return nil, fmt.Errorf("it has %d vulnerabilities, the limit is %d", len(raw.Vulnerabilities), maxVulnerabilities)
	}
	known := make(map[string]string, len(d.Products))
	for _, p := range d.Products {
		known[p.ID] = p.ID
	}
	references := maxReferences
	for i := range raw.Vulnerabilities {
		v, err := raw.Vulnerabilities[i].vulnerability(known, &references)
		if err != nil {
			return nil, err
		}
		d.Vulnerabilities = append(d.Vulnerabilities, v)
	}
	return d, nil
}

// products lists the products of a tree. They stand in its branches by family,
// and all of them once more in a list that knows no family.
func (t *rawTree) products() ([]Product, error) {
	var list []Product
	seen := map[string]bool{}
	add := func(p rawProduct, family string) error {
		switch {
		case !productID.MatchString(p.ProductID):
			return fmt.Errorf("the id %.80q of a product cannot be one", p.ProductID)
		case seen[p.ProductID]:
			return nil
		case len(list) == maxProducts:
			return fmt.Errorf("it has more than %d products", maxProducts)
		}
		seen[p.ProductID] = true
		name := advisory.Line(p.Value)
		if name == "" || len(name) > advisory.MaxName {
			return fmt.Errorf("the name of product %s has %d bytes, the limits are 1 and %d", p.ProductID, len(name), advisory.MaxName)
		}
		list = append(list, Product{p.ProductID, name, family})
		return nil
	}
	var walk func(list []rawBranch, family string, depth int) error
	walk = func(list []rawBranch, family string, depth int) error {
		if depth > maxDepth {
			return fmt.Errorf("its tree of products is deeper than %d", maxDepth)
		}
		for _, b := range list {
			if b.ProductID != "" {
				b.Products = append(b.Products, rawProduct{b.ProductID, b.Value})
			}
			// The family is the nearest branch that has a name.
			below := advisory.Line(b.Name)
			if below == "" {
				below = family
			}
			for _, p := range b.Products {
				if err := add(p, below); err != nil {
					return err
				}
			}
			if err := walk(b.Items, below, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(t.Branches, "", 0); err != nil {
		return nil, err
	}
	for _, p := range t.Products {
		if err := add(p, ""); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (raw *rawVulnerability) vulnerability(known map[string]string, references *int) (Vulnerability, error) {
	v := Vulnerability{ID: raw.CVE, Title: advisory.Line(raw.Title.Value)}
	if !vulnerabilityID.MatchString(v.ID) {
		return v, fmt.Errorf("the id %.80q of a vulnerability cannot be one", v.ID)
	}
	var err error
	products := func(ids []string) []string {
		var list []string
		for _, id := range ids {
			if *references--; *references < 0 {
				err = fmt.Errorf("it refers to products more than %d times", maxReferences)
				return nil
			}
			one, ok := known[id]
			if !ok {
				err = fmt.Errorf("%s refers to product %.80q, which the document does not list", v.ID, id)
				return nil
			}
			list = append(list, one)
		}
		return list
	}
	for _, s := range raw.Statuses {
		switch s.Type {
		case "Known Affected", "3":
			v.Affected = append(v.Affected, products(s.Products)...)
		case "Known Not Affected", "4":
			v.NotAffected = append(v.NotAffected, products(s.Products)...)
		}
	}
	for _, t := range raw.Threats {
		switch t.Type {
		case "Severity", "3":
			v.Ratings = append(v.Ratings, Statement{advisory.Line(t.Description.Value), products(t.Products)})
		case "Exploit Status", "1":
			v.Exploited = v.Exploited || strings.Contains(t.Description.Value, "Exploited:Yes")
		}
	}
	for _, s := range raw.Scores {
		v.Scores = append(v.Scores, Statement{advisory.Line(s.Vector), products(s.Products)})
	}
	for _, r := range raw.Remediations {
		if r.Type == "Vendor Fix" || r.Type == "2" {
			v.Fixes = append(v.Fixes, r.fix(products(r.Products)))
		}
	}
	for _, r := range raw.Revisions {
		at, wrong := readTime(r.Date)
		if wrong != nil {
			err = wrong
		}
		if v.Published.IsZero() || at.Before(v.Published) {
			v.Published = at
		}
		if at.After(v.Revised) {
			v.Revised = at
		}
	}
	if err != nil {
		return v, err
	}
	return v, nil
}

func (r *rawRemediation) fix(products []string) Fix {
	f := Fix{Text: advisory.Line(r.Description.Value), Kind: kindOf(r.SubType), Build: advisory.Line(r.FixedBuild), Restart: advisory.Line(r.Restart.Value), Products: products}
	if m := article.FindStringSubmatch(f.Text); m != nil {
		f.KB = "KB" + m[1]
	}
	text := advisory.Line(r.Supercedence)
	for _, m := range articles.FindAllStringSubmatch(text, -1) {
		if kb := "KB" + m[1]; !slices.Contains(f.Supersedes, kb) {
			f.Supersedes = append(f.Supersedes, kb)
		}
	}
	if len(f.Supersedes) == 0 {
		f.Unread = text
	}
	return f
}

// readTime reads a date; those of documents are in UTC, with and without
// saying so. An empty one is zero.
func readTime(text string) (time.Time, error) {
	if text = strings.TrimSpace(text); text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("the date %.40q cannot be read", text)
}
