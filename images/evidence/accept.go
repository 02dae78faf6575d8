package evidence

import (
	"imgbuild/images/advisory/installed"
	"imgbuild/images/baseline"
)

// Accept marks those of an image's packages of which its recipe accepts that no advisory
// speaks, by the source that they come from.
func Accept(packages []installed.Package, terms baseline.Terms) []installed.Package {
	for i := range packages {
		packages[i].Accepted = terms.Unadvised(packages[i].Foreign)
	}
	return packages
}
