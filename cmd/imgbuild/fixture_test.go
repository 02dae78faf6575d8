package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/builder"
	"imgbuild/builder/project"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/images/signing"
)

// fixtureImage is a program of the scripts: "fixture-image web" puts a version
// with a disk of a few bytes into the catalog of the project here; "on IMAGE"
// after it names the version it was baked on, "recipe JSON" what its signed
// recipe says, "stage ID" what its disk stands on, "held RESULTS" what came of
// the project's controls, "motd=pass,issue=fail". What is tested is how versions are shown and moved, so none needs
// to boot.
func fixtureImage() {
	if err := makeFixture(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// openFixture opens the project of a script, and its catalog.
func openFixture(ctx context.Context) (*project.Project, *catalog.Catalog, error) {
	p, err := project.Open(project.Options{})
	if err != nil {
		return nil, nil, err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, nil, err
	}
	c, err := catalog.Open(ctx, catalog.Config{Location: p.Config.Catalog, Trust: trust})
	return p, c, err
}

func makeFixture(ctx context.Context, args []string) error {
	p, c, err := openFixture(ctx)
	if err != nil {
		return err
	}
	what := catalog.New{Baked: time.Now(), Stages: map[string]string{"root": "0000"}}
	recipe := "{}"
	if len(args) == 3 && args[1] == "recipe" {
		recipe = args[2]
	}
	if len(args) == 3 && args[1] == "stage" {
		what.Stages["boot"] = args[2]
	}
	if len(args) == 3 && args[1] == "on" {
		parent, err := c.Resolve(ctx, args[2], catalog.RefuseRevoked)
		if err != nil {
			return err
		}
		what.Parent = &catalog.Ancestor{Baseline: parent.Baseline, Version: parent.Number, Digest: parent.Index.Digest}
	}
	draft, err := c.Begin(ctx, args[0])
	if err != nil {
		return err
	}
	defer draft.Close()
	disk := filepath.Join(p.DataDir(), "disk.raw")
	if err := os.WriteFile(disk, []byte(args[0]+time.Now().String()), 0o644); err != nil {
		return err
	}
	added, err := draft.AddDisk(ctx, "raw", "amd64", disk)
	if err != nil {
		return err
	}
	what.Disks = []catalog.Disk{added}
	key, _, err := p.SigningKey(nil)
	if err != nil {
		return err
	}
	made, err := draft.Commit(ctx, what, func(ctx context.Context, a *catalog.Attacher, v *catalog.Version) error {
		signature, err := signing.SignImage(ctx, v.Baseline, v.Index.Digest.String(), what.Baked, key)
		if err != nil {
			return err
		}
		artifact, err := signing.SignatureArtifact(v.Index.Digest.String(), []signing.ImageSignature{signature})
		if err != nil {
			return err
		}
		if err := a.Put(ctx, artifact); err != nil {
			return err
		}
		return attach(ctx, a, v, signing.PredicateRecipe, []byte(recipe), key)
	})
	if err != nil {
		return err
	}
	if len(args) == 3 && args[1] == "held" {
		if err := attachHeld(ctx, c, made, args[2], key); err != nil {
			return err
		}
	}
	fmt.Println(made.Ref())
	return nil
}

// attachHeld attaches the project's controls as they are defined now, and a report
// with results.
func attachHeld(ctx context.Context, c *catalog.Catalog, v *catalog.Version, results string, key *signing.Key) error {
	set, err := newEnvironment("imgbuild", os.Stdin, os.Stdout, os.Stderr).controlSet()
	if err != nil {
		return err
	}
	definitions, err := set.Definitions("debian-12", map[control.Output][]*control.Control{})
	if err != nil {
		return err
	}
	var findings []control.Finding
	for _, word := range strings.Split(results, ",") {
		id, result, _ := strings.Cut(word, "=")
		findings = append(findings, control.Finding{Control: id, Title: set.Controls[id].Title, Severity: set.Controls[id].Severity, Result: control.Result(result)})
	}
	text, err := json.Marshal(definitions)
	if err != nil {
		return err
	}
	statement, err := signStatement(ctx, v, signing.PredicateControls, text, key)
	if err != nil {
		return err
	}
	if err := c.PutTagged(ctx, v, statement); err != nil {
		return err
	}
	return builder.AttachReport(ctx, c, v, key, &report.Report{
		Target: v.Ref(), At: time.Now(), Report: set.NewReport("debian-12", control.Machine, findings, 2), Drift: []integrity.Difference{}, Strays: []report.Stray{},
	})
}

func attach(ctx context.Context, a *catalog.Attacher, v *catalog.Version, predicateType string, predicate []byte, key *signing.Key) error {
	artifact, err := signStatement(ctx, v, predicateType, predicate, key)
	if err != nil {
		return err
	}
	return a.Put(ctx, artifact)
}

func signStatement(ctx context.Context, v *catalog.Version, predicateType string, predicate []byte, key *signing.Key) (signing.Artifact, error) {
	envelope, err := signing.SignStatement(ctx, signing.Statement{
		Subjects: []signing.Subject{
			{Name: v.Baseline, Digest: v.Index.Digest.String()},
			{Name: v.Baseline + "/raw", Digest: v.Disks[0].Manifest.Digest.String()},
		},
		PredicateType: predicateType, Predicate: predicate, SignedAt: v.Baked,
	}, key)
	if err != nil {
		return signing.Artifact{}, err
	}
	return signing.AttestationReferrer(v.Index, envelope)
}

// fixtureDamage is a program of the scripts: "fixture-damage IMAGE" takes away
// the index of a version from the catalog of the project here.
func fixtureDamage() {
	if err := damageFixture(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func damageFixture(ctx context.Context, image string) error {
	p, err := project.Open(project.Options{})
	if err != nil {
		return err
	}
	c, err := catalog.Open(ctx, catalog.Config{Location: p.Config.Catalog})
	if err != nil {
		return err
	}
	v, err := c.Resolve(ctx, image, catalog.AllowRevoked)
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(p.Config.Catalog, v.Baseline, "blobs", "sha256", v.Index.Digest.Encoded()))
}
