package signing_test

import (
	"context"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/signing"
)

// FuzzVerify feeds the same bytes to everything that reads what others wrote.
// Nothing may panic, and nothing that no trusted key signed may be accepted.
func FuzzVerify(f *testing.F) {
	ctx := context.Background()
	mine, err := signing.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	stranger, err := signing.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: "mine", Key: mine.Public()})
	if err != nil {
		f.Fatal(err)
	}
	envelope, err := signing.SignStatement(ctx, sbomStatement(), stranger)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	signature, err := signing.SignImage(ctx, "web", imageDigest, day, stranger)
	if err != nil {
		f.Fatal(err)
	}
	artifact, err := signing.SignatureArtifact(imageDigest, []signing.ImageSignature{signature})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(artifact.Manifest.Content)
	f.Add(signature.Payload)
	f.Add(stranger.Public().PEM())
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, _, err := signing.VerifyStatement(ctx, data, signing.PredicateCycloneDX, imageDigest, trust); err == nil {
			t.Error("a statement was accepted")
		}
		if s, err := signing.ParseSignatureManifest(data, func(ocispec.Descriptor) ([]byte, error) { return data, nil }); err == nil {
			if _, err := signing.VerifyImage(ctx, imageDigest, s, trust); err == nil {
				t.Error("a signature was accepted")
			}
		}
		if _, err := signing.VerifyImage(ctx, imageDigest, []signing.ImageSignature{{Payload: data, Signature: signature.Signature}}, trust); err == nil {
			t.Error("a payload was accepted")
		}
		_, _ = signing.ParsePublicKey(data)
		_, _ = signing.AttestationArtifact(imageDigest, [][]byte{data})
	})
}
