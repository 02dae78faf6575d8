package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/debian/repo"
	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/control"
)

// A vendor's package is called as one of Debian's, and is none: what Debian says of its
// own is not said of it, nor is Debian's a newer version of it. That is a gap, unless the
// recipe accepts it.
func TestAVendorsPackageIsNotTheDistributions(t *testing.T) {
	vendors := pkg("nginx", "1")
	vendors.Foreign = "vendor"
	for _, accepted := range []bool{false, true} {
		vendors.Accepted = accepted
		from, images := &shelf{contents: map[string]pipeline.Contents{"20260101.1": {control.Container: {pkg("openssl", "1"), vendors}}}}, []*pipeline.Image{image(1)}
		stock := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
		q := &pipeline.Question{
			Index: advisorytest.Index(t, record("CVE-2026-0001", "nginx", "2", control.High), record("CVE-2026-0002", "openssl", "2", control.High)),
			Facts: &feeds.Facts{}, Stock: update(t, stock, images, images), Now: now,
		}
		// What was read of the image is remembered with where it comes from.
		q.Stock = update(t, &pipeline.Stock{Dir: stock.Dir, Read: from.read}, images, images)
		a, err := q.Concerns(t.Context(), images)
		if err != nil {
			t.Fatal(err)
		}
		if got := lines(a.Concerns); got != "CVE-2026-0002 high affected: web:20260101.1/container=affected\n" {
			t.Errorf("accepted %t: it concerns\n%s", accepted, got)
		}
		gap := slices.ContainsFunc(a.Gaps, func(g pipeline.Gap) bool {
			return strings.Contains(g.Why, "libnginx cannot be judged: it comes from the source vendor, of which no advisory speaks; a recipe accepts that by advisories: none at the source")
		})
		if gap == accepted || len(a.Gaps) > 1 {
			t.Errorf("accepted %t: the gaps are %v", accepted, a.Gaps)
		}
		r := &pipeline.Repositories{
			Dir: t.TempDir(), Now: func() time.Time { return now },
			Read: func(context.Context, string, string) ([]*repo.Index, error) {
				return []*repo.Index{suite("bookworm", "nginx=3", "openssl=2")}, nil
			},
		}
		if _, _, err := r.Sync(t.Context(), a.Platforms(), false); err != nil {
			t.Fatal(err)
		}
		if newer, err := a.Newer(r); err != nil || len(newer) != 1 || newer[0].Package != "openssl" {
			t.Errorf("newer is %+v, %v", newer, err)
		}
	}
}
