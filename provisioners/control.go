package provisioners

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/provisioners/conceal"
	"imgbuild/provisioners/system"
)

// Control is a control whose resources are decoded: what can be held against a
// system and applied to one.
type Control struct {
	*control.Control
	when, resources []Resource
	// rank is the place in types of the last type of the resources.
	rank int
}

// DecodeControls reads the resources of controls; vars fill templates. They are
// returned in the order in which they are applied: by the last of their types of
// resources, so that what looks at the whole system comes after what changes a
// part of it. Errors are fault.Input and list every mistake.
func DecodeControls(list []*control.Control, vars node.Vars) ([]Control, error) {
	p := &node.Problems{}
	known := types()
	var out []Control
	for _, c := range list {
		d := Control{Control: c}
		var err error
		d.when, err = decode(c.When, vars, known)
		p.Add(err)
		d.resources, err = decode(c.Resources, vars, known)
		p.Add(err)
		for i, t := range known {
			if c.Resources.Get(t.key) != nil {
				d.rank = i
			}
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b Control) int { return a.rank - b.rank })
	return out, p.Err()
}

// Resources are the control's desired state.
func (c Control) Resources() []Resource { return c.resources }

// Canonical encodes what the control does to a system, for stage ids; its
// title and reasons are no part of it.
func (c Control) Canonical() ([]byte, error) {
	var out struct{ When, Resources []json.RawMessage }
	for _, part := range []struct {
		from []Resource
		to   *[]json.RawMessage
	}{{c.when, &out.When}, {c.resources, &out.Resources}} {
		for _, r := range part.from {
			data, err := Canonical(r)
			if err != nil {
				return nil, err
			}
			*part.to = append(*part.to, data)
		}
	}
	return json.Marshal(out)
}

// Check holds the control against a system. That something could not be told
// is the finding's result, not an error of the check; only an end of ctx is one.
func (c Control) Check(ctx context.Context, r system.Reader) (control.Finding, error) {
	f := control.Finding{Control: c.ID, Title: c.Title, Severity: c.Severity}
	if why := c.elsewhere(r); why != "" {
		f.Result, f.Why = control.NotApplicable, why
		return f, nil
	}
	for _, condition := range c.when {
		differences, err := condition.Check(ctx, r)
		switch {
		case ctx.Err() != nil:
			return f, ctx.Err()
		case err != nil:
			f.Result, f.Why = control.Error, conceal.Text(fmt.Sprintf("whether it applies cannot be told: %v", err))
			return f, nil
		case len(differences) > 0:
			f.Result, f.Why = control.NotApplicable, shown(differences[0]).String()
			return f, nil
		}
	}
	f.Result = control.Pass
	for _, resource := range c.resources {
		f.Looked = append(f.Looked, resource.Identity())
		differences, err := resource.Check(ctx, r)
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		if err != nil {
			f.Result, f.Why = control.Error, conceal.Text(err.Error())
			continue
		}
		for _, d := range differences {
			f.Differences = append(f.Differences, shown(d))
			if f.Result == control.Pass {
				f.Result = control.Fail
			}
		}
	}
	return f, nil
}

// shown is a difference as reports may have it: without the secrets of the system.
func shown(d system.Difference) control.Difference {
	return control.Difference{Subject: conceal.Text(d.Subject), Have: conceal.Value(d.Subject, d.Have), Want: conceal.Text(d.Want)}
}

// elsewhere says why a control is of another operating system than a system's,
// by the names of its platforms; "" when it is not.
func (c Control) elsewhere(r system.Reader) string {
	os := system.OSOf(r)
	for _, platform := range c.Platforms {
		if strings.HasPrefix(platform, "windows-") == (os == system.Windows) {
			return ""
		}
	}
	if len(c.Platforms) == 0 {
		return ""
	}
	return fmt.Sprintf("it is for %s, and this system is %s", strings.Join(c.Platforms, ", "), os)
}

// Apply brings a system that the control is applicable to into its state, and
// tells whether it had to change anything.
func (c Control) Apply(ctx context.Context, s system.System) (bool, error) {
	if c.elsewhere(s) != "" {
		return false, nil
	}
	for _, condition := range c.when {
		differences, err := condition.Check(ctx, s)
		if err != nil {
			return false, fmt.Errorf("control %s: whether it applies: %w", c.ID, err)
		}
		if len(differences) > 0 {
			return false, nil
		}
	}
	changed, err := Apply(ctx, s, c.resources)
	if err != nil {
		return len(changed) > 0, fmt.Errorf("control %s: %w", c.ID, err)
	}
	return len(changed) > 0, nil
}
