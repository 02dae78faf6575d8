package catalog

import (
	"context"
	"net/http"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// Content gives what a version's index and its manifests name, by descriptor,
// to those who read more of an output than an export shows. Who reads verifies:
// a content.Fetcher gives what is stored. Nothing is collected until release.
func (c *Catalog) Content(ctx context.Context, v *Version) (from content.Fetcher, release func() error, err error) {
	repo, err := c.repository(ctx, v.Baseline)
	if err != nil {
		return nil, nil, err
	}
	release, err = repo.Hold(ctx)
	return repo, release, err
}

// Foreign opens a repository that need not be a catalog's, in any registry,
// reached as a catalog's registry is: with the credentials that podman and
// docker are logged in with, and with TLS but for a registry on this machine
// that has none. The transport may be nil, as in Config.
func Foreign(ctx context.Context, at registry.Reference, transport http.RoundTripper) (*remote.Repository, error) {
	c, err := dial(at.Registry, transport)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, at.Repository)
}
