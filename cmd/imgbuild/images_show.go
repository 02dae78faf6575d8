package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/integrity"
	"imgbuild/images/signing"
)

// shownImage is the document of images show --output json.
type shownImage struct {
	Image     string            `json:"image"`
	Digest    string            `json:"digest"`
	Baked     time.Time         `json:"baked"`
	Stages    map[string]string `json:"stages"`
	Parent    string            `json:"parent,omitempty"`
	Container string            `json:"container,omitempty"`
	Disks     []shownDisk       `json:"disks,omitempty"`
	// Bytes are the stored sizes of the outputs.
	Bytes    map[string]int64 `json:"bytes"`
	Evidence []shownEvidence  `json:"evidence"`
	// Revocation is the signed record, when there is one.
	Revocation *catalog.Revocation `json:"revocation,omitempty"`
	// Rejected says whether its gates said no; Verdicts are what they said, for
	// all and for customers, oldest first.
	Rejected bool               `json:"rejected"`
	Verdicts []*catalog.Verdict `json:"verdicts,omitempty"`
	Children []string           `json:"children,omitempty"`
}

type shownDisk struct {
	Format       string `json:"format"`
	Architecture string `json:"architecture"`
	Digest       string `json:"digest"`
}

type shownEvidence struct {
	// Name is what people call it: "provenance".
	Name string `json:"name"`
	// Type is the artifact's type; a signed statement's is that of its envelope.
	Type   string `json:"type"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// nameEvidence says what a document attached to a version is.
func nameEvidence(e *catalog.Evidence) string {
	switch e.ArtifactType {
	case signing.EnvelopeMediaType:
		return evidence.Name(e.Annotations["in-toto.io/predicate-type"]) + " (signed statement)"
	case integrity.MediaType:
		return "integrity manifest of the " + e.Annotations["io.imgbuild.output"]
	}
	return e.ArtifactType
}

func newImagesShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "show IMAGE",
		Short:   "Show a version: outputs, ancestry and evidence",
		Long:    "Show what a version consists of, what it was baked on, which evidence is attached\nand whether it is revoked or rejected by its gates. Nothing is verified: images verify\ndoes that.",
		Example: "  imgbuild images show debian-12-nginx\n  imgbuild images show debian-12-nginx:released --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			v, err := find(ctx, c, args[0], catalog.AllowRevoked)
			if err != nil {
				return err
			}
			shown := shownImage{Image: v.Ref(), Digest: v.Index.Digest.String(), Baked: v.Baked, Stages: v.Stages, Evidence: []shownEvidence{}}
			if v.Parent != nil {
				shown.Parent = v.Parent.Baseline + "@" + v.Parent.Digest.String()
			}
			if v.Container != nil {
				shown.Container = v.Container.Digest.String()
			}
			for _, d := range v.Disks {
				shown.Disks = append(shown.Disks, shownDisk{d.Format, d.Architecture, d.Manifest.Digest.String()})
			}
			if shown.Bytes, err = c.Sizes(ctx, v); err != nil {
				return err
			}
			attached, err := c.Evidence(ctx, v, "")
			if err != nil {
				return err
			}
			for _, e := range attached {
				shown.Evidence = append(shown.Evidence, shownEvidence{nameEvidence(e), e.ArtifactType, e.Blob.Digest.String(), e.Blob.Size})
			}
			slices.SortStableFunc(shown.Evidence, func(a, b shownEvidence) int { return strings.Compare(a.Name, b.Name) })
			if shown.Revocation, err = c.Revocation(ctx, v); err != nil {
				return err
			}
			if shown.Verdicts, err = c.Verdicts(ctx, v); err != nil {
				return err
			}
			verdict, err := c.Verdict(ctx, v, "")
			if err != nil {
				return err
			}
			shown.Rejected = verdict.Rejects()
			children, err := c.Children(ctx, v)
			if err != nil {
				return err
			}
			for _, child := range children {
				shown.Children = append(shown.Children, child.Ref())
			}
			next := env.command("run", shown.Image)
			switch {
			case shown.Revocation != nil:
				next = env.command("images", "list", v.Baseline)
			case shown.Rejected:
				next = env.command("scan", shown.Image, "--report", "report.html")
			}
			return env.answer(shown, shown.write, next)
		},
	}
}

func (s shownImage) write(w io.Writer) {
	fmt.Fprintf(w, "%s, baked %s\n", s.Image, s.Baked.Format("2006-01-02 15:04 UTC"))
	if r := s.Revocation; r != nil {
		fmt.Fprintf(w, "  REVOKED    %s, by %s on %s\n", r.Reason, r.Who, r.When.Format(time.DateOnly))
		if r.Cause != "" {
			fmt.Fprintf(w, "  with       %s\n", r.Cause)
		}
		if r.Rollback != "" {
			fmt.Fprintf(w, "  instead    %s\n", r.Rollback)
		}
	}
	for _, verdict := range newestVerdicts(s.Verdicts) {
		writeVerdict(w, verdict)
	}
	fmt.Fprintf(w, "  image      %s\n", s.Digest)
	if s.Container != "" {
		fmt.Fprintf(w, "  container  %s, %.1f MiB\n", s.Container, float64(s.Bytes["container"])/(1<<20))
	}
	for _, d := range s.Disks {
		fmt.Fprintf(w, "  %-9s  %s (%s), %.1f MiB\n", d.Format, d.Digest, d.Architecture, float64(s.Bytes[d.Format])/(1<<20))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Stages)) {
		fmt.Fprintf(w, "  stage      %s %s\n", name, s.Stages[name])
	}
	if s.Parent != "" {
		fmt.Fprintf(w, "  baked on   %s\n", s.Parent)
	}
	for _, child := range s.Children {
		fmt.Fprintf(w, "  child      %s\n", child)
	}
	for _, e := range s.Evidence {
		fmt.Fprintf(w, "  evidence   %s, %d bytes\n", e.Name, e.Bytes)
	}
}
