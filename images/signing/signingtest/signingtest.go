// Package signingtest makes keys and the trust in them. It is for tests alone.
package signingtest

import (
	"testing"

	"imgbuild/images/signing"
)

// Keyring is a new key, and a trust in it under a name.
func Keyring(t testing.TB, name string) (*signing.Key, signing.Trust) {
	t.Helper()
	key, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: name, Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	return key, trust
}
