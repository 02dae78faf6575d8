package custody

import (
	"context"

	"imgbuild/builder/progress"
	"imgbuild/images/updates"
)

// Report is what the archive has, and what it should have.
type Report struct {
	// Files and Bytes were read.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Needed is how many files somebody needs, but for those of updates that a lock may
	// take and that nobody has fetched yet.
	Needed int `json:"needed"`
	// Wrong are the files that are damaged, and those that are missing.
	Wrong []Wrong `json:"wrong"`
	// Strays lie among the files and are none of the archive's.
	Strays []string `json:"strays,omitempty"`
	// Unknown says of what it could not be told what it needs.
	Unknown []string `json:"unknown,omitempty"`

	needs *Needs
}

// Wrong is a file that is not there as it should be.
type Wrong struct {
	SHA256 string `json:"sha256"`
	// Package is its name and version, as far as somebody needs it.
	Package string `json:"package,omitempty"`
	// NeededBy is empty for a damaged file that nobody needs.
	NeededBy []string `json:"needed_by,omitempty"`
	// Problem says what is wrong with it, in words.
	Problem string `json:"problem"`
	Missing bool   `json:"missing,omitempty"`
	// Moved is where a damaged file was moved to.
	Moved string `json:"moved_to,omitempty"`
	// Repaired says that a good one is in its place by now, and Unrepaired why not;
	// both are empty when nothing was tried.
	Repaired   bool   `json:"repaired,omitempty"`
	Unrepaired string `json:"unrepaired,omitempty"`
}

// Left counts what is still wrong.
func (r *Report) Left() (damaged, missing int) {
	for _, w := range r.Wrong {
		switch {
		case w.Repaired:
		case w.Missing:
			missing++
		case len(w.NeededBy) > 0 || w.Moved == "": // one that nobody needs is mended by being gone
			damaged++
		}
	}
	return damaged, missing
}

// Inspect reads every file of the archive, and looks for each that is needed.
// Nothing is changed.
func Inspect(ctx context.Context, archive *updates.Store, needs *Needs, reporter progress.Reporter) (*Report, error) {
	items, err := archive.List()
	if err != nil {
		return nil, err
	}
	var total int64
	for _, item := range items {
		total += item.Size
	}
	task := reporter.Start("verify archive", total, progress.Bytes)
	audit, err := archive.Audit(ctx, task.Add)
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	task.Done(progress.Count(audit.Files, "file"))
	r := &Report{
		Files: audit.Files, Bytes: audit.Bytes, Wrong: []Wrong{},
		Strays: audit.Strays, Unknown: needs.Unknown, needs: needs,
	}
	bad := map[string]bool{}
	for _, d := range audit.Damaged {
		bad[d.SHA256] = true
		w := Wrong{SHA256: d.SHA256, Problem: d.Reason}
		if need := needs.bySum[d.SHA256]; need != nil {
			w.Package, w.NeededBy = need.Name, need.By
		}
		r.Wrong = append(r.Wrong, w)
	}
	for _, need := range needs.all() {
		there := bad[need.SHA256] || archive.Has(need.SHA256)
		if there || !need.waiting {
			r.Needed++
		}
		if !there && !need.waiting {
			r.Wrong = append(r.Wrong, Wrong{
				SHA256: need.SHA256, Package: need.Name, NeededBy: need.By, Problem: "it is not in the archive", Missing: true,
			})
		}
	}
	return r, nil
}
