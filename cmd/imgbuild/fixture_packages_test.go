package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"imgbuild/images/catalog"
	"imgbuild/images/signing"
)

// fixturePackages is a program of the scripts: "fixture-packages IMAGE
// openssl=3.0.11-1~deb12u2,zlib=1:1.2.13" gives a version made by fixture-image a
// signed bill of materials with packages of Debian 12, each built from the source of
// its name, or from another: "libssl3/openssl=3.0.11". They name no architecture, so
// that no repository is asked about them.
func fixturePackages() {
	if err := attachPackages(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func attachPackages(ctx context.Context, image, list string) error {
	p, c, err := openFixture(ctx)
	if err != nil {
		return err
	}
	v, err := c.Resolve(ctx, image, catalog.AllowRevoked)
	if err != nil {
		return err
	}
	key, _, err := p.SigningKey(nil)
	if err != nil {
		return err
	}
	type property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type component struct {
		Type       string     `json:"type"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PURL       string     `json:"purl"`
		Properties []property `json:"properties"`
	}
	var components []component
	for _, word := range strings.Split(list, ",") {
		name, version, _ := strings.Cut(word, "=")
		name, source, ok := strings.Cut(name, "/")
		if !ok {
			source = name
		}
		components = append(components, component{
			"library", name, version, "pkg:deb/debian/" + name + "@" + strings.ReplaceAll(version, "+", "%2B") + "?arch=amd64&distro=debian-12",
			[]property{{"imgbuild:source", source}, {"imgbuild:source-version", version}},
		})
	}
	document, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})
	if err != nil {
		return err
	}
	statement, err := signStatement(ctx, v, signing.PredicateCycloneDX, document, key)
	if err != nil {
		return err
	}
	return c.PutTagged(ctx, v, statement)
}
