package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"imgbuild/builder"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/gate"
	"imgbuild/images/report"
)

// attachReport signs a report, attaches it to the version that it is of, and says
// what the version's gates make of it.
func attachReport(ctx context.Context, env *environment, v *catalog.Version, r *report.Report) error {
	p, c, err := env.catalog(ctx)
	if err != nil {
		return err
	}
	key, _, err := p.SigningKey(env.ask())
	if err != nil {
		return err
	}
	if err := builder.AttachReport(ctx, c, v, key, r); err != nil {
		return err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return err
	}
	refusals, err := builder.Judge(ctx, c, v, trust, builder.Judging{For: r.For, Who: orMe(""), Key: key})
	if err != nil {
		return err
	}
	if err := gate.Error(v.Ref(), r.For, refusals); err != nil {
		env.reporter().Note("%v", err)
	} else {
		whom := ""
		if r.For != "" {
			whom = " for " + string(r.For)
		}
		env.reporter().Note("%s passes the gates of its recipe%s", v.Ref(), whom)
	}
	return nil
}

// reportBefore is what a report of a version is compared with: that of the same
// output of the version before; nil without one, and, which is noted, where what
// may be it cannot be read. How scores have moved decides nothing here.
func reportBefore(ctx context.Context, env *environment, v *catalog.Version, found *report.Report) (*report.Report, error) {
	if v == nil {
		return nil, nil
	}
	p, c, err := env.catalog(ctx)
	if err != nil {
		return nil, err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, err
	}
	earlier, err := evidence.Earlier(ctx, c, v, trust, found.For)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		env.reporter().Note("how its scores have moved is not known: %v", err)
		return nil, nil
	case earlier == nil:
		return nil, nil
	}
	return earlier.Reports[found.Output], nil
}

func writeReports(r, before *report.Report, f scanFlags) error {
	for _, out := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.page, func(w io.Writer) error { return report.Page(w, r, before) }},
		{f.sarif, func(w io.Writer) error { return report.SARIF(w, r, version) }},
		{f.xml, func(w io.Writer) error { return report.JUnit(w, r) }},
	} {
		if out.path == "" {
			continue
		}
		var b bytes.Buffer
		if err := out.write(&b); err != nil {
			return fmt.Errorf("writing %s: %w", out.path, err)
		}
		if err := os.WriteFile(out.path, b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}
