package builder_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imgbuild/builder/shipped"
)

// circumstance is one thing of a bake's surroundings that must not show in
// what is baked.
type circumstance struct {
	name  string
	apply func(t *testing.T, s *shop)
}

// circumstances are applied to a shop before its first bake.
var circumstances = []circumstance{
	{"tmpfs", func(t *testing.T, s *shop) { s.moveTo(t, tmpfs(t, "size=12g")) }},
	{"host name", func(_ *testing.T, s *shop) {
		s.namespaces |= syscall.CLONE_NEWUTS
		s.wrapper = append([]string{"sh", "-c", `hostname elsewhere.example && exec "$@"`, "sh"}, s.wrapper...)
	}},
	{"time zone", func(_ *testing.T, s *shop) { s.env = append(s.env, "TZ=Pacific/Kiritimati") }},
	{"locale", func(_ *testing.T, s *shop) {
		s.env = append(s.env, "LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8", "LANGUAGE=tr")
	}},
	{"umask", func(_ *testing.T, s *shop) {
		s.wrapper = append([]string{"sh", "-c", `umask 077 && exec "$@"`, "sh"}, s.wrapper...)
	}},
	{"one core", func(_ *testing.T, s *shop) {
		s.wrapper = append([]string{"taskset", "-c", "0"}, s.wrapper...)
		s.env = append(s.env, "GOMAXPROCS=1")
	}},
	{"environment", func(_ *testing.T, s *shop) {
		s.env = append(s.env, "SOURCE_DATE_EPOCH=1", "POSIXLY_CORRECT=1", "DEB_VENDOR=other", "DPKG_FORCE=all", "PERL5LIB=/nowhere", "EDITOR=ed")
	}},
	{"nothing unpacked", func(t *testing.T, s *shop) { s.ownArchive(t) }},
}

// TestSurroundingsDoNotShow bakes one small container in this machine's usual
// surroundings, and with everything around it changed at once: by root, and by
// an ordinary user with subordinate ids. When a digest differs, a bake for each
// circumstance finds out which one it was.
func TestSurroundingsDoNotShow(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	usual := newShop(t, onDisk(t), "proof-all")
	want := usual.bake(t).forms()
	for _, c := range []circumstance{{"as root", nil}, {"as an ordinary user", asOrdinaryUser}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, onDisk(t), "proof-all")
			for _, each := range circumstances {
				each.apply(t, s)
			}
			if c.apply != nil {
				c.apply(t, s)
			}
			if diff := cmp.Diff(want, s.bake(t).forms()); diff != "" {
				t.Errorf("the surroundings show (-usual +other):\n%s", diff)
				blame(t, want, append(circumstances, c))
			}
		})
	}
}

// blame bakes with each circumstance alone.
func blame(t *testing.T, want map[string]string, all []circumstance) {
	for _, c := range all {
		if c.apply == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t, onDisk(t), "proof-all")
			c.apply(t, s)
			if diff := cmp.Diff(want, s.bake(t).forms()); diff != "" {
				t.Errorf("it shows (-usual +other):\n%s", diff)
			}
		})
	}
}

// TestServersAreReproducible bakes a server as it is shipped twice at the same
// time: by root on a disk, and by an ordinary user on a tmpfs with everything
// else around it changed. Container, raw and qcow2 must be equal, and the
// provenance lists what they were made from.
func TestServersAreReproducible(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	usual := newShop(t, onDisk(t), "proof-vm")
	bakesAlike(t, usual, way{"with other surroundings", func(s *shop, t *testing.T) *baked {
		for _, each := range circumstances {
			each.apply(t, s)
		}
		asOrdinaryUser(t, s)
		return s.bake(t)
	}})
	t.Run("provenance", func(t *testing.T) { provenanceListsAllInputs(t, usual) })
}

// TestDisksAreReproducible bakes the least that boots: as usual, killed at the
// end of every stage of its plan, and on another date. Then it changes.
func TestDisksAreReproducible(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	usual := newShop(t, inMemory(t), "proof-server")
	first := bakesAlike(t, usual,
		way{"on another date", (*shop).bakeOnAnotherDate},
		way{"killed at the end of each stage", func(s *shop, t *testing.T) *baked {
			s.moveTo(t, inMemory(t))
			return s.bakeKilledAtEachStage(t)
		}})
	if !t.Failed() {
		t.Run("changed", func(t *testing.T) { incrementalDisks(t, usual, first) })
	}
}

// way is how a shop bakes.
type way struct {
	name string
	bake func(*shop, *testing.T) *baked
}

// bakesAlike bakes a server in every form, in its shop and side by side in shops
// of their own in other ways, which must not show.
func bakesAlike(t *testing.T, usual *shop, ways ...way) (first *baked) {
	t.Helper()
	var mu sync.Mutex
	others := map[string]map[string]string{}
	t.Run("bakes", func(t *testing.T) {
		for _, w := range ways {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				forms := w.bake(newShop(t, onDisk(t), usual.baseline), t).forms()
				mu.Lock()
				defer mu.Unlock()
				others[w.name] = forms
			})
		}
		t.Run("as usual", func(t *testing.T) {
			t.Parallel()
			first = usual.bake(t)
		})
	})
	if first == nil {
		t.FailNow() // it failed, and said so
	}
	want := first.forms()
	if len(want) != 3 {
		t.Fatalf("want a container, a raw and a qcow2 disk, got %v", want)
	}
	// A way that skipped, or failed, has said so.
	for name, got := range others {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("two bakes of one lock differ (-usual +%s):\n%s", name, diff)
		}
	}
	return first
}

// onDisk returns a new directory on a file system of disks, which is where the
// tests' temporary directory is nearly everywhere.
func onDisk(t *testing.T) string {
	t.Helper()
	dir := bakeDir(t, "")
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC {
		if dir = bakeDir(t, "/var/tmp"); unix.Statfs(dir, &st) == nil && st.Type == unix.TMPFS_MAGIC {
			t.Log("no directory for temporary files here is on a disk")
		}
	}
	return dir
}

// inMemory returns a new directory for what need not be on a disk: bakes end
// and are removed faster there.
func inMemory(t *testing.T) string {
	t.Helper()
	const most = 6 << 30
	roomy, err := shipped.Roomy(most)
	if err != nil {
		t.Fatal(err)
	}
	if !roomy {
		return onDisk(t)
	}
	return tmpfs(t, fmt.Sprint("size=", most))
}

// bakeDir makes a directory that every user may enter.
func bakeDir(t *testing.T, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "imgbuild-proof-shop-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tmpfs mounts a new one until the test's end.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := bakeDir(t, "")
	if err := unix.Mount("proof", dir, "tmpfs", 0, "mode=755,"+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error("something of the bake is left on the tmpfs: ", err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	return dir
}

// moveTo moves a shop that has not baked yet.
func (s *shop) moveTo(t *testing.T, dir string) {
	t.Helper()
	project := filepath.Join(dir, "project")
	if err := os.CopyFS(project, os.DirFS(s.project)); err != nil {
		t.Fatal(err)
	}
	s.dir, s.project = dir, project
	s.linkUnpacked(t)
}

// ownArchive gives the shop an empty archive that finds its packages in the
// shared one, as a further place of the configuration, and has it unpack them.
func (s *shop) ownArchive(t *testing.T) {
	t.Helper()
	s.env = append(s.env, "IMGBUILD_ARCHIVE_SOURCES="+s.archive)
	s.archive = filepath.Join(s.dir, "archive")
	if err := os.Remove(s.unpacked()); err != nil {
		t.Fatal(err)
	}
}

// asOrdinaryUser makes a user with subordinate ids, whose shop it then is.
func asOrdinaryUser(t *testing.T, s *shop) {
	t.Helper()
	id := throwAwayUser(t)
	s.user = &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}
	// What only root may do is done by the namespaces' maker.
	if s.namespaces&syscall.CLONE_NEWUTS != 0 {
		s.user = nil
		s.wrapper = append(s.wrapper, "setpriv", "--reuid", strconv.Itoa(id), "--regid", strconv.Itoa(id), "--clear-groups", "--")
	}
	err := filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id, id)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// throwAwayUser adds a user to the machine until the test's end.
func throwAwayUser(t *testing.T) int {
	t.Helper()
	for _, tool := range []string{"useradd", "userdel", "newuidmap", "setpriv"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	name := "imgbuild-proof-" + strconv.Itoa(os.Getpid()%100000) + "-" + strconv.FormatInt(users.Add(1), 36)
	shell(t, "useradd", "--no-create-home", "--shell", "/bin/sh", name)
	t.Cleanup(func() { shell(t, "userdel", name) })
	subordinate, err := os.ReadFile("/etc/subuid")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(subordinate), name+":") {
		first := 1<<30 + os.Getpid()%1000*1<<20 + int(users.Load())*65536
		bounds := fmt.Sprintf("%d-%d", first, first+65535)
		shell(t, "usermod", "--add-subuids", bounds, "--add-subgids", bounds, name)
	}
	id, err := strconv.Atoi(strings.TrimSpace(shell(t, "id", "-u", name)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// shell runs a command of the machine and returns what it wrote.
func shell(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}
