package install_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/debian/install"
	"imgbuild/builder/host"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/shipped"
	"imgbuild/images/updates"
)

// epoch is the time that both sides make their roots at.
const epoch = 1750000000

func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

// run has root's tests make their roots in memory: dpkg waits for a disk at
// every file.
func run(m *testing.M) int {
	dir, remove, err := shipped.Scratch("imgbuild-roots-", 8<<30)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	memory = dir
	return m.Run()
}

// memory is a directory in memory.
var memory string

// workshop is where packages are kept from one test, and one run, to the next.
type workshop struct {
	dir      string
	archive  *updates.Store
	unpacked *deb.Cache
}

func newWorkshop(t testing.TB) *workshop {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mmdebstrap compares as root only")
	}
	archive, err := updates.Open(shipped.PackageArchive())
	if err != nil {
		t.Fatal(err)
	}
	return &workshop{dir: filepath.Dir(shipped.PackageArchive()), archive: archive, unpacked: &deb.Cache{Dir: shipped.Unpacked()}}
}

func (w *workshop) debs(suite string) string { return filepath.Join(w.dir, "debs-"+suite) }

// mmdebstrap makes the reference root of a suite with the packages. Package
// files are taken from and left in the workshop, so each is fetched once.
func (w *workshop) mmdebstrap(t testing.TB, suite string, include ...string) string {
	t.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("mmdebstrap is not installed")
	}
	debs := w.debs(suite)
	if err := os.MkdirAll(debs, 0o755); err != nil {
		t.Fatal(err)
	}
	run, err := os.MkdirTemp(memory, "reference-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	root := filepath.Join(run, "root")
	// Scripts see the sandbox's host name on both sides.
	cmd := exec.CommandContext(t.Context(), "unshare", "--uts", "sh", "-c", `hostname localhost && exec "$@"`, "sh", "mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory",
		"--include="+strings.Join(append(include, "apt"), ","), "--skip=essential/unlink,output/dev,cleanup/run,cleanup/tmp",
		"--setup-hook=mkdir -p \"$1/var/cache/apt/archives\"; cp "+debs+"/*.deb \"$1/var/cache/apt/archives/\" 2>/dev/null || true",
		"--customize-hook=for f in \"$1\"/var/cache/apt/archives/*.deb; do to="+debs+"/${f##*/}; [ -e $to ] || { cp \"$f\" $to.$$ && mv $to.$$ $to; }; done",
		suite, root, "-")
	cmd.Env = append(network(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch), "TMPDIR="+run, "LC_ALL=C.UTF-8", "TZ=UTC")
	cmd.Stdin = strings.NewReader(sourcesOf(t, suite))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	return root
}

// network returns what of the environment says how the mirror is reached; the
// rest would change what maintainer scripts do.
func network() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToLower(v), "=")
		return !strings.HasSuffix(name, "_proxy")
	})
}

func sourcesOf(t testing.TB, suite string) string {
	t.Helper()
	sources, err := host.AptSources()
	if err != nil {
		t.Fatal(err)
	}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	var b strings.Builder
	for _, s := range [][2]string{{host.ArchiveDebian, suite}, {host.ArchiveDebian, suite + "-updates"}, {host.ArchiveSecurity, suite + "-security"}} {
		mirror, err := sources.Mirror(s[0], s[1])
		if err != nil {
			t.Skip("no mirror in apt's sources: ", err)
		}
		if _, err := url.Parse(mirror); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "deb [signed-by=%s] %s %s main\n", keyring, mirror, s[1])
	}
	return b.String()
}

// locked returns the packages of a reference root as a lock has them, and puts
// their files into the archive.
func (w *workshop) locked(t testing.TB, suite, reference string) []updates.Package {
	t.Helper()
	auto := map[string]bool{}
	for _, p := range paragraphs(t, filepath.Join(reference, "var/lib/apt/extended_states")) {
		auto[p.Get("Package")] = p.Get("Auto-Installed") == "1"
	}
	var all []updates.Package
	for _, p := range paragraphs(t, filepath.Join(reference, "var/lib/dpkg/status")) {
		pkg := updates.Package{Name: p.Get("Package"), Version: p.Get("Version"), Architecture: p.Get("Architecture"), Auto: auto[p.Get("Package")]}
		file := fmt.Sprintf("%s_%s_%s.deb", pkg.Name, strings.ReplaceAll(pkg.Version, ":", "%3a"), pkg.Architecture)
		pkg.SHA256 = w.put(t, filepath.Join(w.debs(suite), file))
		all = append(all, pkg)
	}
	return all
}

// put keeps a package file in the archive and returns its digest.
func (w *workshop) put(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		t.Fatal(err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if w.archive.Has(digest) {
		return digest
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := w.archive.Put(t.Context(), digest, size, f); err != nil {
		t.Fatal(err)
	}
	return digest
}

func paragraphs(t testing.TB, path string) []*deb822.Paragraph {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*deb822.Paragraph
	for text := range strings.SplitSeq(string(data), "\n\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		p, err := deb822.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// newRoot mounts an empty root as a bake has it.
func newRoot(t testing.TB) string {
	t.Helper()
	return layered(t)
}

// layered mounts an overlay over finished roots.
func layered(t testing.TB, lower ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "root-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	unmount, err := sandbox.Overlay(lower, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return root
}

// install installs a layer and fails the test when that fails.
func (w *workshop) install(t testing.TB, root string, packages []updates.Package) *install.Result {
	t.Helper()
	res, err := install.Layer(context.Background(), w.options(root, packages))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (w *workshop) options(root string, packages []updates.Package) install.Options {
	return install.Options{Root: root, Architecture: "amd64", Packages: packages, Archive: w.archive, Unpacked: w.unpacked, Epoch: epoch}
}
