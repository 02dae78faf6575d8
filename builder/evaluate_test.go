package builder_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/sbom"
	"imgbuild/images/updates"
)

// TestALockIsCalledAsItsImageIs has what only signs, and what was built again: advisories
// know neither, and a lock and the system that is made of it must not differ about that.
func TestALockIsCalledAsItsImageIs(t *testing.T) {
	const status = `Package: linux-image-6.1.0-50-cloud-amd64
Status: install ok installed
Version: 6.1.176-1
Architecture: amd64
Source: linux-signed-amd64 (6.1.176+1)

Package: login
Status: install ok installed
Version: 1:4.13+dfsg1-1+b1
Architecture: amd64
Source: shadow
`
	want, err := installed.FromStatus([]byte(status), "debian", "12")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := sbom.Installed([]byte(status))
	if err != nil {
		t.Fatal(err)
	}
	lock := &updates.Lock{Suite: "bookworm", Packages: []updates.Package{{Name: "mkfs", Version: "1", Set: updates.Tools}}}
	for _, p := range packages {
		lock.Packages = append(lock.Packages, updates.Package{
			Name: p.Name, Version: p.Version, Architecture: p.Architecture, Source: p.Source, SourceVersion: p.SourceVersion, Set: updates.Root, Archive: "debian",
		})
	}
	lock.Packages = append(lock.Packages, updates.Package{Name: "agent", Version: "1", Set: updates.Root, Archive: "vendor"})
	got := builder.Installed(lock)
	if len(got) != 3 || got[2].Foreign != "vendor" {
		t.Fatalf("a vendor's package is %+v", got)
	}
	if got = got[:2]; len(got) != 2 || got[0].Source != "linux" || got[0].SourceVersion != "6.1.176-1" || !cmp.Equal(want, got) {
		t.Errorf("the lock and its image differ: %s", cmp.Diff(want, got))
	}
}

// TestALockHasTheLoadersOfItsDisk has boot loaders among the tools, of which disks have some:
// an advisory for GRUB or shim concerns what boots by them.
func TestALockHasTheLoadersOfItsDisk(t *testing.T) {
	signed := updates.Package{Name: "grub-efi-amd64-signed", Version: "1+2.06+13", Architecture: "amd64", Source: "grub-efi-amd64-signed", SourceVersion: "1+2.06+13"}
	lock := &updates.Lock{Suite: "bookworm", Architecture: "amd64"}
	for _, p := range []updates.Package{
		{Name: "grub-pc-bin", Version: "2.06-13", Source: "grub2", Set: updates.Tools}, {Name: "e2fsprogs", Version: "1", Set: updates.Tools},
		{Name: "shim-signed", Version: "1.44", Set: updates.Boot}, {Name: "shim-signed", Version: "1.44", Set: updates.Tools},
		{Name: signed.Name, Version: signed.Version, Source: signed.Source, SourceVersion: signed.SourceVersion, Set: updates.Tools},
	} {
		p.Architecture = "amd64"
		lock.Packages = append(lock.Packages, p)
	}
	var got []string
	for _, p := range builder.Installed(lock) {
		got = append(got, p.Name+" of "+p.Source+" "+p.SourceVersion)
	}
	want := []string{"shim-signed of shim-signed 1.44", "grub-pc-bin of grub2 2.06-13", "grub-efi-amd64-signed of grub2 2.06-13"}
	if !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
}
