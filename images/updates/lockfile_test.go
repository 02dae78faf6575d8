package updates_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

func number(n int) *int { return &n }

// sample is a lock that has one of everything.
func sample() *updates.Lock {
	sum := strings.Repeat("0123456789abcdef", 4)
	nginx := updates.Package{
		Name: "nginx", Version: "1.22.1-9+deb12u3", Architecture: "amd64", Source: "nginx", SourceVersion: "1.22.1-9+deb12u3",
		Archive: "debian-security", Suite: "bookworm-security", Path: "pool/updates/main/n/nginx/nginx_1.22.1-9+deb12u3_amd64.deb",
		Size: 527000, SHA256: sum, Set: updates.Root, Layer: "debian-12-nginx-leaf",
	}
	local := updates.Package{
		Name: "own", Version: "2:1e5~rc1", Architecture: "all", Source: "true", SourceVersion: "1.10",
		Path: "../packages/own_1_all.deb", Size: 1, SHA256: sum, Set: updates.Root, Layer: "debian-12", Auto: true,
	}
	shim := nginx
	shim.Name, shim.Set, shim.Layer = "shim-signed", updates.Boot, "boot"
	tool := nginx
	tool.Name, tool.Set, tool.Layer = "mtools", updates.Tools, ""
	return &updates.Lock{
		Format: updates.LockFormat, Baseline: "debian-12-nginx", Architecture: "amd64", Suite: "bookworm", Epoch: 1772352000,
		Releases: []updates.Release{{
			Archive: "debian", Suite: "bookworm", Path: "dists/bookworm/InRelease", SHA256: sum, Date: "2026-03-01T08:00:00Z",
		}, {
			Archive: "vendor", URL: "https://packages.example:8080/mainline", Suite: "stable", Path: "dists/stable/InRelease",
			SHA256: sum, Date: "2026-02-01T08:00:00Z",
		}},
		Layers:   []string{"debian-12", "debian-12-nginx-leaf", "boot"},
		Packages: []updates.Package{nginx, local, shim, tool},
		Accounts: []updates.Account{
			{Name: "ssl-cert", GID: number(101), Layer: "debian-12"}, {Name: "www-data", UID: number(33), GID: number(33), Layer: "debian-12"},
		},
	}
}

func TestNestedLocksAreRefusedAtOnce(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 1<<20), strings.Repeat("{a: ", 1<<18), strings.Repeat("- ", 1<<19)} {
		if _, err := updates.ParseLock([]byte(text)); err == nil {
			t.Errorf("accepted %.10s…", text)
		}
	}
}

func TestLockSurvivesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks", "debian-12-nginx.lock")
	want := sample()
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := updates.ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, got.Marshal()) {
		t.Error("writing what was read gives other bytes")
	}
	want.WithoutSecurity = true
	if marked, err := updates.ParseLock(want.Marshal()); err != nil || !marked.WithoutSecurity || !bytes.Contains(want.Marshal(), []byte("WITHOUT the security suite")) {
		t.Errorf("one without its security suite: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := updates.ReadLock(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing lock: got %v", err)
	}
}

// TestLockTextIsReviewable holds the text: a change of it is a change of every
// user's lock.
func TestLockTextIsReviewable(t *testing.T) {
	want, err := os.ReadFile("testdata/sample.lock")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(sample().Marshal())); diff != "" {
		t.Error(diff)
	}
}

func TestHostileLocksAreRefused(t *testing.T) {
	text := string(sample().Marshal())
	for name, change := range map[string][2]string{
		"unknown field":        {"    auto: true\n", "    automatic: true\n"},
		"doubled field":        {"epoch: 1772352000\n", "epoch: 1772352000\nepoch: 1\n"},
		"later format":         {"format: 1", "format: 2"},
		"a password":           {"https://packages", "https://me:secret@packages"},
		"path outside":         {"path: pool/updates", "path: ../updates"},
		"absolute path":        {"path: pool/updates", "path: /updates"},
		"unclean path":         {"path: pool/updates", "path: pool//updates"},
		"project's directory":  {"../packages/own_1_all.deb", "../packages/.."},
		"name":                 {"- name: own", "- name: ../own"},
		"option for a name":    {"- name: own", "- name: \"-own\""},
		"version":              {"2:1e5~rc1", "2:1e5 rc1"},
		"control character":    {"2:1e5~rc1", "2:1\\n5"},
		"digest":               {"0123456789abcdef0", "0123456789abcdeF0"},
		"size":                 {"size: 527000", "size: -1"},
		"size beyond":          {"size: 527000", "size: 99999999999999999999"},
		"unknown set":          {"set: tools", "set: toys"},
		"unknown layer":        {"layer: debian-12\n    auto", "layer: debian-13\n    auto"},
		"tools in a layer":     {"set: tools\n", "set: tools\n    layer: boot\n"},
		"layer twice":          {"  - boot\n", "  - debian-12\n"},
		"layer's name":         {"layers:\n", "layers:\n  - \"../x\"\n"},
		"foreign architecture": {"architecture: all", "architecture: i386"},
		"out of order":         {"- name: nginx", "- name: zzz"},
		"archive alone":        {"    suite: bookworm-security\n", ""},
		"repository":           {"url: \"https:", "url: \"../https:"},
		"date":                 {"2026-03-01T08:00:00Z", "yesterday"},
		"negative user":        {"uid: 33", "uid: -33"},
		"account twice":        {"- name: ssl-cert", "- name: www-data"},
		"account's name":       {"- name: ssl-cert", "- name: \"root:x\""},
		"account's layer":      {"    gid: 101\n    layer: debian-12", "    gid: 101\n    layer: debian-13"},
		"account of nothing":   {"    gid: 101\n", ""},
		"alias":                {"baseline: debian-12-nginx", "baseline: &a debian-12-nginx"},
		"other document":       {"layers:", "---\nlayers:"},
		"not YAML":             {"layers:", "\t{"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Fatalf("%s: nothing changed", name)
		}
		if l, err := updates.ParseLock([]byte(changed)); err == nil {
			t.Errorf("%s: accepted as %+v", name, l)
		}
	}
	for file, command := range map[string]string{
		"debian-12.1.lock": "imgbuild lock debian-12.1 --fresh", "web.arm64.lock": "imgbuild lock web --arch arm64 --fresh",
	} {
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, []byte("format: 7\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := updates.ReadLock(path); fault.KindOf(err) != fault.Input || !strings.HasSuffix(fault.HintOf(err), command) {
			t.Errorf("%s: got %v, hint %q", file, err, fault.HintOf(err))
		}
	}
	bad := sample()
	bad.Packages[0].Path = "/etc/passwd"
	if err := bad.Write(filepath.Join(t.TempDir(), "x.lock")); err == nil {
		t.Error("a lock that cannot be read back was written")
	}
}

func TestDiffTellsEveryKindOfChange(t *testing.T) {
	old, fresh := sample(), sample()
	fresh.Packages[0].Version = "1.22.1-9+deb12u4"
	fresh.Packages[1].SHA256 = strings.Repeat("f", 64)
	fresh.Packages[2].Layer = "debian-12"
	fresh.Packages[3].Name = "dosfstools"
	var got []string
	for _, c := range updates.Diff(old, fresh) {
		got = append(got, string(c.Set)+" "+c.Name+" "+string(c.Kind))
		if (c.Old == nil) != (c.Kind == updates.Added) || (c.New == nil) != (c.Kind == updates.Removed) {
			t.Errorf("%s: %v and %v", c.Name, c.Old, c.New)
		}
	}
	want := []string{
		"root nginx version", "root own replaced", "boot shim-signed moved", "tools dosfstools added", "tools mtools removed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := updates.Diff(old, sample()); len(got) > 0 {
		t.Errorf("equal locks: %v", got)
	}
}

func FuzzLock(f *testing.F) {
	f.Add(sample().Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := updates.ParseLock(data)
		if err != nil {
			return
		}
		again, err := updates.ParseLock(l.Marshal())
		if err != nil {
			t.Fatalf("what was accepted cannot be read back: %v\n%s", err, l.Marshal())
		}
		if !bytes.Equal(l.Marshal(), again.Marshal()) {
			t.Fatal("the text is not stable")
		}
		for _, p := range l.Packages {
			if strings.HasPrefix(p.Path, "/") || p.Archive != "" && !filepath.IsLocal(p.Path) {
				t.Fatalf("accepted %+v", p)
			}
		}
	})
}
