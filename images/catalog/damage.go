package catalog

import (
	"errors"
	"io/fs"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
)

// Damaged is a version whose index cannot be read, or is not its own. It is
// an error, for it cannot be used; it can be listed and removed.
type Damaged struct {
	Baseline string
	Number   string
	// Index describes the OCI index that should be there; empty when a registry
	// does not say so much.
	Index ocispec.Descriptor
	// Cause is of the kind fault.World and carries the hint.
	Cause *fault.Error
}

func (d *Damaged) Error() string { return d.Cause.Error() }

// Reason says what is wrong, without the version's name.
func (d *Damaged) Reason() string { return d.Cause.Cause.Error() }

// Unwrap gives the fault.
func (d *Damaged) Unwrap() error { return d.Cause }

// Version is what is left of the version: its name and identity, by which it
// can be removed and its revocation be read.
func (d *Damaged) Version() *Version {
	return &Version{Baseline: d.Baseline, Number: d.Number, Index: d.Index}
}

// After reports whether the number was given after that of a version.
func (d *Damaged) After(v *Version) bool { return compareVersions(d.Number, v.Number) > 0 }

// damaged tells a version's damage from a failure that says nothing about it,
// such as a network that is down; nil for the latter.
func damaged(baseline, number string, index ocispec.Descriptor, err error) *Damaged {
	if fault.KindOf(err) != fault.World {
		return nil
	}
	d := &Damaged{Baseline: baseline, Number: number, Index: index}
	d.Cause = fault.Worldf("%s:%s is damaged", baseline, number).Because(err)
	if fault.HintOf(err) == "" {
		d.Cause = d.Cause.WithHint("%s", damageHint(d.Version()))
	}
	return d
}

// damageHint says how to go on with a damaged version.
func damageHint(v *Version) string {
	return "copy it again from where it is whole (there: imgbuild images export " + v.Ref() + " PLACE --form catalog), or remove it: imgbuild images rm " + v.Ref()
}

// isLost reports whether content is gone or changed for good, and not just
// unreadable now.
func isLost(err error) bool {
	var unreadable *fs.PathError
	return fault.KindOf(err) == fault.World && !errors.As(err, &unreadable)
}
