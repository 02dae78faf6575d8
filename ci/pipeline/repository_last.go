package pipeline

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"imgbuild/ci/feeds"
)

// Last says what was read last of the repositories of all platforms, off or not; what
// cannot be believed is left out. The platforms are those of the answer, in order.
func (r *Repositories) Last() (offered []feeds.Offered, platforms []Platform, err error) {
	files, err := filepath.Glob(filepath.Join(r.Dir, "*.json"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading what repositories offer: %w", err)
	}
	slices.Sort(files)
	for _, file := range files {
		o, err := readOffers(file)
		if err != nil {
			return nil, nil, err
		}
		if o == nil || r.path(o.Platform) != file {
			continue
		}
		p := o.Platform
		one := feeds.Offered{Platform: strings.TrimSpace(p.Ecosystem + " " + p.Architecture), Read: o.Read, Packages: len(o.Packages)}
		for _, date := range o.Suites {
			if date.After(one.AsOf) {
				one.AsOf = date
			}
		}
		for _, offer := range o.Packages {
			if offer.Since.Equal(o.Read) {
				one.New++
				if strings.HasSuffix(offer.Suite, "-security") {
					one.Security++
				}
			}
		}
		if one.New == one.Packages { // it was read for the first time
			one.New, one.Security = 0, 0
		}
		offered, platforms = append(offered, one), append(platforms, p)
	}
	return offered, platforms, nil
}
