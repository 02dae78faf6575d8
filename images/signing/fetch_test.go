package signing_test

import (
	"context"
	"io"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fetch returns the content behind a reference of a registry.
func fetch(t *testing.T, from func(context.Context, string) (ocispec.Descriptor, io.ReadCloser, error), reference string) []byte {
	t.Helper()
	_, body, err := from(context.Background(), reference)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
