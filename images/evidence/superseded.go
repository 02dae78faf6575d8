package evidence

import (
	"context"

	"github.com/opencontainers/go-digest"

	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/signing"
)

// fewReports is how many reports a version may have before any is superseded.
const fewReports = 8

// Superseded are the documents of reports that nothing goes by any more: with feeds that
// change by the hour they pile up, and each question reads them all. Of each form and whom
// it was judged for the first and the newest report stay, and of each form the newest with
// a trial: what an image did when it was started is told by that. Of a version with few
// reports it is nothing. One that is not believed is an error, and none of them.
func Superseded(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) ([]*catalog.Evidence, error) {
	attached, err := c.Evidence(ctx, v, signing.EnvelopeMediaType)
	if err != nil {
		return nil, err
	}
	n, sharing := 0, map[digest.Digest]int{}
	for _, e := range attached {
		sharing[e.Manifest.Digest]++
		if e.Annotations[predicateAnnotation] == signing.PredicateScan {
			n++
		}
	}
	if n <= fewReports {
		return nil, nil
	}
	found, err := scansOf(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	type judged struct {
		output control.Output
		of     control.Scope
	}
	first, newest, started := map[judged]int{}, map[judged]int{}, map[control.Output]int{}
	for i, one := range found {
		at := judged{one.Output, one.For}
		if _, known := first[at]; !known {
			first[at] = i
		}
		newest[at] = i
		if one.Trial != nil {
			started[one.Output] = i
		}
	}
	var list []*catalog.Evidence
	for i, one := range found {
		at := judged{one.Output, one.For}
		trial, known := started[one.Output]
		alone := sharing[one.document.Manifest.Digest] == 1 // what is removed is a manifest
		if alone && i != first[at] && i != newest[at] && (!known || i != trial) {
			list = append(list, one.document)
		}
	}
	return list, nil
}
