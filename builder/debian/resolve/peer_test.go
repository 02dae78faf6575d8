package resolve_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/resolve"
	"imgbuild/builder/host"
	"imgbuild/builder/progress"
)

// world is one Debian release as its mirror offers it now, and apt set up to
// read the very same indexes.
type world struct {
	indexes  []*repo.Index
	universe *resolve.Universe
	names    []string
	dir      string // of apt's configuration, state and cache
}

var worlds sync.Map

// release reads a release once for all tests.
func release(t testing.TB, suite string) *world {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("apt-get is not on this machine, and it is the peer")
	}
	build, _ := worlds.LoadOrStore(suite, sync.OnceValues(func() (*world, error) { return newWorld(suite) }))
	w, err := build.(func() (*world, error))()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newWorld(suite string) (*world, error) {
	dir := filepath.Join(scratch, suite)
	sources, err := host.AptSources()
	if err != nil {
		return nil, err
	}
	keys, err := repo.LoadKeyring(sources.Keyring())
	if err != nil {
		return nil, err
	}
	client := &repo.Client{HTTP: http.DefaultClient, Cache: filepath.Join(dir, "indexes"), Now: time.Now, Progress: progress.Discard}
	var wanted []repo.Source
	for _, s := range []struct{ archive, suite string }{
		{host.ArchiveDebian, suite}, {host.ArchiveDebian, suite + "-updates"}, {host.ArchiveSecurity, suite + "-security"},
	} {
		url, err := sources.Mirror(s.archive, s.suite)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, repo.Source{Archive: s.archive, URL: url, Suite: s.suite, Components: []string{"main"}, Keys: keys})
	}
	w := &world{dir: dir}
	if w.indexes, err = client.Read(context.Background(), "amd64", wanted); err != nil {
		return nil, err
	}
	if w.universe, err = resolve.NewUniverse("amd64", w.indexes); err != nil {
		return nil, err
	}
	for i := range w.indexes[0].Packages {
		w.names = append(w.names, w.indexes[0].Packages[i].Name)
	}
	return w, w.setUpApt()
}

// setUpApt puts the indexes where apt-get update would have put them.
func (w *world) setUpApt() error {
	var list strings.Builder
	for _, index := range w.indexes {
		suite := index.Source.Suite
		var text bytes.Buffer
		for i := range index.Packages {
			writeParagraph(&text, &index.Packages[i], "")
		}
		release := fmt.Sprintf("Codename: %s\nSuite: %[1]s\nArchitectures: amd64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n", suite)
		lists := filepath.Join(w.dir, "apt/var/lib/apt/lists", "mirror.example_debian_dists_"+suite)
		if err := write(lists+"_main_binary-amd64_Packages", text.Bytes()); err != nil {
			return err
		}
		if err := write(lists+"_Release", []byte(release)); err != nil {
			return err
		}
		fmt.Fprintf(&list, "deb [trusted=yes] http://mirror.example/debian %s main\n", suite)
	}
	config := fmt.Sprintf("Dir \"%s/apt\";\nDir::State::status \"%[1]s/apt/status\";\n"+
		"APT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; };\nAPT::Install-Recommends \"false\";\n"+
		"Acquire::Languages \"none\";\nAPT::Sandbox::User \"\";\n", w.dir)
	for path, text := range map[string]string{
		"apt.conf": config, "apt/status": "", "apt/etc/apt/sources.list": list.String(),
		"apt/etc/apt/apt.conf.d/none": "", "apt/etc/apt/preferences.d/none": "",
		"apt/var/lib/apt/lists/partial/none": "", "apt/var/cache/apt/archives/partial/none": "",
	} {
		if err := write(filepath.Join(w.dir, path), []byte(text)); err != nil {
			return err
		}
	}
	// The first run makes apt's binary cache for all that follow.
	if out, err := w.aptGet("install", "--simulate", "dash").CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get install: %w: %s", err, out)
	}
	return nil
}

func writeParagraph(b *bytes.Buffer, p *repo.Package, status string) {
	flag := func(on bool) string {
		if on {
			return "yes"
		}
		return ""
	}
	for _, f := range []struct{ name, value string }{
		{"Package", p.Name}, {"Status", status}, {"Version", p.Version}, {"Architecture", p.Architecture},
		{"Source", p.Source + " (" + p.SourceVersion + ")"}, {"Section", p.Section}, {"Priority", p.Priority},
		{"Essential", flag(p.Essential)}, {"Protected", flag(p.Protected)}, {"Multi-Arch", p.MultiArch},
		{"Pre-Depends", p.PreDepends}, {"Depends", p.Depends}, {"Conflicts", p.Conflicts}, {"Breaks", p.Breaks},
		{"Recommends", p.Recommends}, {"Suggests", p.Suggests}, {"Replaces", p.Replaces}, {"Enhances", p.Enhances},
		{"Provides", p.Provides}, {"Filename", p.Path}, {"Size", fmt.Sprint(p.Size)}, {"SHA256", p.SHA256},
	} {
		if f.value != "" {
			fmt.Fprintf(b, "%s: %s\n", f.name, f.value)
		}
	}
	b.WriteByte('\n')
}

func paragraph(p *repo.Package, status string) string {
	var b bytes.Buffer
	writeParagraph(&b, p, status)
	return b.String()
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

func (w *world) aptGet(args ...string) *exec.Cmd {
	command := exec.Command("apt-get", args...)
	command.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(w.dir, "apt.conf"), "LC_ALL=C")
	return command
}

// simulate returns what apt would install, as name=version, sorted; nil when
// apt refuses.
func (w *world) simulate(t testing.TB, args ...string) ([]string, string) {
	t.Helper()
	out, err := w.aptGet(append([]string{"install", "--simulate", "--assume-yes"}, args...)...).CombinedOutput()
	if err != nil {
		return nil, string(out)
	}
	set := []string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) > 2 && words[0] == "Inst" {
			set = append(set, words[1]+"="+strings.TrimPrefix(words[2], "("))
		}
	}
	slices.Sort(set)
	return set, string(out)
}

// uris is simulate by another output of apt's, which takes a third of the time
// for it skips the simulated run of dpkg.
func (w *world) uris(t testing.TB, args ...string) ([]string, string) {
	t.Helper()
	out, err := w.aptGet(append([]string{"install", "--print-uris", "--assume-yes"}, args...)...).CombinedOutput()
	if err != nil {
		return nil, string(out)
	}
	set := []string{}
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) > 2 && strings.HasPrefix(line, "'http:") {
			// name_version_architecture.deb, the version's colon as %3a
			parts := strings.Split(words[1], "_")
			set = append(set, parts[0]+"="+strings.ReplaceAll(parts[1], "%3a", ":"))
		}
	}
	slices.Sort(set)
	return set, string(out)
}

// base returns the names of the essential and the required packages, sorted.
func (w *world) base() []string {
	var names []string
	for i := range w.indexes[0].Packages {
		if p := &w.indexes[0].Packages[i]; p.Essential || p.Priority == "required" {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

func set(choices []resolve.Choice) []string {
	names := []string{}
	for _, c := range choices {
		names = append(names, c.Name+"="+c.Version.Version)
	}
	slices.Sort(names)
	return names
}

var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "imgbuild-resolve-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
