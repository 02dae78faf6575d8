package catalog

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
)

// The annotations of a version's index, beside org.opencontainers.image.version
// and .created.
const (
	annotationPrefix   = "io.imgbuild."
	annotationBaseline = annotationPrefix + "baseline"
	annotationStage    = annotationPrefix + "stage." // + name
	annotationParent   = annotationPrefix + "parent" // baseline@digest
	annotationParentV  = annotationPrefix + "parent.version"
	annotationFormat   = annotationPrefix + "disk.format"
	annotationArch     = annotationPrefix + "architecture"
)

// The artifact types of disks end in the format's name and version.
const (
	diskTypePrefix = "application/vnd.imgbuild.disk."
	diskTypeSuffix = ".v1"
)

// Version is one image version: an OCI index of a container image and disks.
type Version struct {
	Baseline string
	// Number is YYYYMMDD.N, as the index says.
	Number string
	// Index describes the OCI index; its digest is the version's identity.
	Index ocispec.Descriptor
	// Baked is when the version was committed, UTC.
	Baked time.Time
	// Stages are the ids of the stages that the outputs stand on, by name:
	// "root", "boot".
	Stages map[string]string
	// Parent is the version that this one was baked on; nil without one.
	Parent *Ancestor
	// Container describes the container image's manifest; nil without one.
	Container *ocispec.Descriptor
	// Disks describe the disk artifacts.
	Disks []Disk
	// Annotations are all annotations of the index.
	Annotations map[string]string
}

// Ancestor is the version that another was baked on.
type Ancestor struct {
	Baseline, Version string
	Digest            digest.Digest
}

// Disk is one disk of a version.
type Disk struct {
	// Format is "raw", "qcow2".
	Format string
	// Architecture is the Debian name.
	Architecture string
	// Manifest describes the artifact's manifest.
	Manifest ocispec.Descriptor
}

// Ref is the version's name by number.
func (v *Version) Ref() string { return v.Baseline + ":" + v.Number }

// DigestRef is the version's name by digest.
func (v *Version) DigestRef() string { return v.Baseline + "@" + v.Index.Digest.String() }

// annotate makes the index's annotations.
func (n *New) annotate(baseline, number string) map[string]string {
	a := map[string]string{
		annotationBaseline:               baseline,
		ocispec.AnnotationVersion:        number,
		ocispec.AnnotationCreated:        n.Baked.UTC().Format(time.RFC3339),
		"org.opencontainers.image.title": baseline,
	}
	for name, id := range n.Stages {
		a[annotationStage+name] = id
	}
	if n.Parent != nil {
		a[annotationParent] = n.Parent.Baseline + "@" + n.Parent.Digest.String()
		a[annotationParentV] = n.Parent.Version
	}
	for k, v := range n.Annotations {
		if _, taken := a[k]; !taken && !strings.HasPrefix(k, annotationPrefix) {
			a[k] = v
		}
	}
	return a
}

// parseVersion reads a version's index, and refuses one that says it belongs
// elsewhere: an index copied under another name.
func parseVersion(baseline string, desc ocispec.Descriptor, n *node) (*Version, error) {
	v := &Version{Baseline: baseline, Index: plain(desc), Annotations: n.Annotations, Stages: map[string]string{}}
	if desc.MediaType != ocispec.MediaTypeImageIndex || n.Annotations[annotationBaseline] != baseline {
		return nil, fault.Worldf("%s in %s is not an image version of this baseline", desc.Digest, baseline)
	}
	v.Number = n.Annotations[ocispec.AnnotationVersion]
	if !IsVersion(v.Number) {
		return nil, fault.Worldf("image %s@%s carries the version %q", baseline, desc.Digest, v.Number)
	}
	var err error
	if v.Baked, err = time.Parse(time.RFC3339, n.Annotations[ocispec.AnnotationCreated]); err != nil {
		return nil, fault.Worldf("image %s carries no time of bake", v.Ref()).Because(err)
	}
	for _, k := range slices.Sorted(maps.Keys(n.Annotations)) {
		if name, ok := strings.CutPrefix(k, annotationStage); ok {
			v.Stages[name] = n.Annotations[k]
		}
	}
	if parent, ok := n.Annotations[annotationParent]; ok {
		ref, err := ParseReference(parent)
		if err != nil || ref.Digest == "" {
			return nil, fault.Worldf("image %s carries the parent %q", v.Ref(), parent).Because(err)
		}
		v.Parent = &Ancestor{Baseline: ref.Baseline, Digest: ref.Digest, Version: n.Annotations[annotationParentV]}
	}
	for _, m := range n.Manifests {
		format, isDisk := diskFormat(m.ArtifactType)
		switch {
		case isDisk:
			v.Disks = append(v.Disks, Disk{Format: format, Architecture: m.Annotations[annotationArch], Manifest: m})
		case v.Container == nil && m.ArtifactType == "" && m.MediaType == ocispec.MediaTypeImageManifest:
			v.Container = &m
		}
	}
	return v, nil
}

// diskFormat reads a disk's format out of its artifact type.
func diskFormat(artifactType string) (string, bool) {
	f, ok := strings.CutPrefix(artifactType, diskTypePrefix)
	if !ok {
		return "", false
	}
	f, ok = strings.CutSuffix(f, diskTypeSuffix)
	return f, ok && channelName.MatchString(f)
}
