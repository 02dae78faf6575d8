package updates_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"imgbuild/images/updates"
	"imgbuild/images/updates/updatestest"
)

const killDir = "IMGBUILD_TEST_STORE"

// contents is what the killed processes write: the same in every process.
func contents() [][]byte {
	all := make([][]byte, 30)
	for i := range all {
		all[i] = bytes.Repeat([]byte(fmt.Sprintf("%02d ", i)), 20000+i*500)
	}
	return all
}

// writeForever puts and downloads all contents again and again, until killed.
func writeForever(dir string) error {
	s, err := updates.Open(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for {
		for _, i := range rand.Perm(30) {
			b := contents()[i]
			sum, size := updatestest.Sum(b), int64(len(b))
			if i%2 == 0 {
				err = s.Put(ctx, sum, size, bytes.NewReader(b))
			} else {
				err = download(s, sum, b)
			}
			if err == nil && rand.IntN(3) == 0 {
				err = s.Remove(sum)
			}
			if err == nil && rand.IntN(10) == 0 {
				err = s.Sweep(ctx)
			}
			if err != nil {
				return err
			}
		}
	}
}

// download appends in small pieces from where the last process was killed.
func download(s *updates.Store, sum string, b []byte) error {
	p, err := s.Partial(context.Background(), sum, int64(len(b)))
	if errors.Is(err, updates.ErrPresent) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	for at := int(p.Offset()); at < len(b); at += 5000 {
		if _, err := p.Write(b[at:min(at+5000, len(b))]); err != nil {
			return err
		}
	}
	return p.Commit()
}

func TestKilledWritersLeaveNoHalfFile(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := writeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	dir := t.TempDir()
	s := open(t, dir)
	for round := range 30 {
		var output bytes.Buffer
		var writers []*exec.Cmd
		for range 2 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWritersLeaveNoHalfFile$")
			cmd.Env = append(os.Environ(), killDir+"="+dir)
			cmd.Stderr = &output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			writers = append(writers, cmd)
		}
		time.Sleep(30*time.Millisecond + rand.N(100*time.Millisecond))
		for _, cmd := range writers {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatalf("a writer failed by itself: %s", output.String())
			}
		}
		for _, cmd := range writers {
			_ = cmd.Wait() // killed, as meant
		}
		if output.Len() > 0 {
			t.Fatalf("a writer failed: %s", output.String())
		}
		items, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if err := s.Verify(t.Context(), item.SHA256); err != nil {
				t.Fatalf("after kill %d: %v", round, err)
			}
		}
	}
	// What the killed left is either continued or swept.
	for _, b := range contents() {
		if err := download(s, updatestest.Sum(b), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) != len(contents()) {
		t.Errorf("%d files are left for %d contents", len(left), len(contents()))
	}
}
