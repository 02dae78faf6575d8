package builder_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/host"
	"imgbuild/images/catalog"
	"imgbuild/images/updates"
)

// shop is a place to bake in: a project, a home, a cache and a catalog of its
// own.
type shop struct {
	dir, project, archive string
	// env is added to the environment.
	env []string
	// wrapper is a command that the program's own is handed to.
	wrapper []string
	// namespaces are further CLONE_ flags.
	namespaces uintptr
	// user bakes there; nil is who runs the tests.
	user *syscall.Credential
	// lock is the state of the baseline's lock that every newShop starts with.
	baseline string
}

// keyPassword opens the signing key of the tests.
const keyPassword = "correct horse battery staple"

// newShop makes a shop for one of the prepared baselines in dir, without
// anything in its caches but unpacked packages.
func newShop(t *testing.T, dir, baseline string) *shop {
	t.Helper()
	p := requirePrepared(t)
	s := &shop{dir: dir, project: filepath.Join(dir, "project"), archive: p.archive, baseline: baseline}
	if err := os.CopyFS(s.project, os.DirFS(p.project)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		s.namespaces = syscall.CLONE_NEWNET
	}
	s.linkUnpacked(t)
	return s
}

// linkUnpacked makes a cache that has the packages of all shops unpacked.
func (s *shop) linkUnpacked(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(s.cache(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(s.archive, "unpacked"), s.unpacked()); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) cache() string      { return filepath.Join(s.dir, "cache") }
func (s *shop) catalogDir() string { return filepath.Join(s.dir, "catalog") }
func (s *shop) lockFile() string   { return filepath.Join(s.project, "locks", s.baseline+".lock") }
func (s *shop) recipeFile() string { return filepath.Join(s.project, "baselines", s.baseline+".yaml") }
func (s *shop) stages() string     { return filepath.Join(s.cache(), "stages") }
func (s *shop) unpacked() string   { return filepath.Join(s.cache(), "unpacked") }

// command is the program with some arguments, as a user would start it here.
func (s *shop) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	words := append(append([]string{}, s.wrapper...), path)
	words = append(words, args...)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	home := filepath.Join(s.dir, "home")
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "IMGBUILD_KEY_PASSWORD=" + keyPassword,
		"XDG_DATA_HOME=" + home + "/data", "XDG_CACHE_HOME=" + home + "/cache", "XDG_STATE_HOME=" + home + "/state", "XDG_CONFIG_HOME=" + home + "/config",
		"IMGBUILD_ARCHIVE_DIR=" + s.archive, "IMGBUILD_CACHE_DIR=" + s.cache(), "IMGBUILD_CATALOG=" + s.catalogDir(),
	}, s.env...)
	cmd.Dir = s.project
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = os.TempDir()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: s.namespaces, Credential: s.user, Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	return cmd, nil
}

// failed is a run that did not end well.
type failed struct {
	args   []string
	err    error
	code   int
	stderr string
}

func (f *failed) Error() string { return fmt.Sprintf("%v: %v\n%s", f.args, f.err, f.stderr) }

// run runs the program and returns what it wrote on standard output.
func (s *shop) run(ctx context.Context, args ...string) (stdout []byte, err error) {
	stdout, _, err = s.output(ctx, args...)
	return stdout, err
}

func (s *shop) output(ctx context.Context, args ...string) (stdout, stderr []byte, err error) {
	cmd, err := s.command(ctx, args...)
	if err != nil {
		return nil, nil, err
	}
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return out.Bytes(), log.Bytes(), &failed{args: args, err: err, code: cmd.ProcessState.ExitCode(), stderr: log.String()}
	}
	return out.Bytes(), log.Bytes(), nil
}

// baked is what bake --output json answers.
type baked struct {
	Version, Digest, Container string
	Known                      bool
	Stages                     map[string]string
	Disks                      []struct{ Format, Digest string }
}

// forms are the digests that must not depend on where and when a bake was.
func (b *baked) forms() map[string]string {
	forms := map[string]string{"container": b.Container}
	for _, d := range b.Disks {
		forms[d.Format] = d.Digest
	}
	return forms
}

// bake bakes the shop's baseline and fails the test when that fails.
func (s *shop) bake(t *testing.T) *baked {
	t.Helper()
	b, _, err := s.tryBake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tryBake bakes; told is what the program reported meanwhile.
func (s *shop) tryBake(ctx context.Context, flags ...string) (b *baked, told string, err error) {
	stdout, stderr, err := s.output(ctx, append([]string{"bake", s.baseline, "--output", "json"}, flags...)...)
	if err != nil {
		return nil, string(stderr), err
	}
	b = &baked{}
	return b, string(stderr), json.Unmarshal(stdout, b)
}

// anyCode stands for every exit code but 0.
const anyCode = -2

// mustFail bakes, which must end with an exit code, and returns what was said.
func (s *shop) mustFail(t *testing.T, code int) string {
	t.Helper()
	b, _, err := s.tryBake(t.Context())
	var f *failed
	if !errors.As(err, &f) {
		t.Fatalf("the bake should have failed; it ended with %v, %+v", err, b)
	}
	if code != anyCode && f.code != code {
		t.Errorf("exit code: got %d, want %d\n%s", f.code, code, f.stderr)
	}
	return f.stderr
}

// wholeCatalog holds everything in the catalog to its digest and returns the
// versions of the shop's baseline.
func (s *shop) wholeCatalog(t *testing.T) []*catalog.Version {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Location: s.catalogDir()})
	if err != nil {
		t.Fatal(err)
	}
	versions, err := c.List(t.Context(), s.baseline)
	if err != nil {
		t.Fatalf("the catalog is not whole: %v", err)
	}
	for _, v := range versions {
		if _, err := c.Verify(t.Context(), v); err != nil {
			t.Errorf("the catalog is not whole: %v", err)
		}
	}
	return versions
}

// editLock changes the shop's lock by hand: it no longer says which request it
// answers.
func (s *shop) editLock(t *testing.T, edit func(*updates.Lock)) {
	t.Helper()
	lock, err := updates.ReadLock(s.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	lock.Request = ""
	edit(lock)
	if err := lock.Write(s.lockFile()); err != nil {
		t.Fatal(err)
	}
}

// keepPackages brings the packages of all locks into the archive that outlives
// the run, unpacked ones beside them, and links that as the archive of this run.
func keepPackages(online *shop, p *prepared) error {
	ctx := context.Background()
	store, err := updates.Open(online.archive)
	if err != nil {
		return err
	}
	sources, err := host.AptSources()
	if err != nil {
		return err
	}
	bases := map[string]string{}
	for archive, suite := range map[string]string{host.ArchiveDebian: "bookworm", host.ArchiveSecurity: "bookworm-security"} {
		if bases[archive], err = sources.Mirror(archive, suite); err != nil {
			return fmt.Errorf("%w: %w", errNoMirror, err)
		}
	}
	fetcher := &fetch.Fetcher{Store: store, Sources: []fetch.Source{fetch.Mirror{Bases: bases}}}
	unpacked := &deb.Cache{Dir: filepath.Join(online.archive, "unpacked")}
	locks, err := filepath.Glob(filepath.Join(p.project, "locks", "*.lock"))
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, path := range locks {
		lock, err := updates.ReadLock(path)
		if err != nil {
			return err
		}
		if err := fetcher.All(ctx, lock.Packages); err != nil {
			return err
		}
		for _, pkg := range lock.Packages {
			if _, err := unpacked.Open(ctx, pkg.SHA256, store.Path(pkg.SHA256)); err != nil {
				return err
			}
			wanted[pkg.SHA256] = true
		}
	}
	for digest := range wanted {
		for _, kind := range []string{"sha256", "unpacked"} {
			at := filepath.Join(kind, digest[:2], digest)
			if err := linkOrCopy(filepath.Join(online.archive, at), filepath.Join(p.archive, at)); err != nil {
				return err
			}
		}
	}
	return nil
}

func linkOrCopy(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	return copyFile(from, to)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
