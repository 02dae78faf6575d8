package signing

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"imgbuild/images/fault"
)

// ImageSignatureMediaType is the media type of a simple-signing payload as a
// layer of cosign's signature manifest.
const ImageSignatureMediaType = "application/vnd.dev.cosign.simplesigning.v1+json"

// imageSignatureType is critical.type of cosign's payload.
const imageSignatureType = "cosign container image signature"

// maxImagePayload is the largest simple-signing payload in bytes.
const maxImagePayload = 64 << 10

// ImageSignature is cosign's signature of one manifest or index.
type ImageSignature struct {
	// Payload is the simple-signing document in JSON.
	Payload []byte
	// Signature is the raw ASN.1 signature of Payload.
	Signature []byte
}

// simpleSigning is the document that cosign signs: the format of
// containers/image's docs/containers-signature.5.md with cosign's type.
type simpleSigning struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional *simpleOptional `json:"optional"`
}

type simpleOptional struct {
	Creator   string `json:"creator,omitempty"`
	Timestamp int64  `json:"timestamp,omitempty"`
}

// SignImage signs the digest ("sha256:…") of an index or image manifest. The
// reference is the repository's name without tag or digest; at is the date
// that the signer vouches for.
func SignImage(ctx context.Context, reference, digest string, at time.Time, key *Key) (ImageSignature, error) {
	if _, err := hexDigest(digest); err != nil {
		return ImageSignature{}, fmt.Errorf("signing image: %w", err)
	}
	var doc simpleSigning
	doc.Critical.Identity.Reference = reference
	doc.Critical.Image.Digest = digest
	doc.Critical.Type = imageSignatureType
	doc.Optional = &simpleOptional{Creator: "imgbuild", Timestamp: at.Unix()}
	payload, err := json.Marshal(doc)
	if err != nil {
		return ImageSignature{}, fmt.Errorf("signing image: encoding payload: %w", err)
	}
	sig, err := key.Sign(ctx, payload)
	if err != nil {
		return ImageSignature{}, fmt.Errorf("signing image %s: %w", digest, err)
	}
	return ImageSignature{Payload: payload, Signature: sig}, nil
}

// VerifyImage accepts an image by the first of its signatures that a trusted
// key made for this very digest ("sha256:…").
func VerifyImage(ctx context.Context, digest string, signatures []ImageSignature, trust Trust) (Signer, error) {
	if len(signatures) == 0 {
		return Signer{}, fault.Worldf("verifying image %s: it is not signed", digest)
	}
	if len(signatures) > maxSignatures {
		return Signer{}, fault.Worldf("verifying image %s: it has %d signatures, the limit is %d", digest, len(signatures), maxSignatures)
	}
	var first error
	for _, s := range signatures {
		if err := ctx.Err(); err != nil {
			return Signer{}, err
		}
		signer, err := s.verify(digest, trust)
		if err == nil {
			return signer, nil
		}
		if first == nil {
			first = err
		}
	}
	return Signer{}, fmt.Errorf("verifying image %s: %w", digest, first)
}

func (s ImageSignature) verify(digest string, trust Trust) (Signer, error) {
	if len(s.Payload) > maxImagePayload {
		return Signer{}, fault.Worldf("reading image signature: its payload has %d bytes, the limit is %d", len(s.Payload), maxImagePayload)
	}
	var doc simpleSigning
	signer, err := trust.accept(s.Payload, []claim{{sig: s.Signature}}, func() (time.Time, error) {
		if err := json.NewDecoder(bytes.NewReader(s.Payload)).Decode(&doc); err != nil {
			return time.Time{}, err
		}
		if doc.Optional == nil || doc.Optional.Timestamp == 0 {
			return time.Time{}, nil
		}
		return time.Unix(doc.Optional.Timestamp, 0).UTC(), nil
	})
	if err != nil {
		return Signer{}, err
	}
	if doc.Critical.Type != imageSignatureType {
		return Signer{}, fault.Worldf("the signature is of a %q, not of an image", doc.Critical.Type)
	}
	if doc.Critical.Image.Digest != digest {
		return Signer{}, fault.Worldf("the signature is of %s, another image", doc.Critical.Image.Digest)
	}
	return signer, nil
}

// annotation is the signature as cosign keeps it beside the payload.
func (s ImageSignature) annotation() string {
	return base64.StdEncoding.EncodeToString(s.Signature)
}
