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
	"time"

	"imgbuild/builder/stage"
	"imgbuild/builder/tree"
	"imgbuild/images/catalog"
	"imgbuild/images/integrity"
	"imgbuild/images/signing"
)

// evidenceFormat is the format of the stages that describe a sealed root.
const evidenceFormat = 1

// manifestName is the file of an evidence stage with the integrity manifest.
const manifestName = "manifest.mtree"

// evidence describes a sealed root; which is "root" or "boot".
func (p *planner) evidence(parent stage.ID, which string) Step {
	in := p.common()
	return Step{
		Definition: stage.Definition{Name: "evidence-" + which, Kind: "evidence", Format: evidenceFormat, Parent: parent, Inputs: in},
		Title:      "evidence of " + which,
		output:     true,
		make: func(ctx context.Context, s *site) (any, error) {
			entries, err := tree.Walk(ctx, s.root)
			if err != nil {
				return nil, err
			}
			manifest, err := integrity.NewManifest(entries)
			if err != nil {
				return nil, err
			}
			return nil, writeFile(filepath.Join(s.out, manifestName), manifest.WriteMtree)
		},
	}
}

// attest attaches the evidence of a version: what its outputs consist of, what
// it was made from, each signed; and the signatures that cosign looks for.
func (b *Builder) attest(ctx context.Context, plan *Plan, made *outputs, started time.Time, a *catalog.Attacher, v *catalog.Version) error {
	subjects := []signing.Subject{{Name: v.Baseline, Digest: v.Index.Digest.String()}}
	if v.Container != nil {
		subjects = append(subjects, signing.Subject{Name: v.Baseline + "/container", Digest: v.Container.Digest.String()})
	}
	for _, d := range v.Disks {
		subjects = append(subjects, signing.Subject{Name: v.Baseline + "/" + d.Format, Digest: d.Manifest.Digest.String()})
	}
	say := func(predicateType string, predicate []byte) error {
		envelope, err := signing.SignStatement(ctx, signing.Statement{
			Subjects: subjects, PredicateType: predicateType, Predicate: predicate, SignedAt: started,
		}, b.Key)
		if err != nil {
			return err
		}
		artifact, err := signing.AttestationReferrer(v.Index, envelope)
		if err != nil {
			return err
		}
		return a.Put(ctx, artifact)
	}
	for i, s := range made.evidence {
		output := []string{"container", "disk"}[i]
		if err := b.attestRoot(ctx, output, s, a, say); err != nil {
			return fmt.Errorf("evidence of the %s: %w", output, err)
		}
	}
	return b.signImages(ctx, started, a, v)
}

// attestRoot attaches what an evidence stage found.
func (b *Builder) attestRoot(ctx context.Context, output string, s *stage.Stage, a *catalog.Attacher, say func(string, []byte) error) error {
	manifest, err := os.ReadFile(filepath.Join(s.Diff(), manifestName))
	if err != nil {
		return err
	}
	_, err = a.Attach(ctx, signing.PredicateIntegrity, integrity.MediaType, manifest, map[string]string{"io.imgbuild.output": output})
	if err != nil {
		return err
	}
	predicate, err := json.Marshal(signing.IntegrityPredicate{
		MediaType: integrity.MediaType, Digest: "sha256:" + digestOf(manifest), Size: int64(len(manifest)), Output: output,
	})
	if err != nil {
		return err
	}
	return say(signing.PredicateIntegrity, predicate)
}

// signImages makes cosign's signatures of the index and the container image.
func (b *Builder) signImages(ctx context.Context, at time.Time, a *catalog.Attacher, v *catalog.Version) error {
	digests := []string{v.Index.Digest.String()}
	if v.Container != nil {
		digests = append(digests, v.Container.Digest.String())
	}
	for _, d := range digests {
		signature, err := signing.SignImage(ctx, v.Baseline, d, at, b.Key)
		if err != nil {
			return err
		}
		artifact, err := signing.SignatureArtifact(d, []signing.ImageSignature{signature})
		if err != nil {
			return err
		}
		if err := a.Put(ctx, artifact); err != nil {
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
