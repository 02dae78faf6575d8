package install

import (
	"context"
	"errors"
	"slices"
	"strings"

	"imgbuild/builder/accounts"
	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/progress"
	"imgbuild/images/updates"
)

// Options says what is installed where.
type Options struct {
	// Root is the directory that becomes the system's /: empty, or with the
	// layers installed before. Nothing else changes it meanwhile.
	Root string
	// Architecture is the Debian name of the machine architecture.
	Architecture string
	// Packages are all of the layer, in any order. What they depend on is
	// among them or installed already.
	Packages []updates.Package
	// Archive holds the package files.
	Archive *updates.Store
	// Unpacked keeps package files unpacked.
	Unpacked *deb.Cache
	// Exclude and Include are patterns of absolute paths as dpkg(1) has them
	// for path-exclude and path-include, the excluding ones first.
	Exclude, Include []string
	// Accounts are the numbers that system users and groups made by this
	// layer have to get; others are numbered by the scripts that make them.
	Accounts []updates.Account
	// Epoch is the time that scripts see as SOURCE_DATE_EPOCH, in seconds
	// since 1970.
	Epoch int64
	// Env is added to the scripts' environment, as "NAME=value".
	Env []string
	// Report shows the progress; nil shows nothing.
	Report progress.Reporter
}

// Result is what a layer made beyond files.
type Result struct {
	// Accounts are the system users and groups that the layer's scripts made,
	// by name, with their numbers. Layer is left empty.
	Accounts []updates.Account
}

// layer is the installation under way.
type layer struct {
	Options
	root   *root
	filter filter
	// packages are in the order in which they would be installed one by one.
	packages []*pkg
	// first is true when the root had no package database.
	first bool
	// losers are the entries that another package of the layer replaces.
	losers map[entryKey]bool
	// undecided are the paths that two packages have without a Replaces.
	undecided map[string][2]*pkg
	db        *database
	// dpkgVersion is the upstream version of the root's dpkg.
	dpkgVersion string
}

// Layer installs the packages and runs their scripts. The root is useless
// after an error. A script that fails is a *ScriptError.
func Layer(ctx context.Context, o Options) (res *Result, err error) {
	l, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.root.close()) }()
	before, err := accounts.Read(l.Root)
	if err != nil {
		return nil, err
	}
	task := l.Report.Start("installing packages", int64(2*len(l.packages)), progress.Items)
	if err := l.install(ctx, task); err != nil {
		task.Fail(err)
		return nil, err
	}
	task.Done(progress.Count(len(l.packages), "package"))
	if err := l.db.writeExtendedStates(l.packages); err != nil {
		return nil, err
	}
	made, err := accounts.Settle(l.Root, before, l.Accounts)
	if err != nil {
		return nil, err
	}
	return &Result{Accounts: made}, nil
}

// Unpack unpacks the packages without running any of their scripts and
// without a package database: for a root that is only run from.
func Unpack(ctx context.Context, o Options) (err error) {
	l, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.root.close()) }()
	task := l.Report.Start("unpacking packages", int64(len(l.packages)), progress.Items)
	for _, p := range l.packages {
		p.inPlace = true
	}
	// Programs name their loader by /lib64 or /lib, and no base-files brings
	// those links here.
	if err = l.mergeUsr(map[string]bool{"bin": true, "sbin": true, "lib": true, "lib64": true}); err == nil {
		err = l.extract(ctx, l.packages, task)
	}
	if err != nil {
		task.Fail(err)
		return err
	}
	task.Done("")
	return nil
}

// open reads the packages and finds their order.
func open(ctx context.Context, o Options) (*layer, error) {
	if o.Report == nil {
		o.Report = progress.Discard
	}
	filter, err := newFilter(o.Exclude, o.Include)
	if err != nil {
		return nil, err
	}
	packages, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	r, err := openRoot(o.Root)
	if err != nil {
		return nil, err
	}
	l := &layer{Options: o, root: r, filter: filter, packages: packages, db: &database{root: r, arch: o.Architecture, filter: filter}}
	_, exists, err := r.lstat(statusFile)
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	l.first = !exists
	l.settleOverwrites()
	if l.dpkgVersion, err = l.versionOf("dpkg"); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return l, nil
}

// install does the work of dpkg --install for all packages, in rounds: in an
// empty root the essential packages are unpacked first and configured before
// anything else is there; a package is unpacked after what it pre-depends on
// was configured and after its own preinst has run; whatever has to wait for
// nothing is unpacked at once.
func (l *layer) install(ctx context.Context, task progress.Task) (err error) {
	if err := l.mergeUsr(l.topLevel()); err != nil {
		return err
	}
	if err := l.db.prepare(l.first); err != nil {
		return err
	}
	restore, err := l.prepareSurroundings()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()

	var do script
	now, waiting := l.begin(&do)
	for {
		if err := l.unpack(ctx, now, task); err != nil {
			return err
		}
		if len(waiting) == 0 {
			break
		}
		var needed []*pkg
		now, waiting, needed = l.ready(waiting)
		do.configure(needed)
		for _, p := range now {
			do.preinst(p)
		}
		if err := l.run(ctx, &do, task); err != nil {
			return err
		}
		do = script{}
	}
	do.configureAll()
	if err := l.run(ctx, &do, task); err != nil {
		return err
	}
	return l.db.check(l.packages)
}

// unpack extracts packages and enters them into the database.
func (l *layer) unpack(ctx context.Context, packages []*pkg, task progress.Task) error {
	if err := l.extract(ctx, packages, task); err != nil {
		return err
	}
	return l.db.add(packages)
}

// begin divides the packages into those unpacked in the first round and the
// rest. The preinst of an essential package in an empty root runs after all of
// them are unpacked, for nothing runs before.
func (l *layer) begin(do *script) (now, waiting []*pkg) {
	for _, p := range l.packages {
		p.inPlace = l.first && p.essential
		switch {
		case p.inPlace:
			now = append(now, p)
			do.preinst(p)
		case l.first || p.has("preinst") || len(l.beforeUnpack(p)) > 0:
			waiting = append(waiting, p)
		default:
			now = append(now, p)
		}
	}
	return now, waiting
}

// ready divides the packages that wait into those whose turn it is and the
// rest, and says which packages are to be configured before.
func (l *layer) ready(waiting []*pkg) (now, later, needed []*pkg) {
	for _, p := range waiting {
		if slices.ContainsFunc(l.beforeUnpack(p), func(q *pkg) bool { return !q.unpacked }) {
			later = append(later, p)
		} else {
			now = append(now, p)
		}
	}
	if len(now) == 0 { // a circle of Pre-Depends: as good as any
		now, later = waiting[:1], waiting[1:]
	}
	want := map[*pkg]bool{}
	for _, p := range now {
		for _, q := range l.beforeUnpack(p) {
			want[q] = true
		}
	}
	for _, q := range l.packages {
		if want[q] && q.unpacked {
			q.configured = true
			needed = append(needed, q)
		}
	}
	return now, later, needed
}

// beforeUnpack returns what must still be configured before p is unpacked: what
// p pre-depends on with all that this depends on, and in an empty root the
// essential packages; nothing when none of it has anything to configure.
func (l *layer) beforeUnpack(p *pkg) []*pkg {
	set := map[*pkg]bool{}
	for _, q := range p.preDepends {
		q.closure(set)
	}
	var before []*pkg
	scripts := false
	for _, q := range l.packages {
		if q != p && !q.configured && (set[q] || l.first && q.essential) {
			before = append(before, q)
			scripts = scripts || q.has("postinst")
		}
	}
	if !scripts {
		return nil
	}
	return before
}

// versionOf returns the version of a package of the layer or of the root,
// without a Debian revision.
func (l *layer) versionOf(name string) (version string, err error) {
	for _, p := range l.packages {
		if p.locked.Name == name {
			version = p.locked.Version
		}
	}
	if version == "" && !l.first {
		err = l.db.paragraphs(func(p *deb822.Paragraph) error {
			if p.Get("Package") == name {
				version = p.Get("Version")
			}
			return nil
		})
	}
	version, _, _ = strings.Cut(version, "-")
	return version, err
}
