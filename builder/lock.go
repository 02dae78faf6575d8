package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/repo"
	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/provisioners"
)

// Locker makes locks: the one part of the work that reads what a mirror offers
// now.
type Locker struct {
	// Client reads the repositories.
	Client *repo.Client
	// Mirror tells the base URL of an archive for a suite.
	Mirror func(archive, suite string) (string, error)
	// Keys are the keys that sign Debian's releases.
	Keys repo.Keyring
	// Archive takes in the recipe's own package files.
	Archive *updates.Store
}

// LockOptions say how far a new lock may move from the previous one.
type LockOptions struct {
	// Previous is the lock to stay close to; nil for a first one.
	Previous *updates.Lock
	// Fresh takes the latest of everything.
	Fresh bool
	// Update names packages that move to their latest version.
	Update []string
	// WithoutSecurity resolves as if the distribution's security suite were not there,
	// and the lock says so.
	WithoutSecurity bool
	// Approval binds the lock to what is approved, of which it then takes the latest of
	// everything, or of what Update names; nil when policy.mode is open.
	Approval *Approval
	// Named makes it a Held fault, with an Approval, that a package which Update names
	// stays where it is because nothing newer is approved. Without it, it just stays.
	Named bool
}

// Lock resolves a recipe against what its repositories offer now.
func (l *Locker) Lock(ctx context.Context, recipe *baseline.Recipe, o LockOptions) (*updates.Lock, error) {
	if o.Previous != nil {
		if err := sameArchitecture(recipe, o.Previous); err != nil {
			return nil, err
		}
	}
	request, err := l.request(ctx, recipe, o)
	if err != nil {
		return nil, err
	}
	var lock *updates.Lock
	if o.Approval != nil {
		lock, err = l.makeApproved(ctx, request, o)
	} else {
		lock, err = debian.Make(ctx, l.Client, request)
	}
	if err != nil {
		return nil, err
	}
	lock.WithoutSecurity = o.WithoutSecurity
	lock.Request, err = requestDigest(recipe)
	return lock, err
}

// requestDigest is the SHA-256 of what is resolved of a recipe.
func requestDigest(recipe *baseline.Recipe) (string, error) {
	type generation struct {
		Name                 string
		Packages, Priorities []string
	}
	request := struct {
		Generations []generation
		Recommends  bool
		Boot        []string
		Sources     map[string]baseline.PackageSource
	}{Recommends: recipe.Recommends, Sources: maps.Clone(recipe.Sources)}
	for name, s := range request.Sources {
		s.Advisories = "" // is about what comes of them
		request.Sources[name] = s
	}
	for _, g := range recipe.Chain() {
		request.Generations = append(request.Generations, generation{g.Name, g.Packages, g.Priorities})
	}
	var err error
	if request.Boot, err = bootPackages(recipe); err != nil {
		return "", err
	}
	data, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("digesting what %s asks for: %w", recipe.Name, err)
	}
	return digestOf(data), nil
}

func (l *Locker) request(ctx context.Context, recipe *baseline.Recipe, o LockOptions) (debian.Request, error) {
	request := debian.Request{
		Baseline: recipe.Name, Suite: recipe.Suite, Architecture: recipe.Architecture,
		Previous: o.Previous, Fresh: o.Fresh, Update: o.Update,
		Control: l.archivedControl,
	}
	for _, g := range recipe.Chain() {
		request.Generations = append(request.Generations, debian.Generation{
			Name: g.Name, Packages: g.Packages, Priorities: g.Priorities, Recommends: recipe.Recommends,
		})
	}
	var err error
	if request.Boot, err = bootPackages(recipe); err != nil {
		return request, err
	}
	if recipe.Outputs.VM != nil {
		request.Tools = debian.DefaultTools(recipe.Architecture)
	}
	mirror, err := l.Mirror(debian.ArchiveDebian, recipe.Suite)
	if err != nil {
		return request, err
	}
	security, err := l.Mirror(debian.ArchiveSecurity, recipe.Suite+"-security")
	if err != nil {
		return request, err
	}
	request.Sources = debian.DebianSources(recipe.Suite, mirror, security, nil, l.Keys)
	if o.WithoutSecurity {
		request.Sources = slices.DeleteFunc(request.Sources, func(s repo.Source) bool { return s.Archive == debian.ArchiveSecurity })
	}
	for _, name := range sortedKeys(recipe.Sources) {
		if err := l.addSource(ctx, &request, name, recipe.Sources[name]); err != nil {
			return request, fmt.Errorf("source %s: %w", name, err)
		}
	}
	return request, nil
}

// bootPackages are what outputs that boot have besides the root: what the recipe
// lists, and what its controls for machines want; of a choice the first, unless
// the recipe has another one. A control that is applicable to some systems only
// brings nothing: whether it is, is known when all is installed.
func bootPackages(recipe *baseline.Recipe) ([]string, error) {
	if recipe.Outputs.VM == nil {
		return nil, nil
	}
	controls, err := provisioners.DecodeControls(recipe.Hardening(control.Machine), recipe.Values())
	if err != nil {
		return nil, err
	}
	list := recipe.Boot.Packages
	for _, c := range controls {
		if c.When != nil {
			continue
		}
		present, _ := provisioners.Packages(c.Resources())
		for _, choice := range present {
			if !slices.ContainsFunc(choice, func(name string) bool {
				return slices.Contains(list, name) || slices.Contains(recipe.Packages, name)
			}) {
				list = append(slices.Clip(list), choice[0])
			}
		}
	}
	return list, nil
}

// Offered returns a function that tells which versions of a package the
// recipe's repositories offer now, for the error about one that is gone. It
// reads them on its first call and says nothing when it cannot.
func (l *Locker) Offered(ctx context.Context, recipe *baseline.Recipe) func(name string) string {
	versions := sync.OnceValue(func() map[string][]string {
		request, err := l.request(ctx, recipe, LockOptions{})
		if err != nil {
			return nil
		}
		indexes, err := l.Client.Read(ctx, recipe.Architecture, request.Sources)
		if err != nil {
			return nil
		}
		found := map[string][]string{}
		for _, index := range indexes {
			for _, p := range index.Packages {
				found[p.Name] = append(found[p.Name], p.Version+" in "+index.Source.Suite)
			}
		}
		return found
	})
	return func(name string) string { return strings.Join(versions()[name], ", ") }
}

// addSource adds a further repository or local package file of the recipe.
func (l *Locker) addSource(ctx context.Context, request *debian.Request, name string, s baseline.PackageSource) error {
	if s.Deb != nil {
		local, err := l.local(ctx, s)
		if err != nil {
			return err
		}
		request.Locals = append(request.Locals, local)
		return nil
	}
	data, err := readProjectFile(s.Key)
	if err != nil {
		return err
	}
	keys, err := repo.ParseKeyring(s.Key.Name, data)
	if err != nil {
		return err
	}
	only, err := keys.Only(s.Fingerprint)
	if err != nil {
		return err
	}
	components := s.Components
	if len(components) == 0 {
		components = []string{"main"}
	}
	request.Sources = append(request.Sources, repo.Source{Archive: name, URL: s.URL, Suite: s.Suite, Components: components, Keys: only})
	return nil
}

// local takes a package file of the project into the archive.
func (l *Locker) local(ctx context.Context, s baseline.PackageSource) (debian.Local, error) {
	if s.Deb.SHA256 != s.SHA256 {
		return debian.Local{}, fault.Worldf("package file %s has SHA-256 %s, the recipe says %s", s.Deb.Name, s.Deb.SHA256, s.SHA256)
	}
	f, err := s.Deb.Open()
	if err != nil {
		return debian.Local{}, err
	}
	defer f.Close()
	if err := l.Archive.Put(ctx, s.SHA256, s.Deb.Size, f); err != nil {
		return debian.Local{}, err
	}
	control, err := l.archivedControl(ctx, updates.Package{Name: s.Deb.Name, SHA256: s.SHA256, Size: s.Deb.Size})
	if err != nil {
		return debian.Local{}, err
	}
	return debian.Local{Path: s.Deb.Name, SHA256: s.SHA256, Size: s.Deb.Size, Control: control}, nil
}

// archivedControl reads the control paragraph of a package file in the archive.
func (l *Locker) archivedControl(ctx context.Context, p updates.Package) (string, error) {
	f, err := l.Archive.OpenFile(p.SHA256)
	if err != nil {
		return "", err
	}
	defer f.Close()
	control, err := deb.Read(ctx, p.Name, p.Size, f, func(deb.Control, *deb.Entry, io.Reader) error { return nil })
	if err != nil {
		return "", err
	}
	return string(control["control"].Data), nil
}

func readProjectFile(f *node.File) ([]byte, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var out bytes.Buffer
	if _, err := io.Copy(&out, in); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// ReadLock reads a baseline's lock; a missing one is nil and no error.
func ReadLock(path string) (*updates.Lock, error) {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil, nil
	}
	return updates.ReadLock(path)
}

// fits refuses a lock that was made for something else than the recipe.
func fits(recipe *baseline.Recipe, lock *updates.Lock) error {
	if err := sameArchitecture(recipe, lock); err != nil {
		return err
	}
	if recipe.Suite != lock.Suite {
		return fault.Inputf("the lock of %s is for %s, the recipe is for %s", recipe.Name, lock.Suite, recipe.Suite).
			WithHint("lock it anew: %s --fresh", lockCommand(recipe))
	}
	digest, err := requestDigest(recipe)
	if err != nil {
		return err
	}
	if lock.Request != "" && lock.Request != digest {
		return fault.Inputf("%s asks for other packages than its lock was made for", recipe.Name).
			WithHint("add what is missing: %s", lockCommand(recipe))
	}
	return nil
}

// sameArchitecture refuses the lock of another architecture, also to be
// replaced: each has a file of its own, so this one has only a wrong name.
func sameArchitecture(recipe *baseline.Recipe, lock *updates.Lock) error {
	if recipe.Architecture == lock.Architecture {
		return nil
	}
	return fault.Inputf("the lock of %s for %s is one for %s", recipe.Name, recipe.Architecture, lock.Architecture).
		WithHint("rename its file to %s.%s.lock (without .%[2]s if that is the recipe's first architecture), then: %s",
			recipe.Name, lock.Architecture, lockCommand(recipe))
}

// lockCommand is what the user types to lock a recipe.
func lockCommand(recipe *baseline.Recipe) string {
	return "imgbuild lock " + recipe.Typed()
}
