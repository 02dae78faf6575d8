package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/host"
	"imgbuild/images/fault"
)

// etcApt writes files below etc/apt of a new root and returns that root.
func etcApt(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, "etc/apt", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const deb822 = `# written by the installer
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
# a comment between fields
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs:
 http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
`

func TestBothFormsOfSourcesAreRead(t *testing.T) {
	root := etcApt(t, map[string]string{
		"sources.list.d/debian.sources": deb822,
		"sources.list.d/vendor.list": "deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/apt bookworm main\n" +
			"# deb http://comment.example/debian bookworm main\ndeb-src http://source.example/debian bookworm main\n",
		"sources.list.d/readme.save": "deb http://ignored.example/debian bookworm main\n",
	})
	got, err := host.AptSourcesAt(root)
	if err != nil {
		t.Fatal(err)
	}
	keyring := "/usr/share/keyrings/debian-archive-keyring.gpg"
	file := filepath.Join(root, "etc/apt/sources.list.d/debian.sources")
	want := host.Sources{
		{URI: "http://mirror.example/debian", Suite: "bookworm", Components: []string{"main"}, SignedBy: keyring, File: file},
		{URI: "http://mirror.example/debian", Suite: "bookworm-updates", Components: []string{"main"}, SignedBy: keyring, File: file},
		{URI: "http://mirror.example/debian-security", Suite: "bookworm-security", Components: []string{"main"}, SignedBy: keyring, File: file},
		{URI: "https://vendor.example/apt", Suite: "bookworm", Components: []string{"main"},
			SignedBy: "/usr/share/keyrings/vendor.gpg", File: filepath.Join(root, "etc/apt/sources.list.d/vendor.list")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestMirrorIsDebiansAndNotAVendors(t *testing.T) {
	for name, c := range map[string]struct {
		files          map[string]string
		archive, suite string
		want           string
	}{
		"the listed suite": {
			map[string]string{"sources.list.d/debian.sources": deb822},
			host.ArchiveDebian, "bookworm", "http://mirror.example/debian",
		},
		"another release from the same mirror": {
			map[string]string{"sources.list.d/debian.sources": deb822},
			host.ArchiveSecurity, "trixie-security", "http://mirror.example/debian-security",
		},
		"a vendor that uses Debian's suite name": {
			map[string]string{"sources.list": "deb http://vendor.example/apt bookworm main\ndeb http://mirror.example/debian bookworm main\n"},
			host.ArchiveDebian, "bookworm", "http://mirror.example/debian",
		},
		"a vendor in a folder named as Debian's": {
			map[string]string{"sources.list": "deb [signed-by=/etc/apt/keyrings/vendor.asc] http://vendor.example/linux/debian bookworm main\ndeb http://mirror.example/debian trixie main\n"},
			host.ArchiveDebian, "bookworm", "http://mirror.example/debian",
		},
		"a list of mirrors in a file": {
			map[string]string{
				"sources.list":        "deb mirror+file:///etc/apt/mirrors/debian.list bookworm main\n",
				"mirrors/debian.list": "https://first.example/debian\nhttps://second.example/debian\n",
			},
			host.ArchiveDebian, "bookworm", "https://first.example/debian",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sources, err := host.AptSourcesAt(etcApt(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			got, err := sources.Mirror(c.archive, c.suite)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestNoMirrorSaysWhatToSet(t *testing.T) {
	sources, err := host.AptSourcesAt(etcApt(t, map[string]string{"sources.list": "deb cdrom:[Debian]/ bookworm main\n"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = sources.Mirror(host.ArchiveSecurity, "bookworm-security")
	if fault.KindOf(err) != fault.Input {
		t.Fatalf("got %v, want an input error", err)
	}
	want := "set security-mirror: in imgbuild.yaml, IMGBUILD_SECURITY_MIRROR or --security-mirror"
	if got := fault.HintOf(err); got != want {
		t.Errorf("hint: got %q, want %q", got, want)
	}
}
