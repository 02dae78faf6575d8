package hygiene_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"imgbuild/builder/scan/hygiene"
)

// FuzzHoldsKey puts a key between any bytes that do not look like another: it is
// found, and without its last line it is not.
func FuzzHoldsKey(f *testing.F) {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	cut := key[:bytes.LastIndex(key, []byte("-----END"))]
	f.Add([]byte("\x00\x01"), []byte("\x00"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\n"), []byte("----- BEGIN"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte("\n"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		if !hygiene.HoldsKey(bytes.Join([][]byte{before, key, after}, nil)) {
			t.Error("the key is not found")
		}
		if !bytes.Contains(after, []byte("-----")) && !hygiene.HoldsKey(before) && hygiene.HoldsKey(bytes.Join([][]byte{before, cut, after}, nil)) {
			t.Error("half a key is found")
		}
	})
}
