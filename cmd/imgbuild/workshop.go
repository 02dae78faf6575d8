package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"time"

	"imgbuild/builder"
	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/host"
	"imgbuild/builder/project"
	"imgbuild/builder/stage"
	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// The directories of cache.dir.
const (
	stagesDir   = "stages"
	unpackedDir = "unpacked"
	layersDir   = "layers"
	indexesDir  = "indexes"
	scansDir    = "scans"
	// advisoriesDir has the indexes of advisories that scans were given.
	advisoriesDir = "advisories"
)

// workshop is what lock and bake work with: the project's places, opened.
type workshop struct {
	project *project.Project
	recipes *baseline.Source
	client  *http.Client
	env     *environment
}

func (e *environment) workshop(ctx context.Context) (*workshop, error) {
	p, err := e.project()
	if err != nil {
		return nil, err
	}
	recipes, err := e.baselines()
	if err != nil {
		return nil, err
	}
	client, err := mirrorClient(ctx, p)
	if err != nil {
		return nil, errors.Join(err, recipes.Close())
	}
	return &workshop{project: p, recipes: recipes, client: client, env: e}, nil
}

func (w *workshop) close() error { return w.recipes.Close() }

// openArchive opens the archive, and makes it where there is none.
func (w *workshop) openArchive() (*updates.Store, error) {
	return updates.Open(w.project.Config.Archive.Dir)
}

// mirrorClient reaches mirrors by the configured proxy and authorities, else
// by apt's.
func mirrorClient(ctx context.Context, p *project.Project) (*http.Client, error) {
	client := fetch.NewClient()
	return client, p.ReachMirrors(ctx, client)
}

// recipe loads a baseline for an architecture; "" means its first.
func (w *workshop) recipe(ctx context.Context, name, arch string) (*baseline.Recipe, error) {
	return loadBaseline(ctx, w.recipes, name, arch)
}

// locker makes locks from what the mirrors offer now.
func (w *workshop) locker() (*builder.Locker, error) {
	ring, err := w.project.Keyring()
	if err != nil {
		return nil, err
	}
	keys, err := repo.LoadKeyring(ring)
	if err != nil {
		return nil, err
	}
	archive, err := w.openArchive()
	if err != nil {
		return nil, err
	}
	return &builder.Locker{
		Client: &repo.Client{
			HTTP: w.client, Cache: filepath.Join(w.project.Config.Cache.Dir, indexesDir), Now: time.Now, Progress: w.env.reporter(),
		},
		Mirror:  w.project.Mirror,
		Keys:    keys,
		Archive: archive,
	}, nil
}

// builder opens what stages are made with; it runs inside the sandbox.
func (w *workshop) builder(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*builder.Builder, error) {
	c := w.project.Config
	stages, err := stage.Open(filepath.Join(c.Cache.Dir, stagesDir), c.Cache.LimitBytes)
	if err != nil {
		return nil, err
	}
	archive, err := w.openArchive()
	if err != nil {
		return nil, err
	}
	fetcher, err := w.fetcher(ctx, archive, recipe, lock)
	if err != nil {
		return nil, err
	}
	var waivers []*control.Waiver
	if recipe.Scanned() {
		if waivers, err = w.recipes.Waivers(recipe.ControlSet(), strayKinds()); err != nil {
			return nil, err
		}
	}
	advisor, err := w.env.advisor()
	if err != nil {
		return nil, err
	}
	return &builder.Builder{
		Archive:     archive,
		Advisor:     advisor,
		Fetch:       fetcher,
		Unpacked:    &deb.Cache{Dir: filepath.Join(c.Cache.Dir, unpackedDir)},
		Stages:      stages,
		LayerCache:  filepath.Join(c.Cache.Dir, layersDir),
		ScanDir:     filepath.Join(c.Cache.Dir, scansDir),
		SCAPContent: c.OpenSCAP.Content,
		Waivers:     waivers,
		Report:      w.env.reporter(),
		WriteLock:   w.lockWriter(ctx, recipe, lock),
		Program:     "imgbuild " + version,
	}, nil
}

// lockWriter completes the lock that a bake has begun with.
func (w *workshop) lockWriter(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) func(*updates.Lock) error {
	was := lock.Digest()
	return func(l *updates.Lock) error {
		return l.Complete(ctx, w.project.LockFile(recipe), was)
	}
}

// addCatalog opens what versions are committed to and signed with.
func (w *workshop) addCatalog(ctx context.Context, b *builder.Builder) error {
	key, made, err := w.project.SigningKey(w.env.ask())
	if err != nil {
		return err
	}
	if made != nil {
		w.env.reporter().Note("made a signing key for you in %s; its password is in %s", made.Dir, made.PasswordFile)
	}
	b.Key, b.Who = key, orMe("")
	// After the key: a new one is trusted from now on.
	b.Catalog, err = w.env.catalogAt(ctx, w.project, w.project.Config.Catalog)
	if err != nil {
		return err
	}
	b.Trust, err = w.project.Trust(w.project.Config.Catalog)
	return err
}

// fetcher seeks what the archive lacks: in the project, in the configured
// sources, on the mirror, and in a snapshot service where one is configured.
func (w *workshop) fetcher(ctx context.Context, archive *updates.Store, recipe *baseline.Recipe, lock *updates.Lock) (*fetch.Fetcher, error) {
	own := map[string]string{}
	for name, s := range recipe.Sources {
		if s.URL != "" {
			own[name] = s.URL
		}
	}
	f, err := w.env.lockFetcher(w.project, archive, lock, own)
	if err != nil {
		return nil, err
	}
	f.Baseline, f.Client = recipe.Typed(), w.client
	if locker, err := w.locker(); err == nil {
		f.Offered = locker.Offered(ctx, recipe)
	}
	return f, nil
}

// lockFetcher seeks the packages of a lock; own are the addresses of repositories
// that are not Debian's, by archive.
func (e *environment) lockFetcher(p *project.Project, archive *updates.Store, lock *updates.Lock, own map[string]string) (*fetch.Fetcher, error) {
	f := &fetch.Fetcher{Store: archive, Baseline: lock.Baseline, Reporter: e.reporter()}
	if p.Dir != "" {
		f.Sources = append(f.Sources, fetch.Project{Dir: p.Dir})
	}
	for _, place := range p.Config.Archive.Sources {
		source, err := fetch.ParseSource(place)
		if err != nil {
			return nil, err
		}
		f.Sources = append(f.Sources, source)
	}
	bases := maps.Clone(own)
	for _, archive := range []string{host.ArchiveDebian, host.ArchiveSecurity} {
		// A host without apt can still bake from its archive alone.
		if base, err := p.Mirror(archive, lock.Suite); err == nil {
			bases[archive] = base
		}
	}
	f.Sources = append(f.Sources, fetch.Mirror{Bases: bases})
	if p.Config.Snapshot != "" {
		f.Sources = append(f.Sources, fetch.Snapshot{Base: p.Config.Snapshot, Releases: lock.Releases})
	}
	return f, nil
}

// lockFor returns the baseline's lock; made is true when there is none yet, so
// that what is returned was resolved now and is not written.
func (w *workshop) lockFor(ctx context.Context, recipe *baseline.Recipe) (lock *updates.Lock, made bool, err error) {
	lock, err = builder.ReadLock(w.project.LockFile(recipe))
	if lock != nil || err != nil {
		return lock, false, err
	}
	locker, err := w.locker()
	if err != nil {
		return nil, false, err
	}
	approval, err := w.approval(ctx, recipe, nil)
	if err != nil {
		return nil, false, err
	}
	lock, err = locker.Lock(ctx, recipe, builder.LockOptions{Approval: approval})
	return lock, true, placeUnknown(recipe, err)
}

// keepLock writes a recipe's first lock, which is approved by that, and says so. key
// may be nil, and is then the project's.
func (w *workshop) keepLock(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock, key *signing.Key) error {
	path := w.project.LockFile(recipe)
	if _, err := w.approveLock(ctx, recipe, nil, lock, key); err != nil {
		return err
	}
	if err := lock.Replace(ctx, path, updates.NoLock); err != nil {
		return err
	}
	w.env.reporter().Note("locked %d packages of today in %s (policy.mode: %s); later bakes use this lock until told otherwise",
		len(lock.Packages), path, w.project.Config.Policy.Mode)
	return nil
}
