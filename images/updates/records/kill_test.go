package records_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"imgbuild/images/updates/records"
)

const killDir = "IMGBUILD_TEST_RECORDS"

const adaAlone = "ada: {role: approver, keys: [{ssh: ADA}]}"

// TestKilledWritersLoseNoRecord kills pairs of processes that add records to one
// archive, soon after the first was added: what they said was added is
// there, each record stands on those before it, and nothing else is left.
func TestKilledWritersLoseNoRecord(t *testing.T) {
	shop := newShop(t)
	if dir := os.Getenv(killDir); dir != "" {
		s := records.Open(dir, shop.roster(t, adaAlone), time.Now)
		for {
			digest, err := s.Add(t.Context(), discovered(fmt.Sprint("p", rand.IntN(1000))), shop.ada)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(digest)
		}
	}
	s := records.Open(shop.dir, shop.roster(t, adaAlone), time.Now)
	said := map[string]bool{}
	for round := range 8 {
		output, failed := killWriters(t, shop.dir)
		if failed != "" {
			t.Fatalf("a writer failed: %s", failed)
		}
		for line := range strings.Lines(output) {
			// What was cut off in the middle was not said.
			if line = strings.TrimSpace(line); len(line) == 64 {
				said[line] = true
			}
		}
		h, err := s.History(t.Context())
		if err != nil {
			t.Fatalf("after kill %d: %v", round, err)
		}
		if len(h.Heads) > 1 {
			t.Errorf("after kill %d: %d records that no other stands on", round, len(h.Heads))
		}
	}
	mustAdd(t, s, discovered("last"), shop.ada)
	digests, err := s.Digests()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, d := range digests {
		there[d] = true
	}
	for d := range said {
		if !there[d] {
			t.Errorf("record %s was added and is not there", d)
		}
	}
	entries, err := os.ReadDir(shop.dir + "/" + records.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) == 0 || len(entries) != len(digests)+1 {
		t.Errorf("%d files for %d records, of which %d were told", len(entries), len(digests), len(said))
	}
}

// killWriters starts two processes that add records and kills them soon after the
// first record. It gives what they said of records, and of what went wrong.
func killWriters(t *testing.T, dir string) (said, failed string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var errors [2]bytes.Buffer
	var writers []*exec.Cmd
	for i := range errors {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWritersLoseNoRecord$")
		// Killed, they remove nothing that they made.
		cmd.Env = append(os.Environ(), killDir+"="+dir, "TMPDIR="+t.TempDir())
		cmd.Stdout, cmd.Stderr = w, &errors[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, cmd)
	}
	w.Close() // so that r ends with the writers
	first := make([]byte, 1)
	_, err = io.ReadFull(r, first)
	time.Sleep(rand.N(50 * time.Millisecond))
	for _, cmd := range writers {
		_ = cmd.Process.Kill()
	}
	rest, err2 := io.ReadAll(r)
	for _, cmd := range writers {
		_ = cmd.Wait() // killed, as meant
	}
	if failed = errors[0].String() + errors[1].String(); failed == "" && (err != nil || err2 != nil) {
		t.Fatalf("reading what they add: %v, %v", err, err2)
	}
	return string(first) + string(rest), failed
}
