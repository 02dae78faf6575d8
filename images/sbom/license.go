package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// License is one licence that a copyright file declares, as an expression.
type License struct {
	// Text is the expression as the file spells it: "GPL-2+ or Artistic".
	Text string
	// Expression is the same as an SPDX licence expression, in which a licence
	// that SPDX has no identifier for is a LicenseRef.
	Expression string
	// Refs are those LicenseRefs and the names that they stand for.
	Refs map[string]string
}

// copyrightFormat begins the Format field of a machine-readable copyright
// file (DEP-5), after the scheme.
const copyrightFormat = "://www.debian.org/doc/packaging-manuals/copyright-format/1.0"

// maxLicenses is the largest number of different licences of one package.
const maxLicenses = 500

// parseCopyright returns the distinct licences that a machine-readable
// copyright file declares for its files, sorted; nil for any other file.
func parseCopyright(text []byte) []License {
	var found []License
	machineReadable := false
	err := readParagraphs(text, func(p paragraph) error {
		if strings.Contains(p["format"], copyrightFormat) {
			machineReadable = true
		}
		name := strings.Join(strings.Fields(p.firstLine("license")), " ")
		_, ofFiles := p["files"]
		if name == "" || !(ofFiles || p["format"] != "") || len(found) == maxLicenses {
			return nil
		}
		if !slices.ContainsFunc(found, func(l License) bool { return l.Text == name }) {
			found = append(found, newLicense(name))
		}
		return nil
	})
	if err != nil || !machineReadable {
		return nil
	}
	slices.SortFunc(found, func(a, b License) int { return cmp.Compare(a.Text, b.Text) })
	return found
}

func newLicense(text string) License {
	l := License{Text: text, Refs: map[string]string{}}
	l.Expression = l.expression(text)
	return l
}

// expression translates a DEP-5 licence field: "and" binds closer than "or",
// and a comma before either makes it bind loosest.
func (l License) expression(text string) string {
	for _, operator := range []struct{ word, spdx string }{
		{", or ", " OR "}, {", and ", " AND "}, {" or ", " OR "}, {" and ", " AND "},
	} {
		parts := strings.Split(text, operator.word)
		if len(parts) < 2 {
			continue
		}
		for i, part := range parts {
			parts[i] = l.expression(part)
			if operator.spdx == " AND " && strings.Contains(parts[i], " OR ") {
				parts[i] = "(" + parts[i] + ")"
			}
		}
		return strings.Join(parts, operator.spdx)
	}
	name := strings.Trim(text, " ,")
	if id, ok := spdxID(name); ok {
		return id
	}
	ref := licenseRef(name)
	l.Refs[ref] = name
	return ref
}

// licenseRef makes the identifier of a licence that SPDX does not list.
func licenseRef(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, name)
	if len(clean) > 60 || clean != name {
		sum := sha256.Sum256([]byte(name))
		clean = clean[:min(len(clean), 60)] + "-" + hex.EncodeToString(sum[:4])
	}
	return "LicenseRef-" + clean
}

// allLicenses joins the licences of a package to one SPDX expression, all of
// which apply; empty when none is known.
func (p Package) allLicenses() string {
	var parts []string
	for _, l := range p.Licenses {
		expression := l.Expression
		if len(p.Licenses) > 1 && strings.Contains(expression, " OR ") {
			expression = "(" + expression + ")"
		}
		if !slices.Contains(parts, expression) {
			parts = append(parts, expression)
		}
	}
	return strings.Join(parts, " AND ")
}
