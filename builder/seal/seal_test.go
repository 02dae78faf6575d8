package seal_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/seal"
	"imgbuild/images/integrity"
)

func put(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, root, target, name string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

var identity = seal.Identity{Baseline: "debian-12-nginx", Stage: strings.Repeat("ab", 32), Architecture: "amd64"}

func TestNothingOfOneServerRemains(t *testing.T) {
	gone := []string{
		"etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub", "etc/ssl/private/ssl-cert-snakeoil.key",
		"etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/postgresql/15/main/postgresql.conf", "var/lib/postgresql/15/main/PG_VERSION",
		"var/log/dpkg.log", "var/log/apt/history.log", "var/lib/apt/lists/mirror_InRelease", "var/lib/apt/lists/partial/mirror_Packages", "var/cache/apt/pkgcache.bin",
		"var/cache/apt/archives/a.deb", "var/cache/debconf/config.dat-old", "etc/shadow-", "root/.bash_history", "tmp/x/y",
		"run/lock/file", "dev/null", "var/lib/systemd/random-seed", "var/lib/dbus/machine-id",
	}
	kept := []string{
		"etc/ssh/sshd_config", "etc/ssl/certs/ca.pem", "etc/postgresql-common/user_clusters", "var/cache/debconf/config.dat",
		"etc/shadow", "var/lib/dpkg/status",
	}
	root := t.TempDir()
	for _, name := range append(slices.Clone(gone), kept...) {
		put(t, root, name, "content")
	}
	link(t, root, "ssl-cert-snakeoil.pem", "etc/ssl/certs/1234abcd.0")
	link(t, root, "ca.pem", "etc/ssl/certs/5678abcd.0")
	put(t, root, "var/log/nginx/access.log", "a visitor")
	put(t, root, "etc/machine-id", "0123")

	result, err := seal.Root(root, identity)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Regenerates {
		t.Error("generated keys were removed, yet nothing is to be made again")
	}
	for _, name := range append(gone, "etc/ssl/certs/1234abcd.0") {
		if _, err := os.Lstat(filepath.Join(root, name)); !os.IsNotExist(err) {
			t.Errorf("%s remains", name)
		}
	}
	for _, name := range append(kept, "etc/ssl/certs/5678abcd.0") {
		if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
			t.Errorf("%s is gone", name)
		}
	}
	// Directories of packages stay: dpkg misses them otherwise.
	for _, name := range []string{"var/lib/apt/lists/partial", "var/cache/apt/archives", "var/log/apt"} {
		if st, err := os.Stat(filepath.Join(root, name)); err != nil || !st.IsDir() {
			t.Errorf("the directory %s is gone", name)
		}
	}
	for _, name := range []string{"etc/machine-id", "var/log/nginx/access.log"} {
		if st, err := os.Stat(filepath.Join(root, name)); err != nil || st.Size() != 0 {
			t.Errorf("%s: want an empty file, got %v, %v", name, st, err)
		}
	}
	if st, err := os.Stat(filepath.Join(root, "var/log/nginx/access.log")); err == nil && st.Mode().Perm() != 0o640 {
		t.Errorf("the emptied log has mode %v", st.Mode())
	}
}

func TestWhatIsMadeAgainIsSeededAndNothingImmutableGoes(t *testing.T) {
	// All that firstboot/first-boot.sh and systemd make.
	again := []string{
		"etc/machine-id", "etc/postgresql/15/main", "etc/ssh/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ecdsa_key.pub",
		"etc/ssl/certs/1234abcd.0", "etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/ssl/private/ssl-cert-snakeoil.key",
		"var/lib/dbus/machine-id", "var/lib/postgresql/15/main", "var/lib/systemd/credential.secret", "var/lib/systemd/random-seed",
	}
	immutable := []string{"etc/ssl/private/own.key", "etc/ssl/certs/own.pem", "etc/ssh/moduli", "var/lib/dpkg/status", "usr/bin/tool"}
	root := t.TempDir()
	before := map[string]string{} // targets of links
	for _, name := range append(slices.Clone(again), immutable...) {
		switch {
		case strings.HasSuffix(name, ".0"):
			before[name] = "ssl-cert-snakeoil.pem"
			link(t, root, before[name], name)
		case strings.HasSuffix(name, "/main"):
			put(t, root, name+"/file", "content")
		default:
			put(t, root, name, "content")
		}
	}
	for _, name := range []string{"var/lib/dpkg/status-old", "var/lib/dpkg/lock", "etc/shadow-", "root/.bash_history", "var/log/dpkg.log", "var/log/other"} {
		put(t, root, name, "content")
	}
	result, err := seal.Root(root, identity)
	if err != nil {
		t.Fatal(err)
	}
	rules := integrity.DefaultRules()
	for _, name := range append(slices.Clone(again), result.Removed...) {
		if class := rules.Classify(name, before[name]); class == integrity.Immutable || slices.Contains(again, name) && class != integrity.Seeded {
			t.Errorf("%s is taken out, and its class is %s", name, class)
		}
	}
	for _, name := range again {
		if name != "etc/machine-id" && !slices.Contains(result.Removed, name) {
			t.Errorf("%s is in the image", name)
		}
	}
	for _, name := range immutable {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != "content" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestSealingAgainChangesNothing(t *testing.T) {
	root := t.TempDir()
	put(t, root, "usr/lib/os-release", "ID=debian\n")
	link(t, root, "../usr/lib/os-release", "etc/os-release")
	for range 2 {
		if _, err := seal.Root(root, identity); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
		want := "ID=debian\nIMAGE_ID=debian-12-nginx\nIMAGE_VERSION=" + identity.Stage + "\n"
		if err != nil || string(got) != want {
			t.Fatalf("os-release: got %q, %v", got, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(root, "usr/lib/os-release")); err != nil || string(got) != "ID=debian\n" {
		t.Errorf("the packaged file changed: %q, %v", got, err)
	}
}

func TestALinkOutOfTheRootIsNotFollowed(t *testing.T) {
	outside := t.TempDir()
	put(t, outside, "victim", "precious")
	for _, name := range []string{"var/log", "tmp", "etc/ssh", "usr/lib/imgbuild", "var/lib/apt/lists"} {
		root := t.TempDir()
		link(t, root, outside, name)
		_, _ = seal.Root(root, identity) // refusing is as good as ignoring
		if got, err := os.ReadFile(filepath.Join(outside, "victim")); err != nil || string(got) != "precious" {
			t.Errorf("%s -> outside: the file outside is now %q, %v", name, got, err)
		}
		if entries, _ := os.ReadDir(outside); len(entries) != 1 {
			t.Errorf("%s -> outside: something was written there", name)
		}
	}
}

func TestTheOrderOfUCFsFilesIsNoAccident(t *testing.T) {
	root := t.TempDir()
	put(t, root, "var/lib/ucf/hashfile", "2  /etc/b\n1  /etc/c\n3  /etc/a")
	put(t, root, "var/lib/ucf/hashfile.0", "2  /etc/b\n")
	put(t, root, "var/lib/ucf/registry", "p /etc/a\n")
	put(t, root, "var/lib/ucf/registry.7", "")
	if _, err := seal.Root(root, identity); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hashfile": "1  /etc/c\n2  /etc/b\n3  /etc/a\n", "registry": "p /etc/a\n"} {
		if got, err := os.ReadFile(filepath.Join(root, "var/lib/ucf", name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(root, "var/lib/ucf")); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}
