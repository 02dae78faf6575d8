package records_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/records"
)

func TestRecordsStandOnEachOther(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	if got, err := s.Load(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("an archive without records: %v, %v", got, err)
	}
	mustAdd(t, s, discovered("nginx", "openssl"), shop.project)
	mustAdd(t, s, evaluated("nginx", "openssl"), shop.project)
	mustAdd(t, s, approved("nginx"), shop.ada)
	last := mustAdd(t, s, approved("nginx"), shop.bob)
	got := state(t, s, "nginx")
	if !slices.Equal(got.People(), []string{"ada", "bob"}) || got.Stage != life.StageEvaluated || len(got.Disregarded) > 0 {
		t.Errorf("%+v", got)
	}
	h, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.Heads, []string{last}) {
		t.Errorf("heads %v, want %s", h.Heads, last)
	}
	info, err := os.Stat(s.Path(last))
	if err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// An archive that is full takes nothing more in, and can be read as before.
func TestAFullArchiveIsRead(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	s.Hold(2)
	mustAdd(t, s, discovered("nginx"), shop.project)
	mustAdd(t, s, evaluated("nginx"), shop.project)
	if _, err := s.Add(t.Context(), approved("nginx"), shop.ada); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "the limit is 2") {
		t.Errorf("one too many: %v", err)
	}
	if got := state(t, s, "nginx"); got.Stage != life.StageEvaluated {
		t.Errorf("%+v", got)
	}
}

// A hold and a rejection that others have long stood on are named by who takes them back.
func TestWhatIsTakenBackIsNamed(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	mustAdd(t, s, evaluatedAfter(t, s, shop), shop.project)
	held, rejected, reopened := approved("nginx"), approved("nginx"), approved("nginx")
	held.Action, held.Rule, held.Until = life.Held, "", shop.now.UTC().Truncate(time.Second).Add(time.Hour)
	rejected.Action, rejected.Rule = life.Rejected, ""
	reopened.Action, reopened.Rule = life.Reopened, ""
	mustAdd(t, s, held, shop.ada)
	mustAdd(t, s, rejected, shop.bob)
	for range 3 {
		mustAdd(t, s, discovered("nginx"), shop.project)
	}
	mustAdd(t, s, reopened, shop.ada)
	if got := state(t, s, "nginx"); got.Hold != nil || got.Rejection != nil || len(got.Disregarded) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestWhatWouldCountForNothingIsNotSigned(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	mustAdd(t, s, evaluatedAfter(t, s, shop), shop.project)
	for name, c := range map[string]struct {
		key  records.Key
		r    life.Record
		want string
	}{
		"a stranger":               {shop.stranger, approved("nginx"), "is nobody's in the roster"},
		"a machine":                {shop.project, approved("nginx"), "only an approver"},
		"what is not evaluated":    {shop.ada, approved("openssl"), "not evaluated yet"},
		"what nobody has heard of": {shop.ada, approved("unheard"), "not discovered yet"},
	} {
		if _, err := s.Add(t.Context(), c.r, c.key); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// evaluatedAfter discovers nginx and openssl, and is the evaluation of nginx.
func evaluatedAfter(t *testing.T, s *records.Store, shop *shop) life.Record {
	t.Helper()
	mustAdd(t, s, discovered("nginx", "openssl"), shop.project)
	return evaluated("nginx")
}

func TestWhatIsDamagedOrForgedIsRefused(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	mustAdd(t, s, evaluatedAfter(t, s, shop), shop.project)
	digest := mustAdd(t, s, approved("nginx"), shop.ada)
	envelope, err := os.ReadFile(s.Path(digest))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(data []byte) {
		t.Helper()
		if err := os.Chmod(s.Path(digest), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Path(digest), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, bad := range map[string][]byte{
		"changed":  bytes.Replace(envelope, []byte("payload\":\"ey"), []byte("payload\":\"eyy"), 1),
		"cut":      envelope[:len(envelope)/2],
		"emptied":  nil,
		"extended": append(bytes.Clone(envelope), ' '),
	} {
		replace(bad)
		if _, err := s.Load(t.Context()); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), digest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	replace(envelope)
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	// One that names ada's key under what she never signed, with a name that fits.
	forged := forge(t, envelope)
	if err := os.WriteFile(s.Path(digestOf(forged)), forged, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(t.Context())
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "of ada, whose signature it does not have") || fault.HintOf(err) == "" {
		t.Errorf("forged: got %v, hint %q", err, fault.HintOf(err))
	}
	if err := os.Remove(s.Path(digestOf(forged))); err != nil {
		t.Fatal(err)
	}
	// Nor may anybody give a record another name by writing it otherwise.
	for name, copied := range map[string][]byte{
		"a line more": append(bytes.Clone(envelope), '\n'),
		"a blank":     bytes.Replace(envelope, []byte(`","payload"`), []byte(`", "payload"`), 1),
		"base 64":     bytes.Replace(envelope, []byte(`"payload":"`), []byte(`"payload":"\n`), 1),
		"a key more":  bytes.Replace(envelope, []byte(`{"payloadType"`), []byte(`{"x":1,"payloadType"`), 1),
	} {
		path := s.Path(digestOf(copied))
		if err := os.WriteFile(path, copied, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context()); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	// A record that others stand on is missed; the newest alone is not.
	mustAdd(t, s, approved("nginx"), shop.bob)
	if err := os.Remove(s.Path(digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.History(t.Context()); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "taken away") {
		t.Errorf("taken away: got %v", err)
	}
	if err := os.WriteFile(s.Path(digest), envelope, 0o444); err != nil {
		t.Fatal(err)
	}
	if got := state(t, s, "nginx").People(); !slices.Equal(got, []string{"ada", "bob"}) {
		t.Errorf("brought back: %v", got)
	}
}

// TestProjectsShareAnArchive has another project approve in the same archive, and
// somebody who was in the roster once.
func TestProjectsShareAnArchive(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	other := newShop(t)
	other.dir = shop.dir
	theirs := other.open(t, "eve: {role: approver, keys: [{ssh: EVE}]}")
	for range 3 {
		mustAdd(t, theirs, discovered("nginx"), other.project)
	}
	mustAdd(t, s, evaluatedAfter(t, s, shop), shop.project)
	mustAdd(t, s, approved("nginx"), shop.ada)
	mustAdd(t, s, approved("nginx"), shop.bob)
	mustAdd(t, s, approved("nginx"), shop.ada)

	own, err := s.OwnHistory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := own.States[update("nginx").SHA256]; !slices.Equal(u.People(), []string{"bob", "ada"}) || len(own.Disregarded) > 0 || len(own.Heads) != 1 {
		t.Errorf("own: %+v", u)
	}
	all, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := all.States[update("nginx").SHA256]; !slices.Equal(u.People(), []string{"bob", "ada"}) || len(all.Disregarded) != 3 {
		t.Errorf("all: %+v, disregarded %d", u, len(all.Disregarded))
	}
	// Bob is gone, yet ada's last record stands on his.
	gone, err := shop.open(t, "ada: {role: approver, keys: [{ssh: ADA, last: "+own.Heads[0]+"}]}").OwnHistory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := gone.States[update("nginx").SHA256]; !slices.Equal(u.People(), []string{"ada"}) || len(gone.Disregarded) != 1 {
		t.Errorf("without bob: %+v", u)
	}
}

// wrong has ada's name, and signs with a key of its own.
type wrong struct {
	ada records.Key
	records.Key
}

func (w wrong) KeyID() (string, error) { return w.ada.KeyID() }

func TestASignatureThatDoesNotHoldIsNotKept(t *testing.T) {
	shop := newShop(t)
	s := shop.open(t, twoApprovers)
	if _, err := s.Add(t.Context(), discovered("nginx"), wrong{shop.ada, shop.stranger}); fault.KindOf(err) != fault.Failed {
		t.Errorf("got %v", err)
	}
	if digests, err := s.Digests(); err != nil || len(digests) > 0 {
		t.Errorf("there are %v, %v", digests, err)
	}
}

func TestAPipeIsNoRecord(t *testing.T) {
	s := newShop(t).open(t, twoApprovers)
	path := s.Path(strings.Repeat("a", 64))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), unix.Mkfifo(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func(context.Context) (*life.History, error){s.History, s.OwnHistory} {
		if _, err := read(t.Context()); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "is no regular file") {
			t.Errorf("got %v", err)
		}
	}
}
