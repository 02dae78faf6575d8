package proofpeers_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// record is a signed move of a channel.
type record struct {
	Baseline, Channel, Digest, Version, Previous, Who, Why string
	Serial                                                 int
}

func TestPromoteMovesAChannelByASignedRecord(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.copy(t)
	p.must(t, "images", "promote", h.web.Version, "released", "--who", "alice", "--why", "passed review")
	p.must(t, "images", "promote", h.newer.Version, "released", "--who", "bob")
	// A second time there is nothing to move.
	p.must(t, "images", "promote", "peer-web", "released", "--who", "carol")
	if got := decode[shown](t, p, "images", "show", "peer-web:released"); got.Digest != h.newer.Digest {
		t.Errorf("the channel is %+v", got)
	}
	moves := decode[struct{ Moves []record }](t, p, "images", "history", "peer-web:released").Moves
	want := []record{
		{Baseline: "peer-web", Channel: "released", Serial: 1, Digest: h.web.Digest, Version: h.web.number(), Who: "alice", Why: "passed review"},
		{Baseline: "peer-web", Channel: "released", Serial: 2, Digest: h.newer.Digest, Version: h.newer.number(), Who: "bob", Previous: h.web.Digest},
	}
	if len(moves) != 2 || moves[0] != want[0] || moves[1] != want[1] {
		t.Errorf("moves: %+v\nwant   %+v", moves, want)
	}
	// The records are documents of the layout, signed as DSSE says.
	var signed []record
	for _, d := range p.entries(t).Manifests {
		m, _ := p.manifest(t, d.Digest.String())
		if m.ArtifactType != "application/vnd.imgbuild.channel-move.v1" {
			continue
		}
		text, err := os.ReadFile(p.blob(m.Layers[0].Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		var envelope struct {
			Payload    string
			Signatures []struct{ Sig string }
		}
		var r record
		if err := json.Unmarshal(text, &envelope); err != nil {
			t.Fatal(err)
		}
		payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
		if err == nil {
			err = json.Unmarshal(payload, &r)
		}
		if err != nil || len(envelope.Signatures) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		signed = append(signed, r)
	}
	if len(signed) != 2 || signed[0] != want[0] || signed[1] != want[1] {
		t.Errorf("signed: %+v", signed)
	}
	p.refuses(t, 3, []string{"released"}, "images", "rm", h.newer.Version)
}

// shown is what images show --output json says, as far as it is compared.
type shown struct {
	Image, Digest, Parent string
	Children              []string
	Revocation            *struct{ Reason, Who, Rollback, Cause string }
}

func TestARevokedVersionIsNotUsedWithoutBeingTold(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.copy(t)
	if got := decode[shown](t, p, "images", "show", h.shop.Version); got.Parent != "peer-web@"+h.web.Digest {
		t.Errorf("the child's parent is %q, want %s", got.Parent, h.web.Digest)
	}
	if got := decode[shown](t, p, "images", "show", h.web.Version); len(got.Children) != 1 || got.Children[0] != h.shop.Version {
		t.Errorf("the parent's children are %q", got.Children)
	}
	p.refuses(t, 2, []string{"--reason"}, "images", "revoke", h.web.Version)
	p.refuses(t, 2, []string{"names no version"}, "images", "revoke", "peer-web", "--reason", "broken")
	p.must(t, "images", "revoke", h.web.Version, "--reason", "CVE in the base", "--who", "carol", "--cascade", "--rollback", h.newer.Version)
	for version, want := range map[string][2]string{
		h.web.Version:  {"peer-web@" + h.newer.Digest, ""},
		h.shop.Version: {"", "peer-web@" + h.web.Digest},
	} {
		r := decode[shown](t, p, "images", "show", version).Revocation
		if r == nil || r.Reason != "CVE in the base" || r.Who != "carol" || r.Rollback != want[0] || r.Cause != want[1] {
			t.Errorf("the revocation of %s is %+v", version, r)
		}
	}
	if r := decode[shown](t, p, "images", "show", h.newer.Version).Revocation; r != nil {
		t.Errorf("%s is revoked too: %+v", h.newer.Version, r)
	}

	dir := newDir(t)
	why := []string{"revoked", "CVE in the base"}
	for _, image := range []string{h.web.Version, h.shop.Version} {
		out := filepath.Join(dir, strings.ReplaceAll(image, ":", "-"))
		p.refuses(t, 3, why, "images", "promote", image, "released")
		p.refuses(t, 3, why, "images", "export", image, out, "--form", "oci")
		p.refuses(t, 3, why, "images", "export", image, filepath.Join(dir, "elsewhere"), "--form", "catalog")
		p.refuses(t, 3, why, "run", image, "--check")
		p.refuses(t, 3, why, "images", "verify", image)
		if _, err := os.Lstat(out); err == nil {
			t.Errorf("%s was exported", image)
		}
	}
	p.refuses(t, 3, why, "bake", "peer-shop")
	if got := decode[shown](t, p, "images", "show", "peer-web"); got.Digest != h.newer.Digest {
		t.Errorf("a bare name means %s", got.Image)
	}

	// A new child is not begun on the revoked parent.
	child := strings.NewReplacer("peer-shop", "peer-kiosk", "a shop", "a kiosk").Replace(shopRecipe)
	if err := h.recipe(h.project, "peer-kiosk", child); err != nil {
		t.Fatal(err)
	}
	a := p.run("bake", "peer-kiosk")
	if a.code != 3 || a.stdout != "" || strings.Contains(a.stderr, "done") {
		t.Errorf("want exit 3 before anything is made of %v", a)
	}
	p.refuses(t, 3, append(why, "the parent of peer-kiosk", "--even-revoked"), "bake", "peer-kiosk")

	// Whoever insists has their way.
	p.must(t, "bake", "peer-kiosk", "--even-revoked")
	if got := decode[shown](t, p, "images", "show", "peer-kiosk"); got.Parent != "peer-web@"+h.web.Digest {
		t.Errorf("the parent of the new child is %q", got.Parent)
	}
	p.must(t, "images", "promote", h.web.Version, "frozen", "--even-revoked")
	p.must(t, "images", "export", h.shop.Version, filepath.Join(dir, "insisted"), "--form", "oci", "--even-revoked")

	// The same recipe and lock would make the same image again.
	p.refuses(t, 3, append(why, "same image again", "--even-revoked"), "bake", "peer-web")
	if got := decode[image](t, p, "bake", "peer-web", "--even-revoked"); !got.Known || got.Digest != h.web.Digest {
		t.Errorf("baked again: %+v", got)
	}

	// A copy elsewhere is revoked there as well.
	other := h.at(filepath.Join(dir, "other"))
	p.must(t, "images", "export", h.web.Version, other.catalog, "--form", "catalog", "--even-revoked")
	other.refuses(t, 3, why, "images", "promote", h.web.Version, "released")
}

// middleRecipe is a baseline that is extended and never baked.
const middleRecipe = `name: peer-middle
description: between peer-web and what is baked
extends: peer-web
packages: [less]
`

func TestTheNearestBakedAncestorIsTheParent(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.with(t, "")
	page := func(name, parent string, more ...string) {
		t.Helper()
		text := "name: " + name + "\ndescription: one more page\nextends: " + parent + "\nresources:\n  files:\n"
		for _, content := range append(more, name) {
			text += "    /srv/www/" + content + ".html: {content: \"a page\\n\"}\n"
		}
		if err := h.recipe(p.project, name, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.recipe(p.project, "peer-middle", middleRecipe); err != nil {
		t.Fatal(err)
	}
	page("peer-kiosk", "peer-middle")
	// It brings no packages, nor does its parent.
	page("peer-annex", "peer-shop")
	below := []string{h.shop.Version}
	for name, parent := range map[string]string{"peer-kiosk": "peer-web@" + h.web.Digest, "peer-annex": "peer-shop@" + h.shop.Digest} {
		baked := decode[image](t, p, "bake", name)
		below = append(below, baked.Version)
		if got := decode[shown](t, p, "images", "show", baked.Version); got.Parent != parent {
			t.Errorf("the parent of %s is %q, want %s", name, got.Parent, parent)
		}
	}
	p.must(t, "images", "revoke", h.web.Version, "--reason", "CVE in the base", "--who", "carol", "--cascade")
	for _, version := range below {
		if r := decode[shown](t, p, "images", "show", version).Revocation; r == nil || r.Cause != "peer-web@"+h.web.Digest {
			t.Errorf("the revocation of %s is %+v", version, r)
		}
	}
	page("peer-kiosk", "peer-middle", "another")
	a := p.run("bake", "peer-kiosk")
	if a.code != 3 || a.stdout != "" || strings.Contains(a.stderr, "done") ||
		!strings.Contains(a.stderr, "the parent of peer-kiosk must not be used") || !strings.Contains(a.stderr, h.web.Version) {
		t.Errorf("want exit 3 before anything is made of %v", a)
	}
}

func TestAVersionOfAStrangerIsNeitherKnownNorAParent(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.copy(t)
	p.signAgain(t, h.web.Version, h.web.Digest)
	p.signAgain(t, h.newer.Version, h.newer.Digest)
	// The very image is baked again, under a number of its own, and what is baked
	// on it stands on that one.
	again := decode[image](t, p, "bake", "peer-web")
	if again.Known || again.Container != h.web.Container || again.Digest == h.web.Digest {
		t.Errorf("baked %+v beside the stranger's %+v", again, h.web)
	}
	if err := os.RemoveAll(p.layout("peer-shop")); err != nil {
		t.Fatal(err)
	}
	p.must(t, "bake", "peer-shop")
	if got := decode[shown](t, p, "images", "show", "peer-shop"); got.Parent != "peer-web@"+again.Digest {
		t.Errorf("the parent is %q, want %s", got.Parent, again.Digest)
	}
}
