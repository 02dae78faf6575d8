package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/report"
	"imgbuild/images/signing"
)

// Reports returns the newest signed report of a scan of each output of a
// version, of those for nobody in particular; an output that was not scanned
// has none.
func Reports(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (map[control.Output]*report.Report, error) {
	found, err := scansOf(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	return found.newest(""), nil
}

// scan is one signed report of an output, attached to a version.
type scan struct {
	*report.Report
	statement digest.Digest
	document  *catalog.Evidence
}

// scans are those of a version, oldest first.
type scans []scan

// scansOf reads all reports of a version. That the newest of an output is older
// than one that was seen before is an error.
func scansOf(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (scans, error) {
	statements, err := Statements(ctx, c, v, trust, signing.PredicateScan)
	if err != nil {
		return nil, err
	}
	var found scans
	for _, s := range statements {
		r := &report.Report{Report: &control.Report{}}
		if err := json.Unmarshal(s.Predicate, r); err != nil {
			return nil, fault.Worldf("reading a scan report of %s", v.Ref()).Because(err)
		}
		if r.At.After(time.Now().Add(clockSkew)) {
			return nil, fault.Worldf("a scan report of %s is of the future: %s", v.Ref(), r.At.Format(time.DateTime)).WithHint("set the clock of this machine, or of the one that scanned")
		}
		ofIt := func(o output) bool { return o.form() == r.Output && o.spokenOfBy(s.Statement) }
		if slices.ContainsFunc(outputsOf(v), ofIt) {
			found = append(found, scan{r, digest.FromBytes(s.Predicate), s.document})
		}
	}
	slices.SortFunc(found, func(a, b scan) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.statement.String(), b.statement.String()))
	})
	return found, found.compare(c, v)
}

// compare holds the newest reports against those that were seen before: an
// older one would count if whoever keeps the catalog took them away.
func (s scans) compare(c *catalog.Catalog, v *catalog.Version) error {
	const prefix = "scan report of the "
	newest := map[string]catalog.Mark{}
	for _, one := range s {
		newest[strings.TrimSpace(prefix+string(one.Output)+" "+string(one.For))] = catalog.Mark{Order: one.At.UnixNano(), Digest: one.statement}
	}
	return c.Remember(v, prefix, newest)
}

// newest are the newest reports by output that say something of a scope: those
// for nobody in particular, where no customer's waivers count, and its own.
func (s scans) newest(scope control.Scope) map[control.Output]*report.Report {
	found := map[control.Output]*report.Report{}
	for _, one := range s {
		if one.For.Covers(scope) {
			found[one.Output] = one.Report
		}
	}
	return found
}

// trials are the newest trials by output. What an image did when it was started
// does not change with a later scan, nor with whom it is judged for.
func (s scans) trials() map[control.Output]*report.Trial {
	found := map[control.Output]*report.Trial{}
	for _, one := range s {
		if one.Trial != nil {
			found[one.Output] = one.Trial
		}
	}
	return found
}

// clockSkew is how far the clocks of two machines may differ.
const clockSkew = 10 * time.Minute

// form is what controls call an output.
func (o output) form() control.Output {
	if o.name == OutputContainer {
		return control.Container
	}
	return control.Machine
}

// Forms are the forms that a version has, as controls call them.
func Forms(v *catalog.Version) []control.Output {
	var forms []control.Output
	if v.Container != nil {
		forms = append(forms, control.Container)
	}
	if len(v.Disks) > 0 {
		forms = append(forms, control.Machine)
	}
	return forms
}
