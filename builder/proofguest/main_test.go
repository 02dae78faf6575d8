package proofguest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/debian/install"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/host"
	"imgbuild/builder/progress"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/shipped"
	"imgbuild/images/updates"
)

// scratch is a directory in memory, for as long as the tests run.
var scratch string

func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "imgbuild-guest-")
	if err == nil {
		defer os.Remove(dir)
		err = unix.Mount("guest", dir, "tmpfs", 0, "mode=755,size=2g")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	scratch = dir
	return m.Run()
}

// suite is the release of Debian whose Wine and QEMU know enough: the first
// bcryptprimitives.dll, the second openat2(2).
const suite = "trixie"

// wanted are the packages whose programs are run. Of what they depend on only
// needed are unpacked: the rest is for pictures and sound.
var (
	wanted = []string{"qemu-user", "wine64"}
	needed = []string{"dash", "libc-bin", "libc6", "libgcc-s1", "liblzma5", "libunwind8", "libwine", "libz-mingw-w64", "qemu-user", "wine64"}
)

var errNoMirror = errors.New("this machine's apt sources name no mirror")

// left are other processors, and large libraries of Wine's that no program here loads: graphics,
// browsers, old compilers' run time, 32 bits.
func left() []string {
	const of = "/usr/lib/x86_64-linux-gnu/wine/"
	list := []string{of + "i386-windows/*", "/usr/share/doc/*", "/usr/bin/qemu-*"}
	for _, name := range []string{"d2d1*", "d3d*", "dx*", "jscript*", "light.msstyles", "mshtml*", "msvcp*", "msvcr[0-9]*", "msxml*", "opengl32*", "vbscript*", "winedbg*", "wined3d*", "x3d*", "xa*"} {
		list = append(list, of+"x86_64-windows/"+name)
	}
	return list
}

// root is a directory with the programs, made once a run.
var root = sync.OnceValues(func() (string, error) {
	sources, err := host.AptSources()
	if err != nil {
		return "", err
	}
	mirror, err := sources.Mirror(host.ArchiveDebian, suite)
	if err != nil {
		return "", errNoMirror
	}
	security, err := sources.Mirror(host.ArchiveSecurity, suite+"-security")
	if err != nil {
		return "", errNoMirror
	}
	keys, err := repo.LoadKeyring(sources.Keyring())
	if err != nil {
		return "", err
	}
	client := &repo.Client{HTTP: http.DefaultClient, Cache: filepath.Join(scratch, "indexes"), Now: time.Now, Progress: progress.Discard}
	lock, err := debian.Make(context.Background(), client, debian.Request{
		Baseline: "guest", Suite: suite, Architecture: runtime.GOARCH,
		Generations: []debian.Generation{{Name: "guest", Packages: wanted}},
		Sources:     debian.DebianSources(suite, mirror, security, nil, keys),
	})
	if err != nil {
		return "", err
	}
	packages := slices.DeleteFunc(lock.InSet(updates.Root), func(p updates.Package) bool { return !slices.Contains(needed, p.Name) })
	// Beside the packages that other tests keep.
	archive, err := updates.Open(shipped.PackageArchive())
	if err != nil {
		return "", err
	}
	fetcher := &fetch.Fetcher{Store: archive, Sources: []fetch.Source{fetch.Mirror{Bases: map[string]string{debian.ArchiveDebian: mirror, debian.ArchiveSecurity: security}}}}
	if err := fetcher.All(context.Background(), packages); err != nil {
		return "", err
	}
	dir := filepath.Join(scratch, "root")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, install.Unpack(context.Background(), install.Options{
		Root: dir, Architecture: runtime.GOARCH, Packages: packages, Archive: archive,
		Unpacked: &deb.Cache{Dir: shipped.Unpacked()}, Exclude: left(), Include: []string{"/usr/bin/qemu-aarch64"},
	})
})

// theRoot skips a test where the programs are not to be had.
func theRoot(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("unpacking Wine and QEMU takes too long for -short")
	}
	if sandbox.Rootless() || runtime.GOARCH != "amd64" {
		t.Skip("root's alone, on amd64")
	}
	dir, err := root()
	if errors.Is(err, errNoMirror) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// build builds a program, or with go test -c a package's tests, for another
// machine, as a file of the root.
func build(t *testing.T, goos, goarch, file, of string, how ...string) {
	t.Helper()
	// What this program itself is not built of counts too when go test remembers
	// its outcome, if it is looked at.
	foreign, err := filepath.Glob("../../provisioners/*/*_" + goos + "*.go")
	must(t, err)
	for _, name := range foreign {
		_, err := os.Stat(name)
		must(t, err)
	}
	cmd := exec.Command("go", slices.Concat(how, []string{"-trimpath", "-ldflags", "-s -w", "-o", file, of})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building for %s/%s: %v\n%s", goos, goarch, err, out)
	}
}

// said is what a program in the sandbox ended with.
type said struct {
	stdout, stderr string
	code           int
}

// inside runs a program in the root.
func inside(t *testing.T, dir, stdin string, env []string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	err := sandbox.Run(ctx, sandbox.Spec{
		Root: dir, Args: args, Env: append([]string{"PATH=/usr/bin:/usr/sbin", "HOME=/root"}, env...),
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	})
	s := said{stdout: out.String(), stderr: errs.String()}
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		s.code = exit.Code
	} else if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, errs.String())
	}
	return s
}
