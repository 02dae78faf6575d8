package catalog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/signingtest"
)

// machine is a catalog as one machine sees it: locks are not shared.
func machine(t *testing.T, addr string, trust signing.Trust, transport http.RoundTripper) *catalog.Catalog {
	t.Helper()
	return open(t, catalog.Config{Location: "docker://" + addr, Locks: t.TempDir(), Trust: trust, Transport: transport})
}

// once does something after the first answer to a request that matches, before
// the answer is seen.
func once(method, path string, do func()) http.RoundTripper {
	var first sync.Once
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if r.Method == method && strings.Contains(r.URL.Path, path) {
			first.Do(do)
		}
		return resp, err
	})
}

// tagsOf asks the registry itself.
func tagsOf(t *testing.T, addr string) []string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/v2/web/tags/list")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct{ Tags []string }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list.Tags
}

func refuseClaims(t *testing.T, addr string) {
	t.Helper()
	if tags := tagsOf(t, addr); slices.ContainsFunc(tags, func(s string) bool { return strings.HasPrefix(s, "_claim") }) {
		t.Errorf("claims are left: %v", tags)
	}
}

// leaveClaim writes a claim as a machine that was killed leaves it.
func leaveClaim(t *testing.T, addr string, v *catalog.Version, name string, made time.Time) {
	t.Helper()
	at := func(reference string) string { return "http://" + addr + "/v2/web/manifests/" + reference }
	send := func(method, reference string, body []byte) (int, []byte) {
		req, err := http.NewRequest(method, at(reference), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", ocispec.MediaTypeImageManifest)
		req.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, got
	}
	_, raw := send(http.MethodGet, v.Container.Digest.String(), nil)
	if code, said := send(http.MethodPut, fmt.Sprintf("_claim.%s.%d.random", name, made.Unix()), raw); code != http.StatusCreated {
		t.Fatalf("%d: %s", code, said)
	}
}

func TestANumberIsGivenToOneMachineOnly(t *testing.T) {
	ctx := t.Context()
	addr := registrytest.Start(t, "")
	var early *catalog.Version
	// The other machine commits a version just after this one has read which
	// numbers are taken.
	late := mustBake(t, machine(t, addr, signing.Trust{}, once(http.MethodGet, "/tags/list", func() {
		early = mustBake(t, machine(t, addr, signing.Trust{}, nil), "web", "early", nil)
	})), "web", "late", nil)
	if early.Number != "20261122.1" || late.Number != "20261122.2" {
		t.Errorf("numbers: got %s and %s", early.Number, late.Number)
	}
	c := machine(t, addr, signing.Trust{}, nil)
	for _, v := range []*catalog.Version{early, late} {
		if got, err := c.Resolve(ctx, v.Ref(), catalog.RefuseRevoked); err != nil || got.Index.Digest != v.Index.Digest {
			t.Errorf("%s: got %v, %v", v.Ref(), got, err)
		}
	}
	refuseClaims(t, addr)
}

func TestMachinesBakeSideBySide(t *testing.T) {
	t.Parallel()
	addr := registrytest.Start(t, "")
	// Debian's registry itself stumbles over one blob that comes from two sides,
	// such as the empty one.
	mustBake(t, machine(t, addr, signing.Trust{}, nil), "web", "first", nil)
	const machines, bakes = 4, 3
	var wait sync.WaitGroup
	made := make(chan *catalog.Version, machines*bakes)
	for m := range machines {
		c, scratch := machine(t, addr, signing.Trust{}, nil), t.TempDir()
		wait.Go(func() {
			for i := range bakes {
				v, err := bake(context.Background(), c, "web", fmt.Sprint(m, i), scratch, nil)
				if err != nil {
					t.Error(err)
					return
				}
				made <- v
			}
		})
	}
	wait.Wait()
	close(made)
	c := machine(t, addr, signing.Trust{}, nil)
	for v := range made {
		if got, err := c.Resolve(t.Context(), v.Ref(), catalog.RefuseRevoked); err != nil || got.Index.Digest != v.Index.Digest {
			t.Errorf("%s was lost: got %v, %v", v.Ref(), got, err)
		}
	}
}

func TestAChannelIsMovedByOneMachineAtATime(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	addr := registrytest.Start(t, "")
	key, trust := signingtest.Keyring(t, "release")
	c := machine(t, addr, trust, nil)
	one, two := mustBake(t, c, "web", "one", nil), mustBake(t, c, "web", "two", nil)
	promote := func(c *catalog.Catalog, v *catalog.Version) error {
		_, err := c.Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked)
		return err
	}
	// The other machine moves the channel just after this one has looked where
	// it stands.
	if err := promote(machine(t, addr, trust, once(http.MethodGet, "/manifests/sha256-", func() {
		if err := promote(c, two); err == nil || !strings.Contains(err.Error(), "another machine") || !strings.Contains(fault.HintOf(err), "try again") {
			t.Errorf("a second move at once: got %v, hint %q", err, fault.HintOf(err))
		}
	})), one); err != nil {
		t.Fatal(err)
	}
	if err := promote(c, two); err != nil {
		t.Fatal(err)
	}
	moves, err := c.Moves(ctx, "web", "released")
	if err != nil || len(moves) != 2 || moves[0].Version != one.Number || moves[1].Version != two.Number {
		t.Errorf("moves: got %v, %v", moves, err)
	}
	refuseClaims(t, addr)
}

func TestTwoMachinesRevokeAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	addr := registrytest.Start(t, "")
	key, trust := signingtest.Keyring(t, "release")
	c := machine(t, addr, trust, nil)
	v := mustBake(t, c, "web", "one", nil)
	attach := func(ctx context.Context, a *catalog.Attacher) error {
		_, err := a.Attach(ctx, "application/vnd.example.report", "application/json", []byte("{}"), nil)
		return err
	}
	// The list of what is attached is written by whoever attaches, so that a
	// revocation could be overwritten by a report.
	var wait sync.WaitGroup
	if err := machine(t, addr, trust, once(http.MethodGet, "/manifests/sha256-", func() {
		wait.Go(func() {
			if _, err := c.Revoke(ctx, v, catalog.Withdrawal{Reason: "x", Who: "ann", When: day}, catalog.Keys{key}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(200 * time.Millisecond) // as much as a revocation takes
	})).Attach(ctx, v, attach); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	if r, err := c.Revocation(ctx, v); err != nil || r == nil {
		t.Errorf("the revocation: got %v, %v", r, err)
	}
	if docs, err := c.Evidence(ctx, v, ""); err != nil || len(docs) != 3 {
		t.Errorf("evidence: got %v, %v", docs, err)
	}
}

func TestAClaimThatWasLeftDoesNoHarm(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	addr := registrytest.Start(t, "")
	key, trust := signingtest.Keyring(t, "release")
	c := machine(t, addr, trust, nil)
	one := mustBake(t, c, "web", "one", nil)
	leaveClaim(t, addr, one, "20261122.2", time.Now().Add(-time.Hour))
	two := mustBake(t, c, "web", "two", nil)
	if two.Number != "20261122.3" {
		t.Errorf("got %s: what was claimed must not be given", two.Number)
	}
	leaveClaim(t, addr, one, "released", time.Now().Add(-time.Hour))
	leaveClaim(t, addr, one, "released", time.Now().Add(time.Hour)) // by a wrong clock
	if _, err := c.Promote(ctx, two, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
		t.Fatal(err)
	}
	// No name of the catalog shows what is left.
	list, err := c.List(ctx, "web")
	if err != nil || len(list) != 2 {
		t.Errorf("list: got %v, %v", list, err)
	}
	channels, err := c.Channels(ctx, "web")
	if err != nil || len(channels) != 1 || channels[0].Err != nil {
		t.Errorf("channels: got %v, %v", channels, err)
	}
}

func TestARegistryThatDeletesNothingKeepsNobodyWaiting(t *testing.T) {
	t.Setenv("REGISTRY_STORAGE_DELETE_ENABLED", "false")
	ctx := t.Context()
	addr := registrytest.Start(t, "")
	key, trust := signingtest.Keyring(t, "release")
	c := machine(t, addr, trust, nil)
	for i := range 3 {
		v := mustBake(t, c, "web", fmt.Sprint(i), nil)
		if v.Number != fmt.Sprintf("20261122.%d", i+1) {
			t.Errorf("got %s", v.Number)
		}
		if _, err := c.Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := machine(t, addr, trust, nil).Resolve(ctx, "web:released", catalog.RefuseRevoked); err != nil || v.Number != "20261122.3" {
		t.Errorf("got %v, %v", v, err)
	}
}
