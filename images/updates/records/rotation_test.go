package records_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"imgbuild/images/updates/life"
)

// TestRostersDecideWhoCounts has ada approve nginx, then reads the records under
// rosters that changed since.
func TestRostersDecideWhoCounts(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	mustAdd(t, s, evaluatedAfter(t, s, shop), shop.project)
	shop.now = shop.now.Add(time.Hour)
	made := mustAdd(t, s, approved("nginx"), shop.ada)

	const bob = "\nbob: {role: approver, keys: [{file: keys/bob.pub}]}"
	for name, c := range map[string]struct{ roster, void string }{
		"as it was":                  {twoApprovers, ""},
		"rotated later":              {"ada: {role: approver, keys: [{ssh: ADA, until: 2026-03-02}, {ssh: EVE, from: 2026-03-02}]}" + bob, ""},
		"rotated, with its last one": {"ada: {role: approver, keys: [{ssh: ADA, until: 2026-03-02, last: " + made + "}]}" + bob, ""},
		"rotated before":             {"ada: {role: approver, keys: [{ssh: ADA, until: 2026-03-01}]}" + bob, "of ada did not count on 2026-03-01T13:00:00Z: it counts until 2026-03-01T00:00:00Z"},
		"not in use yet":             {"ada: {role: approver, keys: [{ssh: ADA, from: 2026-03-02}]}" + bob, "it counts from 2026-03-02"},
		"left before":                {"ada: {role: approver, until: 2026-03-01, keys: [{ssh: ADA}]}" + bob, "ada was not in the roster on 2026-03-01T13:00:00Z"},
		"came later":                 {"ada: {role: approver, from: 2026-03-02, keys: [{ssh: ADA}]}" + bob, "ada was not in the roster"},
		"revoked":                    {"ada: {role: approver, keys: [{ssh: ADA, revoked: the laptop was stolen}]}" + bob, "of ada is revoked: the laptop was stolen"},
		"taken out":                  {bob, "is nobody's in the roster"},
		"an earlier last one":        {"ada: {role: approver, keys: [{ssh: ADA, last: " + strings.Repeat("a", 64) + "}]}" + bob, "not among those up to aaaaaaaaaaaa"},
		"no approver any more":       {"ada: {role: pipeline, keys: [{ssh: ADA}]}" + bob, "ada is a pipeline in the roster"},
	} {
		got := state(t, shop.open(t, c.roster), "nginx")
		switch {
		case c.void == "" && (!slices.Equal(got.People(), []string{"ada"}) || len(got.Disregarded) > 0):
			t.Errorf("%s: approved by %v, disregarded %+v", name, got.People(), got.Disregarded)
		case c.void != "" && (len(got.People()) > 0 || len(got.Disregarded) != 1 || !strings.Contains(got.Disregarded[0].Void, c.void)):
			t.Errorf("%s: approved by %v, disregarded %+v, want %q", name, got.People(), got.Disregarded, c.void)
		}
	}
}

// TestAKeyThatHasGoneCannotBeDatedBack has the holder of a rotated key sign with a
// clock that is turned back. The time alone does not tell; the roster's last record
// does.
func TestAKeyThatHasGoneCannotBeDatedBack(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	mustAdd(t, s, evaluatedAfter(t, s, shop), shop.project)
	last := mustAdd(t, s, approved("nginx"), shop.ada)
	others := mustAdd(t, s, evaluated("openssl"), shop.project)
	mustAdd(t, s, approved("openssl"), shop.ada) // long after, by the old key and an old clock

	const rotated = "ada: {role: approver, keys: [{ssh: ADA, until: 2026-03-02%s}]}"
	if got := state(t, shop.open(t, fmt.Sprintf(rotated, "")), "openssl").People(); len(got) != 1 {
		t.Errorf("by its time alone it counts: %v", got)
	}
	bound := shop.open(t, fmt.Sprintf(rotated, ", last: "+last))
	if got := state(t, bound, "openssl"); len(got.People()) > 0 || !strings.Contains(got.Disregarded[0].Void, "has gone") {
		t.Errorf("%+v", got)
	}
	if got := state(t, bound, "nginx").People(); !slices.Equal(got, []string{"ada"}) {
		t.Errorf("what was approved before: %v", got)
	}
	// Another's record that stands on hers will do.
	if got := state(t, shop.open(t, fmt.Sprintf(rotated, ", last: "+others)), "nginx").People(); !slices.Equal(got, []string{"ada"}) {
		t.Errorf("up to another's record: %v", got)
	}
	if _, err := bound.Add(t.Context(), approved("openssl"), shop.ada); err == nil || !strings.Contains(err.Error(), "has gone") {
		t.Errorf("signing with it: %v", err)
	}
}

func TestRostersAreReadStrictly(t *testing.T) {
	shop := newShop(t)
	for text, want := range map[string]string{
		"ada: {role: boss, keys: [{ssh: ADA}]}":                                                `approvers.yaml:1:13: unknown value "boss" for "role"`,
		"ada: {role: approver, kesy: [{ssh: ADA}]}":                                            `unknown key "kesy"; did you mean "keys"?`,
		"ada: {role: approver}":                                                                `missing key "keys"`,
		"ada:":                                                                                 `"ada" has no role and no keys`,
		"ada: {role: approver, keys: []}":                                                      "expected 1 to 100 keys",
		"ada: {role: approver, keys: [{ssh: nonsense}]}":                                       "reading an SSH public key",
		"ada: {role: approver, keys: [{file: keys/none.pub}]}":                                 `cannot read "keys/none.pub"`,
		"ada: {role: approver, keys: [{ssh: ADA, file: keys/bob.pub}]}":                        `expected either "ssh"`,
		"ada: {role: approver, keys: [{ssh: ADA, until: soon}]}":                               "expected a day such as",
		"ada: {role: approver, keys: [{ssh: ADA, from: 2026-02-01, until: 2026-01-01}]}":       "before it begins",
		"ada: {role: approver, keys: [{ssh: ADA, last: abc}]}":                                 "expected a record's digest",
		"ada: {role: approver, keys: [{ssh: ADA, revoked: lost, until: 2026-01-01}]}":          "neither",
		"Ada: {role: approver, keys: [{ssh: ADA}]}":                                            `"Ada" is no short name`,
		"ada: {role: approver, keys: [{ssh: ADA}]}\nbob: {role: approver, keys: [{ssh: ADA}]}": "is ada's already",
		"- ada": "expected a map of people",
	} {
		if _, err := shop.parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// forge is an envelope with another update in it, under the same signature.
func forge(t *testing.T, envelope []byte) []byte {
	t.Helper()
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	r, err := life.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	r.Updates = []life.Update{update("openssl")}
	if payload, err = r.Encode(); err != nil {
		t.Fatal(err)
	}
	e.Payload = base64.StdEncoding.EncodeToString(payload)
	out, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}
