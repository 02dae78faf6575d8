package builder_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killSeed draws when bakes are killed; the moments themselves depend on the
// machine as well.
const killSeed = 20260101

// randomKills is how many bakes must die at random moments.
const randomKills = 50

// TestKilledBakesGoOn kills one bake after the other with SIGKILL, now the
// whole process group, now only the process that was started. After each, no
// process and no mount is left, the catalog is whole, and the next bake works
// on what is there. In the end the image is that of a bake nobody disturbed.
func TestKilledBakesGoOn(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all")
	k := &killer{shop: s, rnd: rand.New(rand.NewPCG(killSeed, 0))}
	want := k.learn(t)

	t.Run("anywhere", func(t *testing.T) {
		s.forget(t, 0)
		k.kill(t, randomKills/2, func() time.Duration {
			done := len(s.finished(t))
			if done >= len(k.stages) { // nothing is left but the version
				done = k.rnd.IntN(len(k.stages))
				s.forget(t, done)
			}
			return k.left(done)
		})
	})
	t.Run("while the version is made", func(t *testing.T) {
		s.bake(t)
		k.kill(t, randomKills-randomKills/2, func() time.Duration {
			s.forget(t, all)
			if k.killed%3 == 0 {
				s.forgetLayers(t)
				return max(k.version, k.layers)
			}
			return k.version
		})
	})
	t.Run("at the end of each stage", func(t *testing.T) {
		s.forget(t, 0)
		s.forgetLayers(t)
		if got := s.bakeKilledAtEachStage(t); got.Container != want.Container {
			t.Errorf("the container is %s, undisturbed it was %s", got.Container, want.Container)
		}
	})
	t.Logf("%d of %d bakes died of SIGKILL at a random moment", k.killed, k.started)
	if k.killed < randomKills {
		t.Errorf("%d bakes died of SIGKILL at a random moment, want %d", k.killed, randomKills)
	}
	if got := s.bake(t); got.Container != want.Container {
		t.Errorf("the container is %s, undisturbed it was %s", got.Container, want.Container)
	}
	if n := len(s.wholeCatalog(t)); n != 1 {
		t.Errorf("the catalog has %d versions of one image", n)
	}
	s.nothingHalfMade(t)
}

// killer kills bakes at moments drawn from what is left of them.
type killer struct {
	*shop
	rnd *rand.Rand
	// stages are when each stage was done in a bake of everything, version how
	// long one takes that only has to make the version, and layers how long
	// that is where the container's layers are still to be compressed.
	stages          []time.Duration
	version, layers time.Duration
	// killed of the started bakes died of SIGKILL.
	killed, started int
}

// learn bakes undisturbed and learns how long the parts of that take.
func (k *killer) learn(t *testing.T) *baked {
	t.Helper()
	r := k.start(t)
	code, said := r.wait()
	if code != 0 || len(r.ends) < 2 {
		t.Fatalf("a bake nobody disturbed: exit code %d after %d stages:\n%s", code, len(r.ends), said)
	}
	k.stages = r.ends[:len(r.ends)-1] // the last one is the container
	k.layers = r.took - k.stages[len(k.stages)-1]
	k.forget(t, all)
	began := time.Now()
	want := k.bake(t)
	k.version = time.Since(began)
	return want
}

// left is how long a bake takes that finds the first stages done.
func (k *killer) left(done int) time.Duration {
	left := k.stages[len(k.stages)-1] + k.version
	if done > 0 {
		left -= k.stages[done-1]
	}
	return left
}

// kill starts bakes until so many died of SIGKILL. Before each, prepare leaves
// something to do and says how long that takes.
func (k *killer) kill(t *testing.T, wanted int, prepare func() time.Duration) {
	t.Helper()
	for killed, started := 0, 0; killed < wanted; started++ {
		if started == 4*wanted {
			t.Fatalf("only %d of %d bakes were killed: they ended before", killed, started)
		}
		if k.killAfter(t, time.Duration(k.rnd.Float64()*float64(prepare())), k.started%2 == 0) {
			killed++
			k.killed++
		}
		k.started++
	}
}

// TestInterruptedBakesSaySo sends what Ctrl-C and a shutdown send.
func TestInterruptedBakesSaySo(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all")
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		group  bool
	}{{"Ctrl-C on a terminal", syscall.SIGINT, true}, {"SIGINT", syscall.SIGINT, false}, {"SIGTERM", syscall.SIGTERM, false}} {
		r := s.start(t)
		r.until(t, regexp.MustCompile(`fetch:`))
		time.Sleep(300 * time.Millisecond)
		sent := time.Now()
		r.signal(t, c.signal, c.group)
		code, said := r.wait()
		if code != 1 || !strings.Contains(said, "interrupted") || !strings.Contains(said, "run the same command again") {
			t.Errorf("%s: exit code %d, said %q", c.name, code, said)
		}
		if took := time.Since(sent); took > 20*time.Second {
			t.Errorf("%s: ended after %v", c.name, took)
		}
		s.nothingLeft(t)
		s.nothingHalfMade(t)
	}
	s.bake(t)
}

// all keeps every stage.
const all = -1

// forget takes the versions out of the catalog, and all stages but the oldest
// few out of the cache, so that a bake has work to do.
func (s *shop) forget(t *testing.T, keep int) {
	t.Helper()
	if err := os.RemoveAll(s.catalogDir()); err != nil {
		t.Fatal(err)
	}
	if keep == all {
		return
	}
	type made struct {
		path  string
		inode time.Time
	}
	var stages []made
	for _, path := range s.finished(t) {
		info, err := os.Stat(filepath.Join(path, "definition.json"))
		if err != nil {
			t.Fatal(err)
		}
		stages = append(stages, made{path, info.ModTime()})
	}
	slices.SortFunc(stages, func(a, b made) int { return a.inode.Compare(b.inode) })
	for _, m := range stages[min(keep, len(stages)):] {
		if err := os.RemoveAll(m.path); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *shop) forgetLayers(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(s.cache(), "layers")); err != nil {
		t.Fatal(err)
	}
}

// finished lists the directories of finished stages.
func (s *shop) finished(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.stages(), strings.Repeat("[0-9a-f]", 64)))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// killAfter starts a bake and kills it unless it is faster.
func (s *shop) killAfter(t *testing.T, delay time.Duration, group bool) (killed bool) {
	t.Helper()
	r := s.start(t)
	select {
	case <-r.ended:
	case <-time.After(delay):
		r.signal(t, syscall.SIGKILL, group)
	}
	code, said := r.wait()
	if killed = r.killed(); !killed && code != 0 {
		t.Fatalf("a bake after a kill ended with exit code %d:\n%s", code, said)
	}
	s.nothingLeft(t)
	s.wholeCatalog(t)
	return killed
}

// stageEnd is the line of a stage, or of the container, that was just made.
var stageEnd = regexp.MustCompile(`(?m)^done +(?:(container)|(.*): [0-9a-f]{12} )`)

// endOf is the title of the stage that the last such line of a text tells of.
func endOf(said string) string {
	found := stageEnd.FindAllStringSubmatch(said, -1)
	if found == nil {
		return ""
	}
	last := found[len(found)-1]
	return last[1] + last[2]
}

// bakeKilledAtEachStage bakes, killed as soon as a stage is told to be done,
// for every stage of the plan and the container, each time on what the killed
// bakes before left behind; then it bakes to the end.
func (s *shop) bakeKilledAtEachStage(t *testing.T) *baked {
	t.Helper()
	stdout, err := s.run(t.Context(), "bake", s.baseline, "--plan", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var planned []struct{ Stage string }
	if err := json.Unmarshal(stdout, &planned); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, p := range planned {
		titles = append(titles, p.Stage)
	}
	kills := 0
	for _, title := range append(titles, "container") {
		for try := 1; ; try++ {
			before := s.finished(t)
			r := s.start(t)
			r.until(t, stageEnd)
			r.signal(t, syscall.SIGKILL, kills%2 == 0)
			kills++
			code, said := r.wait()
			s.nothingLeft(t)
			s.wholeCatalog(t)
			if r.killed() && endOf(said) == title {
				break
			}
			if try == 10 || code > 0 {
				t.Fatalf("after %d kills no bake was killed at the end of %q: the last one ended with exit code %d:\n%s", try, title, code, said)
			}
			// A stage that takes no time ended before the kill of the one below arrived.
			s.forgetBut(t, before)
		}
	}
	t.Logf("%d kills at the ends of %d stages", kills, len(titles)+1)
	return s.bake(t)
}

// forgetBut takes the versions out of the catalog, and all stages but those
// out of the cache.
func (s *shop) forgetBut(t *testing.T, kept []string) {
	t.Helper()
	s.forget(t, all)
	for _, path := range s.finished(t) {
		if !slices.Contains(kept, path) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// run is a bake under way.
type run struct {
	cmd    *exec.Cmd
	stdout strings.Builder
	lines  chan string
	ended  chan struct{}
	said   strings.Builder
	// ends are when stages and the container were told to be done, and took
	// when the bake ended, since its start.
	ends []time.Duration
	took time.Duration
}

func (s *shop) start(t *testing.T) *run {
	t.Helper()
	cmd, err := s.command(context.WithoutCancel(t.Context()), "bake", s.baseline, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{cmd: cmd, lines: make(chan string, 1000), ended: make(chan struct{})}
	cmd.Stdout = &r.stdout
	reader, writer := io.Pipe()
	cmd.Stderr = writer
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(r.lines)
		for in := bufio.NewScanner(reader); in.Scan(); {
			fmt.Fprintln(&r.said, in.Text())
			if stageEnd.MatchString(in.Text()) {
				r.ends = append(r.ends, time.Since(began))
			}
			r.lines <- in.Text()
		}
	}()
	go func() {
		cmd.Wait()
		r.took = time.Since(began)
		writer.Close()
		<-read
		close(r.ended)
	}()
	return r
}

// until returns the next line that matches, "" at the end.
func (r *run) until(t *testing.T, pattern *regexp.Regexp) string {
	t.Helper()
	for line := range r.lines {
		if pattern.MatchString(line) {
			return line
		}
	}
	return ""
}

func (r *run) signal(t *testing.T, what syscall.Signal, group bool) {
	t.Helper()
	pid := r.cmd.Process.Pid
	if group {
		pid = -pid
	}
	if err := syscall.Kill(pid, what); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
}

// wait returns the exit code, -1 after a signal, and what was said.
func (r *run) wait() (code int, said string) {
	<-r.ended
	return r.cmd.ProcessState.ExitCode(), r.said.String()
}

// killed says whether the bake died of SIGKILL.
func (r *run) killed() bool {
	<-r.ended
	status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// nothingLeft fails the test when a process or a mount of the shop's bakes
// outlives them for longer than their killing takes.
func (s *shop) nothingLeft(t *testing.T) {
	t.Helper()
	var left []string
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if left = s.leftovers(t); len(left) == 0 {
			return
		}
	}
	t.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
}

// leftovers lists mounts below the cache in this process's mount namespace,
// and processes that were started for the shop or have its stages mounted.
func (s *shop) leftovers(t *testing.T) []string {
	t.Helper()
	var left []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(string(mounts)) {
		if strings.Contains(line, s.stages()) {
			left = append(left, "mount: "+line)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		environ, _ := os.ReadFile(p + "/environ") // a process that is gone has none
		mounted, _ := os.ReadFile(p + "/mountinfo")
		if strings.Contains(string(environ), s.cache()) || strings.Contains(string(mounted), s.stages()) {
			name, _ := os.ReadFile(p + "/cmdline")
			left = append(left, fmt.Sprintf("process: %s %q", p, name))
		}
	}
	return left
}

// nothingHalfMade fails the test when unfinished work is in the caches although
// the last run had the time to tidy up.
func (s *shop) nothingHalfMade(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"stages/work/*", "stages/trash/*"} {
		found, err := filepath.Glob(filepath.Join(s.cache(), pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			t.Errorf("unfinished work remains: %v", found)
		}
	}
}
