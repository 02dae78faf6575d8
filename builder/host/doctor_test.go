package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/host"
)

// diagnose returns the findings of a machine by name.
func diagnose(t *testing.T, req host.Request) map[string]host.Finding {
	t.Helper()
	findings, err := host.Diagnose(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]host.Finding{}
	for _, f := range findings {
		seen[f.Name] = f
		if f.State != host.Good && f.Detail == "" {
			t.Errorf("%s is %s without a reason", f.Name, f.State)
		}
		if f.For == "" {
			t.Errorf("%s does not say what it is for", f.Name)
		}
	}
	return seen
}

func TestDoctorLooksAtEverything(t *testing.T) {
	dir := t.TempDir()
	keyring := filepath.Join(dir, "keyring.gpg")
	if err := os.WriteFile(keyring, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(dir, "not", "there", "yet")
	seen := diagnose(t, host.Request{
		// A file system of its own.
		CacheDir: cache, StoreDirs: []string{"/proc", cache},
		Keyring: func() (string, error) { return keyring, nil },
		Mirror:  func(archive, _ string) (string, error) { return "http://mirror.example/" + archive, nil },
	})
	for name, detail := range map[string]string{
		"archive keyring": keyring,
		"mirror":          "http://mirror.example/debian and http://mirror.example/debian-security",
		"overlayfs":       "",
		"namespaces":      "",
		"disk space":      "GiB free at " + dir + ", 0.0 GiB free at /proc",
	} {
		if f, ok := seen[name]; !ok || !strings.Contains(f.Detail, detail) {
			t.Errorf("%s: got %+v, want %q", name, f, detail)
		}
	}
	if f := seen["overlayfs"]; f.State == host.Good && f.Detail != "mounted below "+dir {
		t.Errorf("overlayfs was tried elsewhere: %s", f.Detail)
	}
	if f := seen["disk space"]; f.State != host.Missing {
		t.Errorf("a full file system is %s", f.State)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestDoctorNamesWhatMendsIt(t *testing.T) {
	seen := diagnose(t, host.Request{
		CacheDir: t.TempDir(),
		Keyring:  func() (string, error) { return "", errors.New("there is none") },
		Mirror: func(archive, _ string) (string, error) {
			if archive == host.ArchiveSecurity {
				return "", errors.New("none of security")
			}
			return "http://mirror.example/debian", nil
		},
	})
	for name, mend := range map[string]string{
		"archive keyring": "debian-archive-keyring",
		"mirror":          "export IMGBUILD_SECURITY_MIRROR=http://mirror.example/debian-security",
	} {
		if f := seen[name]; f.State != host.Missing || !strings.HasSuffix(f.Mend, mend) {
			t.Errorf("%s: got %+v, want it mended by %q", name, f, mend)
		}
	}
	missing := filepath.Join(t.TempDir(), "keyring.gpg")
	configured := diagnose(t, host.Request{
		CacheDir: t.TempDir(),
		Keyring:  func() (string, error) { return missing, nil },
		Mirror:   func(string, string) (string, error) { return "", nil },
	})
	if f := configured["archive keyring"]; f.State != host.Missing || f.Mend != "" || !strings.Contains(f.Detail, missing) {
		t.Errorf("a configured keyring that is not there: %+v", f)
	}
}

func TestTheTinyGuestRunsUnderEmulation(t *testing.T) {
	if err := host.TCG(t.Context()); err != nil {
		if strings.Contains(err.Error(), "not installed") {
			t.Skip("QEMU is not installed here; make test installs it")
		}
		t.Fatal(err)
	}
}
