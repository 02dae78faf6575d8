package builder_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/updates"
)

// changeSeed draws the changes.
const changeSeed = 20260102

// changing is a baseline that changes are made to, one after the other.
type changing struct {
	*shop
	packages []updates.Package // all that its first lock has
	dropped  map[string]bool
	repacked map[string]updates.Package
	file     int
	users    int
	masked   int
	port     int
	excluded []string
	comment  int
	script   int
	mode     int
	link     int
	label    int
}

// leafPackages are those that nothing else of the baseline needs.
var leafPackages = []string{"bc", "busybox", "cron", "less", "netbase", "openssh-client", "rsync", "time", "tini", "tree"}

// changes are what a person changes in a recipe or its lock.
var changes = []struct {
	name string
	make func(c *changing, t *testing.T, rnd *rand.Rand)
	// nothing is true for what must not show.
	nothing bool
}{
	{"drop or add a leaf package", (*changing).dropOrAdd, false},
	{"another version of a package", (*changing).repack, false},
	{"another content of a file", func(c *changing, _ *testing.T, _ *rand.Rand) { c.file++ }, false},
	{"one more user", func(c *changing, _ *testing.T, _ *rand.Rand) { c.users++ }, false},
	{"a service more or less", func(c *changing, _ *testing.T, _ *rand.Rand) { c.masked++ }, false},
	{"another value of a variable", func(c *changing, _ *testing.T, rnd *rand.Rand) { c.port = 1024 + rnd.IntN(60000) }, false},
	{"paths left out", func(c *changing, _ *testing.T, _ *rand.Rand) {
		patterns := []string{"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/lintian/*"}
		c.excluded = patterns[:len(c.excluded)%len(patterns)+1]
	}, false},
	{"another script", func(c *changing, _ *testing.T, _ *rand.Rand) { c.script++ }, false},
	{"another mode of a file", func(c *changing, _ *testing.T, _ *rand.Rand) { c.mode++ }, false},
	{"another target of a link", func(c *changing, _ *testing.T, _ *rand.Rand) { c.link++ }, false},
	{"another label of the container", func(c *changing, _ *testing.T, _ *rand.Rand) { c.label++ }, false},
	{"a comment", func(c *changing, _ *testing.T, _ *rand.Rand) { c.comment++ }, true},
}

// TestIncrementalEqualsClean makes changes to a baseline. After each it is
// baked where the stages of all former bakes are kept, and where there are
// none: the containers must be equal. A comment changes no stage at all.
func TestIncrementalEqualsClean(t *testing.T) {
	requireRoot(t)
	t.Parallel()
	c := &changing{
		shop: newShop(t, inMemory(t), "proof-all"), dropped: map[string]bool{}, repacked: map[string]updates.Package{}, port: 80,
	}
	first, err := updates.ReadLock(c.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	c.packages = first.Packages
	c.write(t)
	before := c.bake(t)
	rnd := rand.New(rand.NewPCG(changeSeed, 0))
	order := append(rnd.Perm(len(changes)), rnd.Perm(len(changes) - 1)[:7]...) // one comment will do
	order = append(order, 0, 1)                                                // packages, once more
	reused, real := 0, 0
	for i, which := range order {
		change := changes[which]
		t.Run(fmt.Sprintf("%02d %s", i, change.name), func(t *testing.T) {
			change.make(c, t, rnd)
			c.write(t)
			clean := newShop(t, inMemory(t), "proof-all")
			for _, path := range []func(*shop) string{(*shop).recipeFile, (*shop).lockFile} {
				if err := copyFile(path(c.shop), path(clean)); err != nil {
					t.Fatal(err)
				}
			}
			got, want := c.bake(t), clean.bake(t)
			if diff := cmp.Diff(want.forms(), got.forms()); diff != "" {
				t.Errorf("containers differ (-clean +incremental):\n%s", diff)
			}
			if diff := cmp.Diff(want.Stages, got.Stages); diff != "" {
				t.Errorf("stages differ (-clean +incremental):\n%s", diff)
			}
			sameLock(t, c.shop, clean)
			if change.nothing && (!got.Known || got.Digest != before.Digest) {
				t.Errorf("it made another image")
			}
			if !change.nothing && got.Container == before.Container {
				t.Errorf("it shows in nothing")
			}
			if !change.nothing {
				real++
			}
			if got.Stages["layer.proof-all"] == before.Stages["layer.proof-all"] {
				reused++
			}
			before = got
		})
	}
	t.Logf("%d changes and %d that are none; %d left the first layer as it was", real, len(order)-real, reused)
	if real < 20 {
		t.Errorf("%d changes were compared, want 20", real)
	}
	if reused == 0 {
		t.Error("no change left the first layer as it was: nothing was incremental")
	}
}

// diskChanges are changes of a server's boot layer.
var diskChanges = []struct {
	name string
	make func(s *shop, t *testing.T)
}{
	{"one more kernel argument", func(s *shop, t *testing.T) {
		recipe, err := os.ReadFile(s.recipeFile())
		if err == nil {
			err = os.WriteFile(s.recipeFile(), append(recipe, "kernel-arguments: [quiet]\n"...), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
	{"one boot package more and one less", func(s *shop, t *testing.T) {
		more := s.packageOf(t, "proof-all", "tree")
		s.editLock(t, func(l *updates.Lock) {
			layers := l.LayersOf(updates.Boot)
			more.Set, more.Layer = updates.Boot, layers[len(layers)-1]
			l.Packages = slices.DeleteFunc(l.Packages, func(p updates.Package) bool { return p.Name == "qemu-guest-agent" })
			// Those of a set are in the order of their names.
			at := slices.IndexFunc(l.Packages, func(p updates.Package) bool { return p.Set == updates.Boot && p.Name > more.Name })
			l.Packages = slices.Insert(l.Packages, at, more)
		})
	}},
}

// incrementalDisks makes changes to a server that was baked in the shop, and
// compares its container and disks likewise.
func incrementalDisks(t *testing.T, s *shop, before *baked) {
	for i, change := range diskChanges {
		t.Run(change.name, func(t *testing.T) {
			change.make(s, t)
			clean := newShop(t, tmpfs(t, "size=8g"), s.baseline)
			for _, path := range []func(*shop) string{(*shop).recipeFile, (*shop).lockFile} {
				if err := copyFile(path(s), path(clean)); err != nil {
					t.Fatal(err)
				}
			}
			got, want := s.bake(t), clean.bake(t)
			if diff := cmp.Diff(want.forms(), got.forms()); diff != "" {
				t.Errorf("outputs differ (-clean +incremental):\n%s", diff)
			}
			for _, form := range []string{"container", "raw", "qcow2"} {
				if now, was := got.forms()[form], before.forms()[form]; (now == was) != (form == "container") {
					t.Errorf("%s: %s after a change of what boots, %s before", form, now, was)
				}
			}
			before = got
			if i == 0 {
				fullBesideDisks(t, clean, want)
			}
		})
	}
}

// packageOf is a package of a baseline's lock.
func (s *shop) packageOf(t *testing.T, baseline, name string) updates.Package {
	t.Helper()
	lock, err := updates.ReadLock(filepath.Join(s.project, "locks", baseline+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(lock.Packages, func(p updates.Package) bool { return p.Name == name && p.Set == updates.Root })
	if i < 0 {
		t.Fatalf("the lock of %s has no %s", baseline, name)
	}
	return lock.Packages[i]
}

// sameLock compares the locks that two bakes completed.
func sameLock(t *testing.T, a, b *shop) {
	t.Helper()
	inA, err := os.ReadFile(a.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	inB, err := os.ReadFile(b.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(inA), string(inB)); diff != "" {
		t.Errorf("the two bakes completed the lock differently:\n%s", diff)
	}
}

// write writes recipe and lock as they are now.
func (c *changing) write(t *testing.T) {
	t.Helper()
	var r strings.Builder
	fmt.Fprintf(&r, "# comment %d\nname: proof-all\ndescription: it changes\nsuite: bookworm\narchitectures: [amd64]\npriorities: [required]\npackages:\n", c.comment)
	for _, name := range slices.Concat(leafPackages, []string{"file", "hostname"}) {
		if !c.dropped[name] {
			fmt.Fprintf(&r, "  - %s\n", name)
		}
	}
	fmt.Fprintf(&r, "vars: {port: %d}\n", c.port)
	if len(c.excluded) > 0 {
		fmt.Fprintf(&r, "path-exclude: [\"%s\"]\n", strings.Join(c.excluded, `", "`))
	}
	fmt.Fprintf(&r, "resources:\n  files:\n    /etc/proof/port: {content: \"port ${port}\\n\"}\n    /etc/proof/content: {content: \"%d\\n\", mode: %04o, owner: user0}\n"+
		"  symlinks:\n    /etc/proof/link: target%d\n  users:\n", c.file, 0o640+c.mode, c.link)
	for i := range c.users + 1 {
		fmt.Fprintf(&r, "    user%d: {system: %v}\n", i, i%2 == 1)
	}
	if c.masked%2 == 1 {
		fmt.Fprintf(&r, "  services:\n    rsync: masked\n")
	}
	fmt.Fprintf(&r, "run:\n  - name: script\n    script: |\n      echo %d > /etc/proof/script  # a script's text is its definition\n", c.script)
	fmt.Fprintf(&r, "outputs:\n  container:\n    cmd: [/bin/sh]\n    labels: {number: \"%d\"}\n", c.label)

	if err := os.WriteFile(c.recipeFile(), []byte(r.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	c.editLock(t, func(l *updates.Lock) {
		l.Packages = nil
		for _, p := range c.packages {
			if p.Set == updates.Root && c.dropped[p.Name] {
				continue
			}
			if other, ok := c.repacked[p.Name]; ok {
				p = other
			}
			l.Packages = append(l.Packages, p)
		}
	})
}

func (c *changing) dropOrAdd(_ *testing.T, rnd *rand.Rand) {
	name := leafPackages[rnd.IntN(len(leafPackages))]
	c.dropped[name] = !c.dropped[name]
}

// repack makes a package file of another version, with one more file in it,
// and locks it in place of the real one.
func (c *changing) repack(t *testing.T, rnd *rand.Rand) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	candidates := slices.DeleteFunc(slices.Clone(leafPackages), func(name string) bool { return c.dropped[name] })
	name := candidates[rnd.IntN(len(candidates))]
	i := slices.IndexFunc(c.packages, func(p updates.Package) bool { return p.Name == name && p.Set == updates.Root })
	p := c.packages[i]
	if other, ok := c.repacked[name]; ok {
		p = other
	}
	dir := t.TempDir()
	tree, deb := filepath.Join(dir, "tree"), filepath.Join(dir, "package.deb")
	shell(t, "dpkg-deb", "-R", filepath.Join(c.archive, "sha256", p.SHA256[:2], p.SHA256), tree)
	p.Version += "+proof1"
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("\nVersion: "+strings.TrimSuffix(p.Version, "+proof1")), []byte("\nVersion: "+p.Version), 1)
	if err := os.WriteFile(control, text, 0o644); err != nil {
		t.Fatal(err)
	}
	added := filepath.Join(tree, "usr/lib", name, "proof")
	if err := os.MkdirAll(filepath.Dir(added), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(added, []byte(p.Version), 0o644); err != nil {
		t.Fatal(err)
	}
	shell(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, deb)
	p.SHA256, p.Size = c.putPackage(t, deb)
	c.repacked[name] = p
}

// putPackage puts a package file into the archive and returns its digest.
func (s *shop) putPackage(t *testing.T, path string) (digest string, size int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	digest = hex.EncodeToString(sum[:])
	store, err := updates.Open(s.archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return digest, int64(len(data))
}
