package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/builder/progress"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/hygiene"
	"imgbuild/builder/scan/layers"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/report"
)

// scanFlags are the flags of scan.
type scanFlags struct {
	form             string
	benchmarks       []string
	level            int
	page, sarif, xml string
	attach           bool
	customer, fleet  string
	// stream is a SCAP data stream for a second opinion.
	stream string
	trial  trialFlags
}

func newScanCommand(env *environment) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan [IMAGE]",
		Short: "Judge a finished image: controls, integrity, secrets",
		Long: `Open a finished output read-only, without booting or mounting it, and judge it:
against the controls of the benchmarks that speak of its system, against its signed
integrity manifest, and for what no image may carry, such as private keys, tokens,
passwords, histories, unexpected setuid files and packages that its lock lacks.

IMAGE is a version of the catalog, a disk image (raw or qcow2), a container image
(oci:DIR, oci-archive:FILE, docker://HOST/NAME:TAG), or a directory that holds a root,
by a path with a slash in it: ./root.
Of a version the disk is scanned, or with --form container its container. Without an
IMAGE, the version that was baked last is scanned.

With --boot-trial a version is started too, on a network without a way out: it must
answer the probes of its recipe, have no failed unit, listen on its declared ports
alone and reach nothing, and do so again after a restart. The image itself is never
written to.

Ends with exit code 3 when a control of at least medium severity fails or cannot be
told, when a file is not what was baked, when something lies in the image that must
not, or when something is wrong in its boot trial.`,
		Example: `  imgbuild scan debian-12-nginx
  imgbuild scan debian-12-nginx:released --form container
  imgbuild scan web.qcow2 --report report.html --sarif scan.sarif --junit scan.xml
  imgbuild scan oci:layout --level 1 --output json
  imgbuild scan debian-12-nginx --attach
  imgbuild scan debian-12-nginx --boot-trial --report report.html`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return words("IMAGE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				last, err := lastBaked(cmd.Context(), env)
				if err != nil {
					return err
				}
				args = []string{last}
			}
			if err := f.check(args[0]); err != nil {
				return err
			}
			if f.trial.on {
				if err := sandbox.Enter(); err != nil {
					return err
				}
			}
			return scanImage(cmd.Context(), env, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.form, "form", "", "`FORM` of the version or directory: vm or container")
	flags.StringSliceVar(&f.benchmarks, "benchmark", nil, "`BENCHMARK` to judge by (default: all that speak of its system)")
	flags.IntVar(&f.level, "level", 2, "judge by the sections up to this `LEVEL`: 1 or 2")
	flags.StringVar(&f.page, "report", "", "write the report to `FILE` as a page for a browser")
	flags.StringVar(&f.sarif, "sarif", "", "write the report to `FILE` as SARIF 2.1.0")
	flags.StringVar(&f.xml, "junit", "", "write the report to `FILE` as JUnit XML")
	addScopeFlags(flags, &f.customer, &f.fleet)
	flags.StringVar(&f.stream, "data-stream", "", "ask OpenSCAP too, by the rules of this SCAP data stream `FILE` (default: of openscap.content)")
	f.trial.add(flags, "start the version on an isolated network too, and see whether it works", "that of --report, else the cache's")
	flags.BoolVar(&f.attach, "attach", false, "sign the report and attach it to the version: gates go by the newest one")
	return cmd
}

// lastBaked names the version of the catalog that was baked last.
func lastBaked(ctx context.Context, env *environment) (string, error) {
	_, c, err := env.catalog(ctx)
	if err != nil {
		return "", err
	}
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return "", err
	}
	var last *catalog.Version
	for _, baseline := range baselines {
		versions, err := c.List(ctx, baseline)
		if err != nil {
			return "", err
		}
		for _, v := range versions {
			if last == nil || v.Baked.After(last.Baked) {
				last = v
			}
		}
	}
	if last == nil {
		return "", fault.Inputf("the catalog has no version to scan").WithHint("bake one, or name a disk, a container image or a directory: %s", env.command("scan", "--help"))
	}
	return last.Ref(), nil
}

// check refuses what can be told before anything is opened.
func (f scanFlags) check(name string) error {
	switch {
	case f.level != 1 && f.level != 2:
		return fault.Inputf("--level is %d", f.level).WithHint("use 1 or 2")
	case f.form != "" && f.form != string(control.Machine) && f.form != string(control.Container):
		return fault.Inputf("--form is %q", f.form).WithHint("use vm or container")
	case f.unwritable() != "":
		return fault.Inputf("there is no directory %s to write a report to", f.unwritable()).WithHint("make it first")
	case f.page == "-" || f.sarif == "-" || f.xml == "-":
		return fault.Inputf("reports go to files").WithHint("name a file; --output json writes the whole report to standard output")
	case f.attach && (f.level != 2 || len(f.benchmarks) > 0):
		return fault.Inputf("--attach is for whole reports: gates go by them").WithHint("leave out --level and --benchmark")
	case f.attach && foreign(name):
		return fault.Inputf("--attach is for versions of the catalog").WithHint("leave it out, or name a version")
	case f.trial.on && foreign(name):
		return fault.Inputf("--boot-trial is for versions of the catalog: their recipes say what they answer").WithHint("leave it out, or name a version")
	case f.trial.firmware != "" && !f.trial.on:
		return fault.Inputf("--firmware is for boot trials").WithHint("add --boot-trial")
	case f.form == string(control.Machine) && isContainer(name):
		return fault.Inputf("%s is a container image", name).WithHint("leave out --form")
	}
	return nil
}

// unwritable is a directory that is not there and a report would go to, or "".
func (f scanFlags) unwritable() string {
	for _, file := range []string{f.page, f.sarif, f.xml} {
		if info, err := os.Stat(filepath.Dir(file)); file != "" && (err != nil || !info.IsDir()) {
			return filepath.Dir(file)
		}
	}
	return ""
}

// isContainer tells the names of container images.
func isContainer(name string) bool {
	return strings.HasPrefix(name, "oci:") || strings.HasPrefix(name, "oci-archive:") || strings.HasPrefix(name, "docker://")
}

// foreign tells names that no version of the catalog has: those of container
// images elsewhere, and paths, which have a slash or an ending.
func foreign(name string) bool {
	return isContainer(name) || strings.Contains(name, "/") || slices.Contains([]string{".qcow2", ".raw", ".img"}, filepath.Ext(name)) || name == "." || name == ".."
}

func scanImage(ctx context.Context, env *environment, name string, f scanFlags) (err error) {
	scope, err := control.ParseScope(f.customer, f.fleet)
	if err != nil {
		return err
	}
	// Half of what a scan allocates is kept to its end, unlike elsewhere.
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(100))
	}
	p, err := env.project()
	if err != nil {
		return err
	}
	if err := f.enterForOpinion(p); err != nil {
		return err
	}
	source, err := env.baselines()
	if err != nil {
		return err
	}
	defer source.Close()
	spec := scan.Spec{Benchmarks: f.benchmarks, Level: f.level, For: scope, Now: time.Now(), Hygiene: hygiene.Expected{BuildPaths: []string{p.Config.Cache.Dir}}}
	if spec.Set, err = source.Controls(); err != nil {
		return err
	}
	if err := spec.Set.Known(f.benchmarks...); err != nil {
		return err
	}
	if spec.Waivers, err = source.Waivers(spec.Set, strayKinds()); err != nil {
		return err
	}
	dir := filepath.Join(p.Config.Cache.Dir, scansDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("scanning %s: %w", name, err)
	}
	task := env.reporter().Start("scan", 0, progress.Items)
	target, of, err := openTarget(ctx, env, name, f.form, dir, &spec)
	if err != nil {
		task.Fail(err)
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := f.askOpinion(env, p, target, dir, &spec); err != nil {
		task.Fail(err)
		return err
	}
	found, err := scan.Run(ctx, target, spec)
	if err != nil {
		task.Fail(err)
		return err
	}
	task.Done(fmt.Sprintf("controls: %d, files: %d", len(found.Findings), found.Files))
	if f.trial.on {
		if found.Trial, err = tryVersion(ctx, env, of, target.Output, f); err != nil {
			return err
		}
	}
	before, err := reportBefore(ctx, env, of, found)
	if err != nil {
		return err
	}
	if err := writeReports(found, before, f); err != nil {
		return err
	}
	if f.attach {
		if err := attachReport(ctx, env, of, found); err != nil {
			return err
		}
	}
	if err := env.answer(found, func(w io.Writer) { _ = report.Table(w, found) }, ""); err != nil {
		return err
	}
	return verdict(found)
}

// openTarget opens what a user names, and learns what is known of it. A version
// of the catalog is returned too.
func openTarget(ctx context.Context, env *environment, name, form, dir string, spec *scan.Spec) (*scan.Target, *catalog.Version, error) {
	if foreign(name) {
		t, err := openForeign(ctx, name, form, dir)
		return t, nil, err
	}
	p, c, err := env.catalog(ctx)
	if err != nil {
		return nil, nil, err
	}
	v, err := find(ctx, c, name, catalog.AllowRevoked)
	if err != nil {
		return nil, nil, orPath(name, err)
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, nil, err
	}
	output, known := scannedForm(v, form)
	if spec.Manifest, err = evidence.Manifest(ctx, c, v, trust, known); err != nil {
		return nil, nil, err
	}
	if spec.Hygiene.Locked, err = evidence.Packages(ctx, c, v, trust, output); err != nil {
		return nil, nil, err
	}
	recipe, err := evidence.RecipeOf(ctx, c, v, trust)
	if err != nil {
		return nil, nil, err
	}
	if spec.Classes, err = recipe.Mutable.Rules(); err != nil {
		return nil, nil, fault.Worldf("reading what %s lets servers change", v.Ref()).Because(err)
	}
	spec.Baseline, spec.Profiles, spec.Vars = v.Baseline, recipe.Controls.Profiles, recipe.Values
	spec.Waivers = append(spec.Waivers, recipe.Controls.Waivers()...)
	t, err := scan.Version(ctx, c, v, output, dir)
	return t, v, err
}

// orPath is why the catalog has no such version, or, where a file or directory of
// that name is here, how that is said.
func orPath(name string, err error) error {
	info, there := os.Stat(name)
	if there != nil || fault.KindOf(err) != fault.Input {
		return err
	}
	hint := fmt.Sprintf("the disk of that name is ./%s, an archive in the OCI layout is oci-archive:%s", name, name)
	if info.IsDir() {
		hint = fmt.Sprintf("the directory of that name is ./%s, or oci:%s when it is an OCI layout", name, name)
	}
	return fault.Inputf("the catalog has no image of %q", name).WithHint("%s", hint)
}

// openForeign opens what is no version of the catalog.
func openForeign(ctx context.Context, name, form, dir string) (*scan.Target, error) {
	if isContainer(name) {
		from, err := layers.ParseSource(name)
		if err != nil {
			return nil, err
		}
		return scan.Container(ctx, from, dir)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fault.Inputf("there is no file or directory %s", name).WithHint("a version of the catalog has a name without a slash: %s", "imgbuild images list")
	case info.IsDir() && filepath.Clean(name) == "/":
		return nil, fault.Inputf("/ is the running system, not a finished image").WithHint("name the directory that holds a root")
	case info.IsDir():
		return scan.Directory(name, directoryForm(form))
	case form == string(control.Container):
		return nil, fault.Inputf("%s is a file: a disk, not a container image", name).WithHint("leave out --form, or name the image oci-archive:%s", name)
	}
	return scan.Disk(name)
}

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

func directoryForm(form string) control.Output {
	if form == "" {
		return control.Machine
	}
	return control.Output(form)
}

// scannedForm is the output of a version that is scanned, and what its evidence
// calls it.
func scannedForm(v *catalog.Version, form string) (control.Output, string) {
	if form == string(control.Container) || form == "" && len(v.Disks) == 0 {
		return control.Container, evidence.OutputContainer
	}
	return control.Machine, evidence.OutputDisk
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

// verdict is an error of kind fault.Gate for a report with something wrong.
func verdict(r *report.Report) error {
	var wrong []string
	var trial []string
	if r.Trial != nil {
		trial = r.Trial.Failed()
	}
	for _, w := range []struct {
		count     int
		one, many string
	}{
		{len(r.Failed(control.Medium, r.At)), "a control of medium severity or above is not met", "%d controls of medium severity or above are not met"},
		{len(r.Drift), "a file is not what was baked", "%d files are not what was baked"},
		{len(r.Unseen), "a part of it was not looked at", "%d parts of it were not looked at"},
		{len(r.Littered(r.At)), "something lies in it that must not", "%d things lie in it that must not"},
		{len(trial), "something was wrong in its boot trial", "%d things were wrong in its boot trial"},
	} {
		switch w.count {
		case 0:
		case 1:
			wrong = append(wrong, w.one)
		default:
			wrong = append(wrong, fmt.Sprintf(w.many, w.count))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Gatef("%s is not as it should be: %s", r.Target, strings.Join(wrong, ", "))
}
