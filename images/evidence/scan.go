package evidence

import (
	"context"
	"encoding/json"
	"time"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/report"
	"imgbuild/images/signing"
)

// Reports returns the newest signed report of a scan of each output of a
// version; an output that was not scanned has none.
func Reports(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (map[control.Output]*report.Report, error) {
	statements, err := Statements(ctx, c, v, trust, signing.PredicateScan)
	if err != nil {
		return nil, err
	}
	found := map[control.Output]*report.Report{}
	for _, s := range statements {
		r := &report.Report{Report: &control.Report{}}
		if err := json.Unmarshal(s.Predicate, r); err != nil {
			return nil, fault.Worldf("reading a scan report of %s", v.Ref()).Because(err)
		}
		if r.At.After(time.Now().Add(clockSkew)) {
			return nil, fault.Worldf("a scan report of %s is of the future: %s", v.Ref(), r.At.Format(time.DateTime)).WithHint("set the clock of this machine, or of the one that scanned")
		}
		for _, o := range outputsOf(v) {
			if before := found[o.form()]; o.form() == r.Output && o.spokenOfBy(s.Statement) && (before == nil || before.At.Before(r.At)) {
				found[r.Output] = r
			}
		}
	}
	return found, nil
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
