package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"imgbuild/builder/project"
	"imgbuild/images/catalog"
	"imgbuild/images/signing"
)

// fixtureImage is a program of the scripts: "fixture-image web" puts a version
// with a disk of a few bytes into the catalog of the project here; "on IMAGE"
// after it names the version it was baked on, "recipe JSON" what its signed
// recipe says, "stage ID" what its disk stands on. What is tested is how versions are shown and moved, so none needs
// to boot.
func fixtureImage() {
	if err := makeFixture(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func makeFixture(ctx context.Context, args []string) error {
	p, err := project.Open(project.Options{})
	if err != nil {
		return err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return err
	}
	c, err := catalog.Open(ctx, catalog.Config{Location: p.Config.Catalog, Trust: trust})
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
		return attachRecipe(ctx, a, v, recipe, key)
	})
	if err != nil {
		return err
	}
	fmt.Println(made.Ref())
	return nil
}

func attachRecipe(ctx context.Context, a *catalog.Attacher, v *catalog.Version, recipe string, key *signing.Key) error {
	envelope, err := signing.SignStatement(ctx, signing.Statement{
		Subjects: []signing.Subject{
			{Name: v.Baseline, Digest: v.Index.Digest.String()},
			{Name: v.Baseline + "/raw", Digest: v.Disks[0].Manifest.Digest.String()},
		},
		PredicateType: signing.PredicateRecipe, Predicate: []byte(recipe), SignedAt: v.Baked,
	}, key)
	if err != nil {
		return err
	}
	artifact, err := signing.AttestationReferrer(v.Index, envelope)
	if err != nil {
		return err
	}
	return a.Put(ctx, artifact)
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
