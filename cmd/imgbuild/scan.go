package main

import (
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

	"imgbuild/builder/progress"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/hygiene"
	"imgbuild/images/control"
	"imgbuild/images/fault"
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
	// looked is what is looked at, and advisories are files to look for CVEs by.
	looked, advisories []string
	// stream is a SCAP data stream for a second opinion.
	stream string
	trial  trialFlags
}

func newScanCommand(env *environment) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan [IMAGE]",
		Short: "Judge a finished image: controls, CVEs, integrity, secrets",
		Long: `Open a finished output read-only, without booting or mounting it, and judge it:
against the controls of the benchmarks that speak of its system, against its signed
integrity manifest, for what no image may carry, such as private keys, tokens,
passwords, histories, unexpected setuid files and packages that its lock lacks, and
for the vulnerabilities of its packages by the feeds that are watched.

IMAGE is a version of the catalog, a disk image (raw or qcow2), a container image
(oci:DIR, oci-archive:FILE, docker://HOST/NAME:TAG), or a directory that holds a root,
by a path with a slash in it: ./root.
Of a version the disk is scanned, or with --form container its container. Without an
IMAGE, the version that was baked last is scanned.

With --advisories it looks for vulnerabilities by files instead: any OSV archive,
record or directory, Debian's tracker, CSAF and others; and with --checks at a part
of all this alone. No gate goes by such a report.

With --boot-trial a version is started too, on a network without a way out: it must
answer the probes of its recipe, have no failed unit, listen on its declared ports
alone and reach nothing, and do so again after a restart. The image itself is never
written to.

Ends with exit code 3 when a control of at least medium severity fails or cannot be
told, when a file is not what was baked or a part was not looked at, when something
lies in the image that must not, when a vulnerability of medium severity or above, or
one that nobody has rated, has a fix or cannot be told, when one of any severity is
known to be exploited, when the feeds cannot be relied on or say nothing of a package,
or when something is wrong in its boot trial.`,
		Example: `  imgbuild scan debian-12-nginx
  imgbuild scan debian-12-nginx:released --form container
  imgbuild scan web.qcow2 --report report.html --sarif scan.sarif --junit scan.xml
  imgbuild scan oci:layout --level 1 --output json
  imgbuild scan ./root --checks cves --advisories osv:all.zip --output json
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
	flags.StringSliceVar(&f.looked, "checks", nil, "look at these `CHECKS` alone: controls, cves, integrity, hygiene (default: all)")
	flags.StringArrayVar(&f.advisories, "advisories", nil, "look for CVEs by this `FILE` or directory instead of the feeds, such as osv:all.zip; may be given again, kev:FILE and epss:FILE too")
	flags.StringVar(&f.page, "report", "", "write the report to `FILE` as a page for a browser")
	flags.StringVar(&f.sarif, "sarif", "", "write the report to `FILE` as SARIF 2.1.0")
	flags.StringVar(&f.xml, "junit", "", "write the report to `FILE` as JUnit XML")
	addScopeFlags(flags, &f.customer, &f.fleet)
	flags.StringVar(&f.stream, "data-stream", "", "ask OpenSCAP too, by the rules of this SCAP data stream `FILE` (default: of openscap.content)")
	f.trial.add(flags, "start the version on an isolated network too, and see whether it works", "that of --report, else the cache's")
	flags.BoolVar(&f.attach, "attach", false, "sign the report and attach it to the version: gates go by the newest one")
	return cmd
}

// check refuses what can be told before anything is opened.
func (f scanFlags) check(name string) error {
	switch {
	case f.level != 1 && f.level != 2:
		return fault.Inputf("--level is %d", f.level).WithHint("use 1 or 2")
	case f.form != "" && f.form != string(control.Machine) && f.form != string(control.Container):
		return fault.Inputf("--form is %q", f.form).WithHint("use vm or container")
	case f.unwritable() != nil:
		return f.unwritable()
	case f.page == "-" || f.sarif == "-" || f.xml == "-":
		return fault.Inputf("reports go to files").WithHint("name a file; --output json writes the whole report to standard output")
	case f.attach && (f.level != 2 || len(f.benchmarks) > 0):
		return fault.Inputf("--attach is for whole reports: gates go by them").WithHint("leave out --level and --benchmark")
	case slices.Contains(f.looked, string(report.Integrity)) && foreign(name):
		return fault.Inputf("only of versions of the catalog is it known what every file should be").WithHint("leave integrity out of --checks, or name a version")
	case f.attach && (len(f.looked) > 0 || len(f.advisories) > 0):
		return fault.Inputf("--attach is for whole reports, by the feeds that are watched: gates go by them").WithHint("leave out --checks and --advisories")
	case f.stream != "" && len(f.looked) > 0 && !slices.Contains(f.looked, string(report.Controls)):
		return fault.Inputf("--data-stream is a second opinion of controls").WithHint("leave it out, or add controls to --checks")
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

// unwritable refuses a report whose directory is not there, or that is one itself.
func (f scanFlags) unwritable() error {
	for _, file := range []string{f.page, f.sarif, f.xml} {
		if file == "" {
			continue
		}
		if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
			return fault.Inputf("there is no directory %s to write a report to", filepath.Dir(file)).WithHint("make it first")
		}
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			return fault.Inputf("%s is a directory, and a report is a file", file).WithHint("name a file in it")
		}
	}
	return nil
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
	if spec.Checks, err = f.checks(); err != nil {
		return err
	}
	if err := f.addAdvisor(env, p, &spec); err != nil {
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
	task.Done(found.InNumbers())
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

// verdict is an error of kind fault.Gate for a report with something wrong.
func verdict(r *report.Report) error {
	var wrong, trial []string
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
		{len(r.Mendable(control.Medium, r.At)), "a vulnerability can be mended or is exploited", "%d vulnerabilities can be mended or are exploited"},
		{len(r.Undetermined(control.Medium)), "of a vulnerability it cannot be told whether it is there", "of %d vulnerabilities it cannot be told whether they are there"},
		{len(r.Untold()), "not all of its vulnerabilities could be told", "not all of its vulnerabilities could be told, for %d reasons"},
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
