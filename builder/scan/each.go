package scan

import (
	"context"
	"sync"

	"imgbuild/builder/progress"
	"imgbuild/images/control"
	"imgbuild/images/report"
)

// Each scans the forms of an image at once. A scan that fails ends none of the
// others, so that each says its own failure and what was scanned well need not be
// scanned again: found has the reports of those, also beside an error. That is the
// failure of the first form that has one; the reporter has told all of them.
func Each(ctx context.Context, forms []control.Output, reporter progress.Reporter, scan func(context.Context, control.Output) (*report.Report, error)) (found map[control.Output]*report.Report, err error) {
	reports, failures := make([]*report.Report, len(forms)), make([]error, len(forms))
	var group sync.WaitGroup
	for i, form := range forms {
		group.Go(func() {
			task := reporter.Start("scan of the "+string(form), 0, progress.Items)
			if reports[i], failures[i] = scan(ctx, form); failures[i] != nil {
				task.Fail(failures[i])
				return
			}
			task.Done(reports[i].InNumbers())
		})
	}
	group.Wait()
	found = map[control.Output]*report.Report{}
	for i, form := range forms {
		switch {
		case failures[i] == nil:
			found[form] = reports[i]
		case err == nil:
			err = failures[i]
		}
	}
	return found, err
}
