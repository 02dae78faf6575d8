package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"imgbuild/images/fault"
)

// maxPages bounds what a registry can make us list.
const maxPages = 1000

// connection is how the repositories of one registry are reached.
type connection struct {
	// host is "registry.example:5000", prefix "team/images" or "".
	host, prefix string
	transport    http.RoundTripper
	client       *auth.Client
	// locks is a directory of this machine: a registry has no locks.
	locks string

	mu        sync.Mutex
	plainHTTP *bool // nil until the registry was asked
}

// connect reads docker://HOST[:PORT][/PREFIX].
func connect(cfg Config) (*connection, error) {
	host, prefix, _ := strings.Cut(strings.TrimPrefix(cfg.Location, registryScheme), "/")
	prefix = strings.Trim(prefix, "/")
	probe := registry.Reference{Registry: host, Repository: strings.TrimPrefix(prefix+"/probe", "/")}
	if err := probe.Validate(); err != nil {
		return nil, fault.Inputf("%q is not the location of a registry", cfg.Location).Because(err).
			WithHint("docker://registry.example:5000/prefix")
	}
	if cfg.Locks == "" {
		return nil, fault.Inputf("a registry needs a local directory for locks")
	}
	c, err := dial(host, cfg.Transport)
	if err != nil {
		return nil, err
	}
	c.prefix, c.locks = prefix, cfg.Locks
	return c, nil
}

// dial says how a registry is reached; it is not asked yet. Credentials come
// from podman's and docker's configuration and their helpers.
func dial(host string, transport http.RoundTripper) (*connection, error) {
	credential, err := logins()
	if err != nil {
		return nil, err
	}
	transport = reaching(host, transport)
	return &connection{
		host: host, transport: transport,
		client: &auth.Client{
			Client:     &http.Client{Transport: retry.NewTransport(transport)},
			Cache:      auth.NewCache(),
			Credential: credential,
			Header:     http.Header{"User-Agent": {"imgbuild"}},
		},
	}, nil
}

func (c *connection) name(baseline string) string {
	return strings.TrimPrefix(c.prefix+"/"+baseline, "/")
}

func (c *connection) repository(ctx context.Context, baseline string) (repository, error) {
	repo, err := c.open(ctx, c.name(baseline))
	if err != nil {
		return nil, err
	}
	return &remoteRepository{conn: c, repo: repo}, nil
}

// open opens the repository of a name in the registry.
func (c *connection) open(ctx context.Context, name string) (*remote.Repository, error) {
	plainHTTP, err := c.plain(ctx)
	if err != nil {
		return nil, err
	}
	return &remote.Repository{
		Client:               c.client,
		Reference:            registry.Reference{Registry: c.host, Repository: name},
		PlainHTTP:            plainHTTP,
		ManifestMediaTypes:   []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest},
		TagListMaxPages:      maxPages,
		ReferrerListMaxPages: maxPages,
		MaxMetadataBytes:     maxManifest,
		// Many registries refuse deletions; a dangling list does no harm.
		SkipReferrersGC: true,
	}, nil
}

// baselines lists the repositories right below the prefix.
func (c *connection) baselines(ctx context.Context) ([]string, error) {
	plainHTTP, err := c.plain(ctx)
	if err != nil {
		return nil, err
	}
	reg := &remote.Registry{RepositoryOptions: remote.RepositoryOptions{
		Client: c.client, Reference: registry.Reference{Registry: c.host}, PlainHTTP: plainHTTP, MaxMetadataBytes: maxManifest,
	}}
	var found []string
	pages := 0
	err = reg.Repositories(ctx, "", func(names []string) error {
		if pages++; pages > maxPages {
			return fault.Worldf("the list has more than %d pages", maxPages)
		}
		for _, n := range names {
			n, ok := strings.CutPrefix(n, strings.TrimPrefix(c.prefix+"/", "/"))
			if ok && CheckBaseline(n) == nil {
				found = append(found, n)
			}
		}
		return nil
	})
	if err != nil {
		failed := fault.Failedf("listing the repositories of %s", c.host).Because(err)
		var refused *errcode.ErrorResponse
		if errors.As(err, &refused) {
			return nil, failed.WithHint("not every registry allows it; name the baseline instead")
		}
		return nil, failed
	}
	return found, nil
}

// remoteRepository is a repository of a registry.
type remoteRepository struct {
	conn *connection
	repo *remote.Repository
}

func (r *remoteRepository) Exists(ctx context.Context, want ocispec.Descriptor) (bool, error) {
	return r.repo.Exists(ctx, want)
}

func (r *remoteRepository) Fetch(ctx context.Context, want ocispec.Descriptor) (io.ReadCloser, error) {
	return r.repo.Fetch(ctx, want)
}

// Push sends a blob or manifest; the registry refuses what has another digest.
func (r *remoteRepository) Push(ctx context.Context, want ocispec.Descriptor, from io.Reader) error {
	return r.repo.Push(ctx, want, from)
}

func (r *remoteRepository) StoreFile(ctx context.Context, mediaType, path string) (ocispec.Descriptor, error) {
	desc, err := describeFile(ctx, mediaType, path)
	if err != nil {
		return desc, fmt.Errorf("pushing file: %w", err)
	}
	have, err := r.repo.Exists(ctx, desc)
	if err != nil || have {
		return desc, err
	}
	f, err := os.Open(path)
	if err != nil {
		return desc, fmt.Errorf("pushing file: %w", err)
	}
	defer f.Close()
	return desc, r.repo.Push(ctx, desc, f)
}

// Collect is refused: a registry collects its own garbage.
func (r *remoteRepository) Collect(context.Context) (Collected, error) {
	return Collected{}, fault.Inputf("the catalog is a registry, which collects its garbage itself").
		WithHint("see the registry's own documentation for how")
}

func (r *remoteRepository) Resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	desc, err := r.repo.Resolve(ctx, reference)
	return plain(desc), err
}

func (r *remoteRepository) Tags(ctx context.Context) ([]string, error) {
	tags, err := registry.Tags(ctx, r.repo)
	if isMissing(err) {
		return nil, nil
	}
	return tags, err
}

// isMissing reports that a repository does not exist yet.
func isMissing(err error) bool {
	var response *errcode.ErrorResponse
	return errors.Is(err, errdef.ErrNotFound) || errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

func (r *remoteRepository) Referrers(ctx context.Context, subject ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	err := r.repo.Referrers(ctx, subject, artifactType, func(page []ocispec.Descriptor) error {
		found = append(found, page...)
		return nil
	})
	if isMissing(err) {
		return nil, nil
	}
	return found, err
}

// Use does nothing: the registry collects its own garbage.
func (r *remoteRepository) Use(context.Context) (func() error, error) {
	return func() error { return nil }, nil
}

// Hold does nothing either.
func (r *remoteRepository) Hold(ctx context.Context) (func() error, error) { return r.Use(ctx) }
