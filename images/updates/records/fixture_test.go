package records_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/ssh"

	"imgbuild/images/signing"
	"imgbuild/images/signing/sshsig"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/records"
	"imgbuild/images/updates/roster"
)

// shop is an archive whose roster has ada with an SSH key and bob with one of the
// project's kind, and whose project key is a pipeline's.
type shop struct {
	dir           string
	now           time.Time
	ada, stranger *sshsig.Key
	bob, project  *signing.Key
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{dir: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ada: sshKey(t, "ada"), stranger: sshKey(t, "eve")}
	for _, key := range []**signing.Key{&s.bob, &s.project} {
		made, err := signing.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		*key = made
	}
	return s
}

// sshKey is a key that follows from its name, so that several processes have it.
func sshKey(t *testing.T, name string) *sshsig.Key {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	key, err := sshsig.NewKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const twoApprovers = `ada:
  role: approver
  keys:
    - ssh: ADA
bob:
  name: Bob Example
  role: approver
  keys:
    - file: keys/bob.pub
`

// roster reads a roster; ADA and EVE in it stand for public keys.
func (s *shop) roster(t *testing.T, text string) *roster.Roster {
	t.Helper()
	r, err := s.parse(text)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: "this project", Key: s.project.Public()})
	if err != nil {
		t.Fatal(err)
	}
	return r.WithProject(trust)
}

func (s *shop) parse(text string) (*roster.Roster, error) {
	text = strings.NewReplacer("ADA", s.ada.Public().Line(), "EVE", s.stranger.Public().Line()).Replace(text)
	files := fstest.MapFS{"keys/bob.pub": {Data: s.bob.Public().PEM()}}
	return roster.Parse("approvers.yaml", files, []byte(text))
}

func (s *shop) open(t *testing.T, text string) *records.Store {
	t.Helper()
	return records.Open(s.dir, s.roster(t, text), func() time.Time { return s.now })
}

func update(name string) life.Update {
	return life.Update{
		Kind: life.Deb, Name: name, Version: "2", Architecture: "amd64", Source: name, SourceVersion: "2",
		SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(name))), Size: 1, Archive: "debian", Suite: "bookworm", Path: "pool/" + name + ".deb",
	}
}

func discovered(names ...string) life.Record {
	r := life.Record{Action: life.Discovered, Who: "ci@runner", Why: "bookworm has it"}
	for _, name := range names {
		r.Updates = append(r.Updates, update(name))
	}
	return r
}

func evaluated(names ...string) life.Record {
	r := discovered(names...)
	r.Action = life.Evaluated
	for range names {
		r.Evaluations = append(r.Evaluations, life.Evaluation{Applies: []life.Applies{{Baseline: "shop", Architecture: "amd64", Sets: []string{"root"}, Why: "it has an older one"}}})
	}
	return r
}

func approved(names ...string) life.Record {
	r := discovered(names...)
	r.Action, r.Rule, r.Why = life.Approved, life.ByPerson, "it is needed"
	return r
}

func mustAdd(t *testing.T, s *records.Store, r life.Record, key records.Key) string {
	t.Helper()
	digest, err := s.Add(t.Context(), r, key)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func state(t *testing.T, s *records.Store, name string) *life.State {
	t.Helper()
	h, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.States[update(name).SHA256]
}
