// Package updatestest makes what tests of an archive of updates have in it: digests,
// records, and whose signatures count. It is for tests alone.
package updatestest

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/fstest"

	"imgbuild/images/signing"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/records"
	"imgbuild/images/updates/roster"
)

// Sum is the SHA-256 of a file's content, in lower-case hex.
func Sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Nobody is a roster without a person in it.
func Nobody(t testing.TB) *roster.Roster {
	t.Helper()
	r, err := roster.Parse("approvers.yaml", fstest.MapFS{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Discover records that a suite has a package, whose file has the content.
func Discover(t testing.TB, to *records.Store, key *signing.Key, name string, content []byte) {
	t.Helper()
	_, err := to.Add(t.Context(), life.Record{Action: life.Discovered, Who: "ci@factory", Why: "it is there", Updates: []life.Update{{
		Kind: life.Deb, Name: name, Version: "1", Architecture: "amd64", Source: name, SourceVersion: "1",
		SHA256: Sum(content), Size: int64(len(content)), Archive: "debian", Suite: "bookworm", Path: "pool/" + name + ".deb",
	}}}, key)
	if err != nil {
		t.Fatal(err)
	}
}
