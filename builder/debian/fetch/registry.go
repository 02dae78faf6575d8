package fetch

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"imgbuild/images/updates"
)

// Registry holds package files as blobs of one repository of an OCI registry,
// by digest (OCI distribution specification, "Pulling blobs"). Credentials
// come from the docker configuration and its helpers.
type Registry struct {
	// Repository is host[:port]/path, without scheme and tag.
	Repository string
	// PlainHTTP speaks HTTP instead of HTTPS.
	PlainHTTP bool

	once sync.Once
	do   doer
	err  error
}

// Places implements Source.
func (s *Registry) Places(p updates.Package) []Place {
	ref, err := registry.ParseReference(s.Repository)
	if err != nil {
		err = fmt.Errorf("%q is not a repository: %w", s.Repository, err)
		return []Place{{Name: s.Repository, Open: func(context.Context, *http.Client, int64) (*Body, error) {
			return nil, fmt.Errorf("%w: %w", errAbsent, err)
		}}}
	}
	scheme := "https"
	if s.PlainHTTP {
		scheme = "http"
	}
	address := fmt.Sprintf("%s://%s/v2/%s/blobs/sha256:%s", scheme, ref.Host(), ref.Repository, p.SHA256)
	return []Place{httpPlace(address, func(ctx context.Context, client *http.Client, r *http.Request) (*http.Response, error) {
		do, err := s.authorised(client)
		if err != nil {
			return nil, err
		}
		ctx = auth.AppendRepositoryScope(ctx, ref, auth.ActionPull)
		return do(ctx, client, r.WithContext(ctx))
	})}
}

// authorised makes the client that answers the registry's challenges, once.
func (s *Registry) authorised(client *http.Client) (doer, error) {
	s.once.Do(func() {
		store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
		if err != nil {
			s.err = fmt.Errorf("%w: reading registry credentials: %s", errAbsent, strings.TrimSpace(err.Error()))
			return
		}
		c := &auth.Client{Client: client, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
		c.SetUserAgent("imgbuild")
		s.do = func(_ context.Context, _ *http.Client, r *http.Request) (*http.Response, error) {
			return c.Do(r)
		}
	})
	return s.do, s.err
}
