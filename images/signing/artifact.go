package signing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
)

// The annotations under which tools find signatures and attestations.
const (
	signatureAnnotation  = "dev.cosignproject.cosign/signature"
	predicateAnnotation  = "predicateType"
	inTotoAnnotation     = "in-toto.io/predicate-type"
	createdAtEpoch       = "1970-01-01T00:00:00Z"
	maxSignatureManifest = 1 << 20
)

// Blob is some content of a registry or layout by its descriptor.
type Blob struct {
	Descriptor ocispec.Descriptor
	Content    []byte
}

// Artifact is an OCI manifest and the blobs that it names, ready to be pushed:
// blobs first. Tag is empty for an artifact that is found as a referrer.
type Artifact struct {
	Tag      string
	Manifest Blob
	Blobs    []Blob
}

// SignatureTag is the tag under which cosign looks for the signatures of a
// digest "sha256:…": sha256-….sig.
func SignatureTag(digest string) (string, error) { return cosignTag(digest, "sig") }

// AttestationTag is the tag under which cosign looks for the attestations of
// a digest "sha256:…": sha256-….att.
func AttestationTag(digest string) (string, error) { return cosignTag(digest, "att") }

func cosignTag(digest, suffix string) (string, error) {
	hex, err := hexDigest(digest)
	if err != nil {
		return "", fmt.Errorf("naming %s tag: %w", suffix, err)
	}
	return "sha256-" + hex + "." + suffix, nil
}

// SignatureArtifact is cosign's signature manifest of an image with all its
// signatures; cosign verify finds it under its tag.
func SignatureArtifact(digest string, signatures []ImageSignature) (Artifact, error) {
	tag, err := SignatureTag(digest)
	if err != nil {
		return Artifact{}, err
	}
	if len(signatures) == 0 {
		return Artifact{}, fmt.Errorf("building signature manifest of %s: there is no signature", digest)
	}
	var layers []Blob
	for _, s := range signatures {
		layer := newBlob(ImageSignatureMediaType, s.Payload)
		layer.Descriptor.Annotations = map[string]string{signatureAnnotation: s.annotation()}
		layers = append(layers, layer)
	}
	return cosignArtifact(tag, layers)
}

// AttestationArtifact is cosign's attestation manifest of an image: signed
// statements (DSSE envelopes), which cosign verify-attestation finds.
func AttestationArtifact(digest string, envelopes [][]byte) (Artifact, error) {
	tag, err := AttestationTag(digest)
	if err != nil {
		return Artifact{}, err
	}
	if len(envelopes) == 0 {
		return Artifact{}, fmt.Errorf("building attestation manifest of %s: there is no attestation", digest)
	}
	var layers []Blob
	for _, envelope := range envelopes {
		predicateType, err := predicateTypeOf(envelope)
		if err != nil {
			return Artifact{}, err
		}
		layer := newBlob(EnvelopeMediaType, envelope)
		layer.Descriptor.Annotations = map[string]string{signatureAnnotation: "", predicateAnnotation: predicateType}
		layers = append(layers, layer)
	}
	return cosignArtifact(tag, layers)
}

// AttestationReferrer is one signed statement as an artifact that refers to
// its subject (OCI image specification 1.1), for the referrers API.
func AttestationReferrer(subject ocispec.Descriptor, envelope []byte) (Artifact, error) {
	predicateType, err := predicateTypeOf(envelope)
	if err != nil {
		return Artifact{}, err
	}
	layer := newBlob(EnvelopeMediaType, envelope)
	config := newBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	manifest := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: EnvelopeMediaType,
		Config:       config.Descriptor,
		Layers:       []ocispec.Descriptor{layer.Descriptor},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations:  map[string]string{inTotoAnnotation: predicateType, ocispec.AnnotationCreated: createdAtEpoch},
	}
	out, err := newArtifact("", manifest, []Blob{config, layer})
	if err != nil {
		return Artifact{}, err
	}
	out.Manifest.Descriptor.ArtifactType = EnvelopeMediaType
	out.Manifest.Descriptor.Annotations = manifest.Annotations
	return out, nil
}

// ParseSignatureManifest reads cosign's signature manifest; fetch returns the
// content of one of its layers, and what it returns is checked.
func ParseSignatureManifest(manifest []byte, fetch func(ocispec.Descriptor) ([]byte, error)) ([]ImageSignature, error) {
	if len(manifest) > maxSignatureManifest {
		return nil, fault.Worldf("reading signature manifest: it has %d bytes, the limit is %d", len(manifest), maxSignatureManifest)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fault.Worldf("reading signature manifest").Because(err)
	}
	if len(m.Layers) > maxSignatures {
		return nil, fault.Worldf("reading signature manifest: it has %d signatures, the limit is %d", len(m.Layers), maxSignatures)
	}
	var out []ImageSignature
	for _, layer := range m.Layers {
		encoded, ok := layer.Annotations[signatureAnnotation]
		if !ok || layer.MediaType != ImageSignatureMediaType {
			continue
		}
		if layer.Size > maxImagePayload {
			return nil, fault.Worldf("reading signature manifest: a payload has %d bytes, the limit is %d", layer.Size, maxImagePayload)
		}
		sig, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fault.Worldf("reading signature manifest: decoding signature").Because(err)
		}
		payload, err := fetch(layer)
		if err != nil {
			return nil, fmt.Errorf("reading signature payload %s: %w", layer.Digest, err)
		}
		if got := sha256Digest(payload); got != layer.Digest {
			return nil, fault.Worldf("reading signature payload: its digest is %s, the manifest says %s", got, layer.Digest)
		}
		out = append(out, ImageSignature{Payload: payload, Signature: sig})
	}
	return out, nil
}

// cosignArtifact builds the kind of manifest that cosign attaches by tag: an
// image manifest whose config is an image config that lists the layers.
func cosignArtifact(tag string, layers []Blob) (Artifact, error) {
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers"}}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
	}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Descriptor.Digest)
		manifest.Layers = append(manifest.Layers, layer.Descriptor)
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		return Artifact{}, fmt.Errorf("building %s: encoding config: %w", tag, err)
	}
	blob := newBlob(ocispec.MediaTypeImageConfig, encoded)
	manifest.Config = blob.Descriptor
	return newArtifact(tag, manifest, append([]Blob{blob}, layers...))
}

func newArtifact(tag string, manifest ocispec.Manifest, blobs []Blob) (Artifact, error) {
	encoded, err := json.Marshal(manifest)
	if err != nil {
		return Artifact{}, fmt.Errorf("encoding manifest: %w", err)
	}
	return Artifact{Tag: tag, Manifest: newBlob(manifest.MediaType, encoded), Blobs: blobs}, nil
}

func newBlob(mediaType string, content []byte) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: sha256Digest(content), Size: int64(len(content))},
		Content:    content,
	}
}

func sha256Digest(content []byte) digest.Digest {
	sum := sha256.Sum256(content)
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum[:]))
}

// predicateTypeOf reads what an envelope claims to be, without verifying it.
func predicateTypeOf(envelope []byte) (string, error) {
	payload, _, err := openEnvelope(envelope, StatementMediaType)
	if err != nil {
		return "", err
	}
	var s Statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return "", fault.Worldf("reading statement").Because(err)
	}
	return s.PredicateType, nil
}
