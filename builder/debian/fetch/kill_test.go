package fetch_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"imgbuild/builder/debian/fetch"
	"imgbuild/images/updates"
)

const (
	killDir    = "IMGBUILD_TEST_FETCH"
	killMirror = "IMGBUILD_TEST_MIRROR"
)

func killFiles() []file {
	var files []file
	for i := range 6 {
		files = append(files, newFile(fmt.Sprintf("p%d", i), 400000+i*1000, uint64(i)))
	}
	return files
}

// TestKilledFetchContinues kills a process that fetches from a slow mirror, at
// random moments, until one call of All finds everything.
func TestKilledFetchContinues(t *testing.T) {
	files := killFiles()
	if dir := os.Getenv(killDir); dir != "" {
		store, err := updates.Open(dir)
		if err == nil {
			f := &fetch.Fetcher{Store: store, Sources: []fetch.Source{
				fetch.Mirror{Bases: map[string]string{"debian": os.Getenv(killMirror)}}}}
			err = f.All(t.Context(), all(files...))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	m := serve(t, files...)
	var sent atomic.Int64
	m.fault = func(w http.ResponseWriter, r *http.Request, f file, _ int) bool {
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", fmt.Sprint(len(f.bytes)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(f.bytes)-1, len(f.bytes)))
			w.WriteHeader(http.StatusPartialContent)
		}
		for at := from; at < len(f.bytes); at += 4000 {
			n, err := w.Write(f.bytes[at:min(at+4000, len(f.bytes))])
			sent.Add(int64(n))
			if err != nil {
				break
			}
			http.NewResponseController(w).Flush()
			time.Sleep(2 * time.Millisecond)
		}
		return true
	}
	fetcher := newFetcher(t, m.source())
	dir := fetcher.Store.Dir()
	kills := 0
	for done := false; !done; kills++ {
		if kills > 100 {
			t.Fatal("killed 100 times without getting on")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledFetchContinues$")
		cmd.Env = append(os.Environ(), killDir+"="+dir, killMirror+"="+m.URL+"/debian")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the fetch failed by itself: %v", err)
			}
			done = true
		case <-time.After(40*time.Millisecond + rand.N(120*time.Millisecond)):
			_ = cmd.Process.Kill() // it may have ended just now
			<-ended
		}
	}
	mustHave(t, fetcher, files...)
	var total int64
	for _, f := range files {
		total += f.Size
	}
	// What the kernel had buffered for a killed reader is lost.
	t.Logf("%d kills, %d bytes sent of %d", kills-1, sent.Load(), total)
	if kills > 1 && (len(m.ranges) == 0 || sent.Load() > 2*total) {
		t.Error("what had arrived was fetched again")
	}
}
