package provenance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"imgbuild/images/sbom"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// Kind is what an input is.
type Kind string

// The kinds of input, in the order they are listed.
const (
	Lock    Kind = "lock"
	Recipe  Kind = "recipe"
	Release Kind = "release"
	Package Kind = "package"
)

// The annotations of an input.
const (
	kindAnnotation    = "imgbuild.kind"
	setAnnotation     = "imgbuild.set"
	archiveAnnotation = "imgbuild.archive"
)

// Bake is all that provenance has to say of one bake.
type Bake struct {
	// Subjects are the outputs by digest.
	Subjects []signing.Subject
	// Lock is what was baked from, LockSHA256 the digest of its file.
	Lock       *updates.Lock
	LockSHA256 string
	// Sets are those of the lock's packages that took part.
	Sets []updates.Set
	// Recipe are the recipe's parts by digest: the resolved recipe itself, each
	// resource and script, and each file of the project that they bring.
	Recipe []Part
	// Distribution and its version are ID and VERSION_ID of os-release.
	Distribution, DistributionVersion string
	// Settings are parameters beside architecture and epoch.
	Settings map[string]string
	Stages   []Stage
	Builder  Builder
	// Started and Finished are kept in whole seconds.
	Started, Finished time.Time
}

// Part is one part of a recipe.
type Part struct {
	Name string
	// SHA256 is in lower-case hex.
	SHA256 string
}

// Statement returns the provenance as an in-toto statement, dated at the end
// of the bake. An input without a digest is an error.
func (b *Bake) Statement() (signing.Statement, error) {
	predicate, err := b.predicate()
	if err != nil {
		return signing.Statement{}, fmt.Errorf("stating provenance: %w", err)
	}
	encoded, err := json.Marshal(predicate)
	if err != nil {
		return signing.Statement{}, fmt.Errorf("stating provenance: %w", err)
	}
	return signing.Statement{
		Subjects: b.Subjects, PredicateType: signing.PredicateProvenance,
		Predicate: encoded, SignedAt: b.Finished,
	}, nil
}

func (b *Bake) predicate() (*Predicate, error) {
	switch {
	case len(b.Sets) == 0:
		return nil, fmt.Errorf("no package set took part")
	case len(b.Recipe) == 0:
		return nil, fmt.Errorf("the recipe has no digest")
	case b.Builder.ID == "":
		return nil, fmt.Errorf("the builder has no id")
	case b.Started.IsZero() || b.Finished.Before(b.Started):
		return nil, fmt.Errorf("the bake ends before it begins")
	}
	p := &Predicate{
		BuildDefinition: Definition{
			BuildType: BuildType,
			ExternalParameters: External{
				Baseline: b.Lock.Baseline, Architecture: b.Lock.Architecture, Epoch: b.Lock.Epoch, Settings: b.Settings,
			},
			InternalParameters:   Internal{Stages: b.Stages},
			ResolvedDependencies: b.inputs(),
		},
		RunDetails: Run{Builder: b.Builder, Metadata: Metadata{StartedOn: whole(b.Started), FinishedOn: whole(b.Finished)}},
	}
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// inputs lists every input in a fixed order: the lock's own, and names within
// a recipe.
func (b *Bake) inputs() []Resource {
	all := []Resource{input(Lock, b.Lock.Baseline, b.LockSHA256)}
	parts := slices.Clone(b.Recipe)
	slices.SortFunc(parts, func(x, y Part) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.SHA256, y.SHA256)) })
	for _, part := range slices.Compact(parts) { // a file may be named twice
		all = append(all, input(Recipe, part.Name, part.SHA256))
	}
	for _, release := range b.Lock.Releases {
		r := input(Release, release.Path, release.SHA256)
		r.Annotations[archiveAnnotation] = release.Archive
		all = append(all, r)
	}
	for _, pkg := range b.Lock.Packages {
		if !slices.Contains(b.Sets, pkg.Set) {
			continue
		}
		r := input(Package, pkg.Name, pkg.SHA256)
		r.URI = sbom.PURL(b.Distribution, b.DistributionVersion, pkg)
		r.Annotations[setAnnotation] = string(pkg.Set)
		if pkg.Archive != "" {
			r.Annotations[archiveAnnotation] = pkg.Archive
		}
		all = append(all, r)
	}
	return all
}

func input(kind Kind, name, sum string) Resource {
	return Resource{Name: name, Digest: map[string]string{"sha256": sum}, Annotations: map[string]string{kindAnnotation: string(kind)}}
}

func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
