// Package eol reads until when operating systems are supported, as endoflife.date
// publishes it, and says how long that is still so. It never downloads anything
// and looks at no clock: the time is given by who asks.
//
// Both forms of that source's API are read: version 1
// (https://endoflife.date/docs/api/v1/), of one product or of all, and the older
// lists of one product's releases, which do not name it.
package eol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/boundedjson"
)

// Limits. All products have some 5 MB, 450 products and 6,000 releases.
const (
	maxProducts = 20_000
	maxReleases = 200_000
)

var limits = boundedjson.Limits{Bytes: 64 << 20, Elements: 600_000}

// Feed is what was read.
type Feed struct {
	// Generated is when it was made; zero when it does not say so.
	Generated time.Time
	Products  []Product
}

// Product is an operating system, or anything else that has releases.
type Product struct {
	// Name is "debian", "ubuntu", "windows-server"; Aliases are others of it.
	Name    string
	Aliases []string
	// ExtendedBy is what the support is called that follows security support,
	// such as "Extended Security Maintenance"; empty when it has no name.
	ExtendedBy string
	Releases   []Release
}

// Release is one release of a product.
type Release struct {
	// Product is its product's name, Name is "12", "22.04", "2012-r2", and
	// Codename "Bookworm" or empty.
	Product, Name, Codename string
	Released                time.Time
	// Active is until when it gets more than security fixes, Security until when
	// all get those, and Extended until when some do: by a contract, from others,
	// or for some of the packages.
	Active, Security, Extended End
	// ExtendedBy is that of the product.
	ExtendedBy string
}

// End is when something ends. The zero value is that nothing is said of it.
type End struct {
	// Said is that the feed says something of it.
	Said bool
	// On is the last day; zero when none is announced.
	On time.Time
	// Over is that it has ended on a day that is not named.
	Over bool
}

// after tells whether it has ended before a day.
func (e End) after(day time.Time) bool { return e.Over || !e.On.IsZero() && day.After(e.On) }

// Read reads a file. Its name is for the older form, which does not name the
// product; it may be empty for the newer.
func Read(r io.Reader, name string) (*Feed, error) {
	data, err := io.ReadAll(io.LimitReader(r, limits.Bytes+1))
	if err == nil {
		var f *Feed
		if f, err = decode(data, name); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("reading dates of support: %w", err)
}

func decode(data []byte, name string) (*Feed, error) {
	var f *Feed
	var err error
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")) {
		f, err = decodeList(data, name)
	} else {
		f, err = decodeVersion1(data)
	}
	if err != nil {
		return nil, err
	}
	return f, f.check()
}

func (f *Feed) check() error {
	if len(f.Products) > maxProducts {
		return fmt.Errorf("it has %d products, the limit is %d", len(f.Products), maxProducts)
	}
	n, seen := 0, map[string]bool{}
	for _, p := range f.Products {
		if !proper(p.Name) || seen[p.Name] {
			return fmt.Errorf("the name %.80q of a product is empty, too long, not printable or there twice", p.Name)
		}
		seen[p.Name] = true
		if len(p.Releases) == 0 {
			return fmt.Errorf("%.80s has no release", p.Name)
		}
		if n += len(p.Releases); n > maxReleases {
			return fmt.Errorf("it has more than %d releases", maxReleases)
		}
		names := map[string]bool{}
		for _, r := range p.Releases {
			if !proper(r.Name) || names[r.Name] {
				return fmt.Errorf("the name %.80q of a release of %.80s is empty, too long, not printable or there twice", r.Name, p.Name)
			}
			names[r.Name] = true
		}
	}
	if n == 0 {
		return errors.New("it has no product")
	}
	return nil
}

func proper(name string) bool {
	return name != "" && len(name) <= advisory.MaxName && advisory.Line(name) == name
}

// Find is a release of a product: by ID and VERSION_ID of os-release(5), by its
// code name, or as "windows-server" and "2012 R2". Where the version is more
// exact than the feed is, as in "12.5", what is behind the last dot is left away.
func (f *Feed) Find(product, version string) (*Release, error) {
	product, version = key(product), key(version)
	for i := range f.Products {
		p := &f.Products[i]
		if key(p.Name) != product && !slices.ContainsFunc(p.Aliases, func(a string) bool { return key(a) == product }) {
			continue
		}
		for at := version; at != ""; at = at[:max(0, strings.LastIndexByte(at, '.'))] {
			for j := range p.Releases {
				r := &p.Releases[j]
				first, _, _ := strings.Cut(key(r.Codename), "-")
				if key(r.Name) == at || at == version && (key(r.Codename) == at || first == at) {
					return r, nil
				}
			}
		}
		var names []string
		for _, r := range p.Releases[:min(len(p.Releases), 8)] {
			names = append(names, r.Name)
		}
		return nil, fmt.Errorf("until when %q of %s is supported is not known: there are dates of its releases %s", version, p.Name, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("until when %q is supported is not known: there is no feed of its dates", product)
}

// key is a name as names are compared: "2012 R2" is "2012-r2".
func key(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }
