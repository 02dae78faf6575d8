package records_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"imgbuild/images/fault"
	"imgbuild/images/updates/records"
)

// Records of elsewhere join those that are here, in an order that leaves a whole
// history wherever it is broken off.
func TestRecordsOfElsewhereArrive(t *testing.T) {
	s := newShop(t)
	from := s.open(t, twoApprovers)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		mustAdd(t, from, discovered(name), s.project)
	}
	digests, err := from.Digests()
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the medium is gone")
	for most := range len(digests) + 1 {
		rand.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
		to := records.Open(t.TempDir(), from.Roster, from.Now)
		left := -1 // as many as are asked for
		arrival, err := to.Arrive(t.Context(), digests, func(digest string) ([]byte, error) {
			if left == 0 {
				return nil, broken
			}
			left--
			return os.ReadFile(from.Path(digest))
		})
		if err != nil {
			t.Fatal(err)
		}
		left = most
		taken, err := to.Take(t.Context(), arrival)
		if taken != most || (most < len(digests)) != errors.Is(err, broken) {
			t.Fatalf("%d of %d taken, %v", taken, most, err)
		}
		if h, err := to.History(t.Context()); err != nil || len(h.States) != most {
			t.Fatalf("after %d records: %v", most, err)
		}
		// Again: what is there is left alone.
		if arrival, err = to.Arrive(t.Context(), digests, func(digest string) ([]byte, error) { return os.ReadFile(from.Path(digest)) }); err != nil {
			t.Fatal(err)
		}
		if taken, err := to.Take(t.Context(), arrival); err != nil || taken != len(digests)-most {
			t.Fatalf("%d more taken, %v", taken, err)
		}
	}
}

func TestRecordsOfElsewhereAreJudged(t *testing.T) {
	s := newShop(t)
	from := s.open(t, twoApprovers)
	first, second := mustAdd(t, from, discovered("a"), s.project), mustAdd(t, from, discovered("b"), s.project)
	to := records.Open(t.TempDir(), from.Roster, from.Now)
	read := func(digest string) ([]byte, error) { return os.ReadFile(from.Path(digest)) }
	if _, err := to.Arrive(t.Context(), []string{second}, read); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "stands on record "+first[:12]) {
		t.Errorf("without the first: %v", err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"changed": func(b []byte) []byte { return append(b, '\n') },
		"forged":  func(b []byte) []byte { return bytes.Replace(b, []byte(`"sig":"M`), []byte(`"sig":"N`), 1) },
		"two of them": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"signatures":[`), []byte(`"signatures":[{},`), 1)
		},
		"no envelope": func([]byte) []byte { return []byte("x") },
		"no record":   func(b []byte) []byte { return bytes.Replace(b, []byte(`"payload":"`), []byte(`"payload":"AAAA`), 1) },
		"other kind":  func(b []byte) []byte { return bytes.Replace(b, []byte("imgbuild.update"), []byte("imgbuild.other"), 1) },
	} {
		b, err := read(first)
		if err != nil {
			t.Fatal(err)
		}
		b = change(b)
		_, err = to.Arrive(t.Context(), []string{fmt.Sprintf("%x", sha256.Sum256(b))}, func(string) ([]byte, error) { return b, nil })
		if fault.KindOf(err) != fault.World {
			t.Errorf("%s: %v", name, err)
		}
	}
	if digests, err := to.Digests(); err != nil || len(digests) > 0 {
		t.Errorf("there are %v, %v", digests, err)
	}
}
