package records_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"imgbuild/images/updates/records"
)

const killDir = "IMGBUILD_TEST_RECORDS"

const adaAlone = "ada: {role: approver, keys: [{ssh: ADA}]}"

// TestKilledWritersLoseNoRecord kills pairs of processes that add records to one
// archive: what they said was added is there, each record stands on those before it,
// and nothing else is left.
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
		var output, failed [2]bytes.Buffer
		var writers []*exec.Cmd
		for i := range output {
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWritersLoseNoRecord$")
			cmd.Env = append(os.Environ(), killDir+"="+shop.dir)
			cmd.Stdout, cmd.Stderr = &output[i], &failed[i]
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			writers = append(writers, cmd)
		}
		time.Sleep(60*time.Millisecond + rand.N(100*time.Millisecond))
		for _, cmd := range writers {
			_ = cmd.Process.Kill()
		}
		for i, cmd := range writers {
			_ = cmd.Wait() // killed, as meant
			if failed[i].Len() > 0 {
				t.Fatalf("a writer failed: %s", failed[i].String())
			}
			for line := range bytes.Lines(output[i].Bytes()) {
				if line = bytes.TrimSpace(line); len(line) == 64 {
					said[string(line)] = true
				}
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
