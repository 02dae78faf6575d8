package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"imgbuild/images/advisory/installed"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/report"
	"imgbuild/images/signing"
	"imgbuild/provisioners/system"
)

// Advisor knows what is published about vulnerabilities. It may be asked by
// several goroutines at once.
type Advisor interface {
	// Feeds says what it knows, and whether that can be relied on, without
	// holding anything against it.
	Feeds(ctx context.Context) ([]report.Feed, error)
	// Advise holds packages against it. The vulnerabilities are those that the
	// packages have; there is no order in them.
	Advise(ctx context.Context, packages []installed.Package) (*report.Advised, []report.Vulnerability, error)
}

// statusPath is dpkg's list of what is installed, maxStatus bounds it in bytes.
const (
	statusPath = "/var/lib/dpkg/status"
	maxStatus  = 64 << 20
)

// advise holds the packages of a target against what is published about
// vulnerabilities, into r. Without an advisor nobody looks. What its packages are
// may not be known; then that is what is said of all of them.
func advise(ctx context.Context, r *report.Report, t *Target, s Spec) error {
	if s.Advisor == nil {
		return nil
	}
	packages, why, err := t.packages()
	if err != nil {
		return err
	}
	type binary struct{ name, version, architecture string }
	known := map[binary]int{}
	for i, p := range packages {
		known[binary{p.Name, p.Version, p.Architecture}] = i
	}
	for _, p := range s.Listed {
		i, ok := known[binary{p.Name, p.Version, p.Architecture}]
		if !ok {
			packages = append(packages, p)
			continue
		}
		// The status does not tell where a package comes from, and the list does.
		packages[i].Foreign, packages[i].Accepted = cmp.Or(p.Foreign, packages[i].Foreign), p.Accepted
	}
	if r.Advised, r.Vulnerabilities, err = s.Advisor.Advise(ctx, packages); err != nil {
		return err
	}
	if why != "" {
		r.Advised.Unjudged = append(r.Advised.Unjudged, report.UnjudgedPackage{Package: "all packages", Reason: why})
	}
	s.Offers.note(r.Vulnerabilities)
	if r.Vulnerabilities == nil {
		r.Vulnerabilities = []report.Vulnerability{}
	}
	report.SortVulnerabilities(r.Vulnerabilities)
	return nil
}

// Listed are the packages of one form of a version by its signed bill of materials, with
// what its signed recipe accepts of them.
func Listed(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, form control.Output) ([]installed.Package, error) {
	bills, err := evidence.Bills(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	list, err := installed.FromCycloneDX(bills[form])
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", v.Ref(), form, err)
	}
	terms, err := evidence.Terms(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	return evidence.Accept(list, terms), nil
}

// packages are those of the target; without them why says why they are not known.
// A list that cannot be read is an error.
func (t *Target) packages() (packages []installed.Package, why string, err error) {
	status, err := system.ReadFile(t.System, statusPath, maxStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "it has no " + statusPath + ", and no other list of packages is read", nil
	}
	if err != nil {
		return nil, "", err
	}
	if _, err := installed.Ecosystem(t.distribution, t.release); err != nil {
		return nil, err.Error(), nil
	}
	packages, err = installed.FromStatus(status, t.distribution, t.release)
	return packages, "", err
}
