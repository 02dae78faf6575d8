package host_test

import (
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/host"
)

func TestDoctorNamesWhatMendsAMissingKeyring(t *testing.T) {
	findings, err := host.Diagnose(t.Context(), host.Request{
		StateDir: filepath.Join(t.TempDir(), "not", "there", "yet"),
		Keyring:  host.DebianKeyring,
	})
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
	for _, name := range []string{"archive keyring", "mirror", "namespaces", "overlayfs", "disk space"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("%s was not looked at", name)
		}
	}
	if f := seen["archive keyring"]; f.State == host.Missing && !strings.Contains(f.Mend, "debian-archive-keyring") {
		t.Errorf("a missing keyring is mended by %q", f.Mend)
	}
	if f := seen["disk space"]; !strings.Contains(f.Detail, "GiB free") {
		t.Errorf("disk space says %q", f.Detail)
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
