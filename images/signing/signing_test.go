package signing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	imageDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	otherDigest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func newKey(t *testing.T) *signing.Key {
	t.Helper()
	key, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func trusting(t *testing.T, keys ...signing.TrustedKey) signing.Trust {
	t.Helper()
	trust, err := signing.NewTrust(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func sbomStatement() signing.Statement {
	return signing.Statement{
		Subjects:      []signing.Subject{{Name: "web", Digest: imageDigest}},
		PredicateType: signing.PredicateCycloneDX,
		Predicate:     json.RawMessage(`{"bomFormat":"CycloneDX"}`),
		SignedAt:      day,
	}
}

func TestKeySurvivesItsFile(t *testing.T) {
	key := newKey(t)
	file, err := key.EncryptedPEM([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	back, err := signing.ParseKey(file, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if back.Public().ID() != key.Public().ID() {
		t.Error("another key came back")
	}
	public, err := signing.ParsePublicKey(key.Public().PEM())
	if err != nil {
		t.Fatal(err)
	}
	if public.ID() != key.Public().ID() {
		t.Error("another public key came back")
	}
	if _, err := signing.ParseKey(file, []byte("wrong")); fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := key.EncryptedPEM(nil); err == nil {
		t.Error("an empty password was taken")
	}
}

func TestStatementIsBoundToKeyTypeSubjectAndBytes(t *testing.T) {
	ctx := context.Background()
	key, stranger := newKey(t), newKey(t)
	trust := trusting(t, signing.TrustedKey{Name: "release", Key: key.Public()})
	envelope, err := signing.SignStatement(ctx, sbomStatement(), key)
	if err != nil {
		t.Fatal(err)
	}
	s, signer, err := signing.VerifyStatement(ctx, envelope, signing.PredicateCycloneDX, imageDigest, trust)
	if err != nil {
		t.Fatal(err)
	}
	if signer.Name != "release" || signer.KeyID != key.Public().ID() || !signer.At.Equal(day) {
		t.Errorf("signer %+v", signer)
	}
	if string(s.Predicate) != `{"bomFormat":"CycloneDX"}` {
		t.Errorf("predicate %s", s.Predicate)
	}
	again, err := signing.SignStatement(ctx, sbomStatement(), key)
	if err != nil || !bytes.Equal(envelope, again) {
		t.Errorf("signing again gave other bytes (%v)", err)
	}

	tampered := bytes.Replace(envelope, []byte(`"payload":"eyJ`), []byte(`"payload":"eyI`), 1)
	foreign, err := signing.SignStatement(ctx, sbomStatement(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		envelope           []byte
		predicate, subject string
		want               string
	}{
		"another subject":   {envelope, signing.PredicateCycloneDX, otherDigest, "signed for another image"},
		"another predicate": {envelope, signing.PredicateSPDX, imageDigest, "expected \"https://spdx.dev/Document\""},
		"changed bytes":     {tampered, signing.PredicateCycloneDX, imageDigest, "not by a trusted key over these bytes"},
		"stranger's key":    {foreign, signing.PredicateCycloneDX, imageDigest, "not by a trusted key"},
		"no signature":      {[]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30="}`), signing.PredicateCycloneDX, imageDigest, "there is none"},
		"not an envelope":   {[]byte("no"), signing.PredicateCycloneDX, imageDigest, "reading signed envelope"},
	} {
		s, _, err := signing.VerifyStatement(ctx, c.envelope, c.predicate, c.subject, trust)
		if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a World error with %q", name, err, c.want)
		}
		if s.Predicate != nil {
			t.Errorf("%s: the predicate was handed out", name)
		}
	}
	if _, _, err := signing.VerifyStatement(ctx, envelope, signing.PredicateCycloneDX, imageDigest, signing.Trust{}); err == nil {
		t.Error("an empty trust accepted a signature")
	}
}

func TestRotationAndWithdrawal(t *testing.T) {
	ctx := context.Background()
	old, current := newKey(t), newKey(t)
	byOld, err := signing.SignImage(ctx, "registry.example/web", imageDigest, day, old)
	if err != nil {
		t.Fatal(err)
	}
	byBoth := []signing.ImageSignature{byOld}
	byNew, err := signing.SignImage(ctx, "registry.example/web", imageDigest, day, current)
	if err != nil {
		t.Fatal(err)
	}
	byBoth = append(byBoth, byNew)

	verify := func(sigs []signing.ImageSignature, o, n signing.TrustedKey) (signing.Signer, error) {
		o.Name, o.Key = "old", old.Public()
		n.Name, n.Key = "new", current.Public()
		return signing.VerifyImage(ctx, imageDigest, sigs, trusting(t, o, n))
	}
	if s, err := verify(byBoth[:1], signing.TrustedKey{NotAfter: day.Add(time.Hour)}, signing.TrustedKey{}); err != nil || s.Name != "old" {
		t.Errorf("signed before the end: %v %v", s, err)
	}
	_, err = verify(byBoth[:1], signing.TrustedKey{NotAfter: day.Add(-time.Hour)}, signing.TrustedKey{})
	if err == nil || !strings.Contains(err.Error(), `key "old"`) || !strings.Contains(err.Error(), "ended 2026-03-01T11:00:00Z") {
		t.Errorf("signed after the end: %v", err)
	}
	_, err = verify(byBoth[:1], signing.TrustedKey{Withdrawn: "laptop stolen"}, signing.TrustedKey{})
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "withdrawn: laptop stolen") {
		t.Errorf("withdrawn: %v", err)
	}
	if s, err := verify(byBoth, signing.TrustedKey{Withdrawn: "laptop stolen"}, signing.TrustedKey{}); err != nil || s.Name != "new" {
		t.Errorf("re-signed with the new key: %v %v", s, err)
	}

	envelope, err := signing.Sign(ctx, "text/plain", []byte("undated"), old)
	if err != nil {
		t.Fatal(err)
	}
	ended := trusting(t, signing.TrustedKey{Name: "old", Key: old.Public(), NotAfter: day})
	if _, _, err := signing.Verify(ctx, envelope, "text/plain", signing.Undated, ended); err == nil || !strings.Contains(err.Error(), "carries no date") {
		t.Errorf("undated: %v", err)
	}
}

func TestTrustRefusesRiddles(t *testing.T) {
	key := newKey(t).Public()
	for name, keys := range map[string][]signing.TrustedKey{
		"none":      nil,
		"nameless":  {{Key: key}},
		"keyless":   {{Name: "a"}},
		"same name": {{Name: "a", Key: key}, {Name: "a", Key: newKey(t).Public()}},
		"same key":  {{Name: "a", Key: key}, {Name: "b", Key: key}},
	} {
		if _, err := signing.NewTrust(keys...); fault.KindOf(err) != fault.Input {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGnuPGReadsKeyAndSignatures(t *testing.T) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Skip("gpg is not installed")
	}
	created := time.Now().Add(-time.Hour)
	key, err := signing.GeneratePGPKey("Example repository", "repository@example.org", created)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(gpg, append([]string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "secret", "--status-fd", "1"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })

	public, err := key.PublicArmor()
	run("--import", write("public.asc", public, err))
	message := []byte("Suite: stable\n- dash\nEnd: here\n")
	signed, err := key.ClearSign(message, created.Add(time.Minute))
	if out := run("--verify", write("InRelease", signed, err)); !strings.Contains(out, "VALIDSIG "+key.Fingerprint()) {
		t.Errorf("clear signature: %s", out)
	}
	detached, err := key.DetachSign(message, created.Add(time.Minute))
	if out := run("--verify", write("Release.gpg", detached, err), write("Release", message, nil)); !strings.Contains(out, "VALIDSIG "+key.Fingerprint()) {
		t.Errorf("detached signature: %s", out)
	}

	private, err := key.EncryptedArmor([]byte("secret"))
	file := write("private.asc", private, err)
	run("--import", file)
	run("--detach-sign", "--output", filepath.Join(home, "by-gpg"), filepath.Join(home, "Release"))
	back, err := signing.ParsePGPKey(private, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if back.Fingerprint() != key.Fingerprint() {
		t.Error("another key came back")
	}
	if _, err := back.ClearSign(message, created.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if _, err := signing.ParsePGPKey(private, []byte("wrong")); fault.KindOf(err) != fault.Input {
		t.Errorf("wrong password: %v", err)
	}
}
