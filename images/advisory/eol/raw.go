package eol

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/boundedjson"
)

// The part of version 1 that is read.
type rawFeed struct {
	Version   string         `json:"schema_version"`
	Generated string         `json:"generated_at"`
	Result    jsontext.Value `json:"result"`
}

type rawProduct struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Labels  struct {
		Extended *string `json:"eoes"`
	} `json:"labels"`
	Releases []rawRelease `json:"releases"`
}

type rawRelease struct {
	Name         string  `json:"name"`
	Codename     *string `json:"codename"`
	Released     string  `json:"releaseDate"`
	IsActive     *bool   `json:"isEoas"`
	ActiveFrom   *string `json:"eoasFrom"`
	IsSecurity   *bool   `json:"isEol"`
	SecurityFrom *string `json:"eolFrom"`
	IsExtended   *bool   `json:"isEoes"`
	ExtendedFrom *string `json:"eoesFrom"`
}

func decodeVersion1(data []byte) (*Feed, error) {
	raw, err := boundedjson.Decode[rawFeed](data, limits)
	if err != nil {
		return nil, err
	}
	if major, _, _ := strings.Cut(raw.Version, "."); major != "1" {
		return nil, fmt.Errorf("it is of schema version %.20q, not 1", raw.Version)
	}
	f := &Feed{}
	if raw.Generated != "" {
		t, err := time.Parse(time.RFC3339, raw.Generated)
		if err != nil {
			return nil, fmt.Errorf("the date %.40q cannot be read", raw.Generated)
		}
		f.Generated = t.UTC()
	}
	products := make([]rawProduct, 1)
	if raw.Result.Kind() == '[' {
		err = json.Unmarshal(raw.Result, &products)
	} else {
		err = json.Unmarshal(raw.Result, &products[0])
	}
	if err != nil {
		return nil, err
	}
	for _, p := range products {
		product, err := p.product()
		if err != nil {
			return nil, err
		}
		f.Products = append(f.Products, product)
	}
	return f, nil
}

func (raw *rawProduct) product() (Product, error) {
	p := Product{Name: raw.Name, Aliases: raw.Aliases, ExtendedBy: advisory.Line(of(raw.Labels.Extended))}
	for i := range raw.Releases {
		r, err := raw.Releases[i].release()
		if err != nil {
			return p, fmt.Errorf("release %.80q of %.80s: %w", raw.Releases[i].Name, p.Name, err)
		}
		r.Product, r.ExtendedBy = p.Name, p.ExtendedBy
		p.Releases = append(p.Releases, r)
	}
	return p, nil
}

func of(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (raw *rawRelease) release() (Release, error) {
	r := Release{Name: raw.Name, Codename: advisory.Line(of(raw.Codename))}
	var err error
	if r.Released, err = day(raw.Released); err != nil {
		return r, err
	}
	for _, e := range []struct {
		to   *End
		over *bool
		on   *string
	}{{&r.Active, raw.IsActive, raw.ActiveFrom}, {&r.Security, raw.IsSecurity, raw.SecurityFrom}, {&r.Extended, raw.IsExtended, raw.ExtendedFrom}} {
		if e.over == nil && e.on == nil {
			continue
		}
		on, err := day(of(e.on))
		if err != nil {
			return r, err
		}
		// That it is over follows from the day, where there is one.
		*e.to = End{Said: true, On: on, Over: on.IsZero() && e.over != nil && *e.over}
	}
	return r, nil
}

func day(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, fmt.Errorf("the date %.40q cannot be read", text)
	}
	return t, nil
}

// rawCycle is a release in the older form
// (https://endoflife.date/docs/api/v0/): each end is a day, or says whether.
type rawCycle struct {
	Cycle    jsontext.Value `json:"cycle"`
	Codename *string        `json:"codename"`
	Released string         `json:"releaseDate"`
	EOL      jsontext.Value `json:"eol"`
	Support  jsontext.Value `json:"support"`
	Extended jsontext.Value `json:"extendedSupport"`
}

func decodeList(data []byte, name string) (*Feed, error) {
	if name == "" {
		return nil, fmt.Errorf("it is a list of releases that does not name their product: name the file after it, such as debian.json")
	}
	raw, err := boundedjson.Decode[[]rawCycle](data, limits)
	if err != nil {
		return nil, err
	}
	p := Product{Name: name}
	for i := range *raw {
		r, err := (*raw)[i].release()
		if err != nil {
			return nil, fmt.Errorf("release %.80q of %.80s: %w", cmp.Or(r.Name, fmt.Sprint(i)), name, err)
		}
		r.Product = name
		p.Releases = append(p.Releases, r)
	}
	return &Feed{Products: []Product{p}}, nil
}

func (raw *rawCycle) release() (Release, error) {
	r := Release{Name: strings.Trim(string(raw.Cycle), `"`), Codename: advisory.Line(of(raw.Codename))}
	if kind := raw.Cycle.Kind(); kind != '"' && kind != '0' {
		return r, fmt.Errorf("it has no name")
	}
	var err error
	if r.Released, err = day(raw.Released); err != nil {
		return r, err
	}
	// "eol" is true when it has ended; the others are true while they last.
	if r.Security, err = endOf(raw.EOL, true); err != nil {
		return r, err
	}
	if r.Active, err = endOf(raw.Support, false); err != nil {
		return r, err
	}
	r.Extended, err = endOf(raw.Extended, false)
	return r, err
}

func endOf(value jsontext.Value, over bool) (End, error) {
	switch value.Kind() {
	case 't', 'f':
		return End{Said: true, Over: (value.Kind() == 't') == over}, nil
	case '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return End{}, err
		}
		on, err := day(text)
		if err == nil && on.IsZero() {
			err = fmt.Errorf("a date is empty")
		}
		return End{Said: true, On: on}, err
	case 0, 'n':
		return End{}, nil
	}
	return End{}, fmt.Errorf("%.40s is no date", value)
}
