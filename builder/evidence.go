package builder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/disk"
	"imgbuild/builder/stage"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/provenance"
	"imgbuild/images/sbom"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
	"imgbuild/provisioners/tree"
)

// evidenceFormat is the format of the stages that describe a sealed root.
const evidenceFormat = 5

// The files of an evidence stage.
const (
	manifestName  = "manifest.mtree"
	cycloneDXName = "sbom.cdx.json"
	spdxName      = "sbom.spdx.json"
)

// evidence describes the sealed root of an output.
func (p *planner) evidence(parent stage.ID, output sbom.Output) Step {
	in := p.common()
	in.Add("epoch", fmt.Sprint(p.lock.Epoch))
	p.addMutable(&in)
	var loaders []updates.Package
	if output == sbom.Disk {
		loaders = disk.LoaderPackages(p.lock)
		addPackages(&in, loaders)
	}
	return Step{
		Definition: stage.Definition{Name: "evidence-" + string(output), Kind: "evidence", Format: evidenceFormat, Parent: parent, Inputs: in},
		Title:      "evidence of the " + string(output),
		output:     true,
		make: func(ctx context.Context, s *site) (any, error) {
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error {
				entries, err := tree.Walk(ctx, s.root)
				if err != nil {
					return err
				}
				manifest, err := integrity.NewManifest(entries, p.classes)
				if err != nil {
					return err
				}
				return writeFile(filepath.Join(s.out, manifestName), manifest.WriteMtree)
			})
			group.Go(func() error {
				return withRoot(s.root, func(root *os.Root) error {
					inventory, err := sbom.FromRoot(root.FS(), s.plan.Lock, sbom.Image{
						Name: s.plan.Recipe.Name, ID: string(parent), Output: output,
						Distribution: baseline.Distribution, DistributionVersion: baseline.Release(s.plan.Lock.Suite),
						Loaders: loaders,
					})
					if err != nil {
						return err
					}
					return errors.Join(
						writeFile(filepath.Join(s.out, cycloneDXName), inventory.CycloneDX),
						writeFile(filepath.Join(s.out, spdxName), inventory.SPDX))
				})
			})
			return nil, group.Wait()
		},
	}
}

// attest attaches the evidence of a version: what its outputs consist of and
// what it was made from, each signed, and the signatures that cosign looks for.
func (b *Builder) attest(ctx context.Context, plan *Plan, made *outputs, started time.Time, a *catalog.Attacher, v *catalog.Version) error {
	w := witness{builder: b, plan: plan, at: started, to: a, version: v}
	for _, described := range made.evidence {
		output := sbom.Output(strings.TrimPrefix(described.Definition.Name, "evidence-"))
		if output == sbom.Container && v.Container == nil {
			continue // nobody gets that root without the boot layer
		}
		if err := w.describe(ctx, described, output); err != nil {
			return fmt.Errorf("%s: %w", described.Definition.Name, err)
		}
	}
	recipe, err := plan.Recipe.Canonical()
	if err != nil {
		return err
	}
	if err := w.say(ctx, signing.PredicateRecipe, recipe, sbom.Container, sbom.Disk); err != nil {
		return fmt.Errorf("recipe: %w", err)
	}
	if err := w.controls(ctx); err != nil {
		return fmt.Errorf("definitions of controls: %w", err)
	}
	if err := w.provenance(ctx, digestOf(recipe)); err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	return w.signImages(ctx)
}

// subjectsOf are a version and those of its outputs that a statement speaks of.
func subjectsOf(v *catalog.Version, outputs ...sbom.Output) []signing.Subject {
	subjects := []signing.Subject{{Name: v.Baseline, Digest: v.Index.Digest.String()}}
	if v.Container != nil && slices.Contains(outputs, sbom.Container) {
		subjects = append(subjects, signing.Subject{Name: v.Baseline + "/container", Digest: v.Container.Digest.String()})
	}
	if slices.Contains(outputs, sbom.Disk) {
		for _, d := range v.Disks {
			subjects = append(subjects, signing.Subject{Name: v.Baseline + "/" + d.Format, Digest: d.Manifest.Digest.String()})
		}
	}
	return subjects
}

// witness signs what is said of one version.
type witness struct {
	builder *Builder
	plan    *Plan
	at      time.Time
	to      *catalog.Attacher
	version *catalog.Version
}

// describe attaches what an evidence stage found of one output.
func (w *witness) describe(ctx context.Context, s *stage.Stage, output sbom.Output) error {
	manifest, err := os.ReadFile(filepath.Join(s.Diff(), manifestName))
	if err != nil {
		return err
	}
	if _, err := w.to.Attach(ctx, integrity.MediaType, integrity.MediaType, manifest, map[string]string{"io.imgbuild.output": string(output)}); err != nil {
		return err
	}
	predicate, err := json.Marshal(signing.IntegrityPredicate{
		MediaType: integrity.MediaType, Digest: "sha256:" + digestOf(manifest), Size: int64(len(manifest)), Output: string(output),
	})
	if err != nil {
		return err
	}
	if err := w.say(ctx, signing.PredicateIntegrity, predicate, output); err != nil {
		return err
	}
	for file, predicateType := range map[string]string{cycloneDXName: signing.PredicateCycloneDX, spdxName: signing.PredicateSPDX} {
		document, err := os.ReadFile(filepath.Join(s.Diff(), file))
		if err != nil {
			return err
		}
		if err := w.say(ctx, predicateType, document, output); err != nil {
			return err
		}
	}
	return nil
}

// say signs and attaches a statement about the given outputs.
func (w *witness) say(ctx context.Context, predicateType string, predicate []byte, outputs ...sbom.Output) error {
	return w.attach(ctx, signing.Statement{Subjects: subjectsOf(w.version, outputs...), PredicateType: predicateType, Predicate: predicate, SignedAt: w.at})
}

func (w *witness) attach(ctx context.Context, s signing.Statement) error {
	envelope, err := signing.SignStatement(ctx, s, w.builder.Key)
	if err != nil {
		return err
	}
	artifact, err := signing.AttestationReferrer(w.version.Index, envelope)
	if err != nil {
		return err
	}
	return w.to.Put(ctx, artifact)
}

// controls says how the controls are defined that the version is held against, so
// that it can be told later what changed.
func (w *witness) controls(ctx context.Context) error {
	recipe := w.plan.Recipe
	if !recipe.Scanned() {
		return nil
	}
	applied := map[control.Output][]*control.Control{}
	for _, output := range []control.Output{control.Container, control.Machine} {
		applied[output] = recipe.Hardening(output)
	}
	definitions, err := recipe.ControlSet().Definitions(recipe.Platform(), applied)
	if err != nil {
		return err
	}
	predicate, err := json.Marshal(definitions)
	if err != nil {
		return err
	}
	return w.say(ctx, signing.PredicateControls, predicate, sbom.Container, sbom.Disk)
}

// provenance says what the version was made from; recipe is the digest of the
// recipe's canonical form.
func (w *witness) provenance(ctx context.Context, recipe string) error {
	name, version, _ := strings.Cut(w.builder.Program, " ")
	bake := provenance.Bake{
		Subjects: subjectsOf(w.version, sbom.Container, sbom.Disk), Lock: w.plan.Lock, LockSHA256: digestOf(w.plan.Lock.Marshal()),
		Sets: []updates.Set{updates.Root}, Recipe: []provenance.Part{{Name: w.plan.Recipe.Name, SHA256: recipe}},
		Distribution: baseline.Distribution, DistributionVersion: baseline.Release(w.plan.Lock.Suite),
		Builder: provenance.Builder{ID: "urn:imgbuild:builder", Version: map[string]string{name: version}},
		Started: w.at, Finished: time.Now(),
	}
	if w.plan.Disk != nil {
		bake.Sets = append(bake.Sets, updates.Boot, updates.Tools)
	}
	for _, s := range w.plan.Steps() {
		bake.Stages = append(bake.Stages, provenance.Stage{Name: s.Name, ID: string(s.ID())})
		if s.Kind == "provision" {
			for _, in := range s.Inputs {
				bake.Recipe = append(bake.Recipe, part(s, in)...)
			}
			for _, f := range s.files {
				bake.Recipe = append(bake.Recipe, provenance.Part{Name: f.Name, SHA256: f.SHA256})
			}
		}
	}
	statement, err := bake.Statement()
	if err != nil {
		return err
	}
	return w.attach(ctx, statement)
}

// part is an input of a provision stage that stands for content: a resource or
// a script by its digest.
func part(s Step, in stage.Input) []provenance.Part {
	if len(in.Value) != 64 {
		return nil
	}
	return []provenance.Part{{Name: s.Name + ": " + in.Name, SHA256: in.Value}}
}

// signImages makes cosign's signatures of the index and the container image.
func (w *witness) signImages(ctx context.Context) error {
	digests := []string{w.version.Index.Digest.String()}
	if w.version.Container != nil {
		digests = append(digests, w.version.Container.Digest.String())
	}
	for _, d := range digests {
		signature, err := signing.SignImage(ctx, w.version.Baseline, d, w.at, w.builder.Key)
		if err != nil {
			return err
		}
		artifact, err := signing.SignatureArtifact(d, []signing.ImageSignature{signature})
		if err != nil {
			return err
		}
		if err := w.to.Put(ctx, artifact); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file by a function that writes to a stream.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	return errors.Join(write(out), out.Flush(), f.Close())
}
