package installed_test

import (
	"testing"

	"imgbuild/images/advisory/installed"
)

// TestWhatIsSignedIsWhatAdvisoriesSpeakOf has the packages of Debian 12 and 13 as
// their own indexes name them.
func TestWhatIsSignedIsWhatAdvisoriesSpeakOf(t *testing.T) {
	for _, c := range []struct{ name, version, source, wantSource, wantVersion string }{
		{"linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", "linux-signed-amd64 (6.1.192+2)", "linux", "6.1.192-2"},
		{"linux-image-6.12.0-1-arm64", "6.12.117-1~deb12u1", "linux-signed-6.12-arm64 (6.12.117+1~deb12u1)", "linux-6.12", "6.12.117-1~deb12u1"},
		{"grub-efi-amd64-signed", "1+2.06+13+deb12u2", "", "grub2", "2.06-13+deb12u2"},
		{"shim-helpers-amd64-signed", "1+16.1+2~deb12u1", "", "shim", "16.1-2~deb12u1"},
		{"fwupd-amd64-signed", "1:1.4+1", "", "fwupd-efi", "1:1.4-1"},
		{"linux-libc-dev", "6.1.192-2", "linux", "linux", "6.1.192-2"},
		{"shim-signed", "1.51~1+deb12u1+16.1-2~deb12u1", "shim-signed (1.51~1+deb12u1)", "shim-signed", "1.51~1+deb12u1"},
		{"python3-signedjson", "1.1.1-2", "python-signedjson", "python-signedjson", "1.1.1-2"},
	} {
		status := "Package: " + c.name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + c.version + "\n"
		if c.source != "" {
			status += "Source: " + c.source + "\n"
		}
		list, err := installed.FromStatus([]byte(status+"\n"), "debian", "12")
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if p := list[0]; p.Source != c.wantSource || p.SourceVersion != c.wantVersion {
			t.Errorf("%s is built from %s %s, want %s %s", c.name, p.Source, p.SourceVersion, c.wantSource, c.wantVersion)
		}
	}
}
