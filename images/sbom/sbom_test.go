package sbom_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/xeipuuv/gojsonschema"

	"imgbuild/images/fault"
	"imgbuild/images/sbom"
	"imgbuild/images/updates"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testImage = sbom.Image{
	Name: "debian-12-nginx", ID: strings.Repeat("ab", 32), Output: sbom.Container,
	Distribution: "debian", DistributionVersion: "12",
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func testLock() *updates.Lock {
	locked := func(name, version, architecture, source, sourceVersion string) updates.Package {
		return updates.Package{
			Name: name, Version: version, Architecture: architecture, Source: source, SourceVersion: sourceVersion,
			Archive: "debian", Suite: "bookworm", Path: "pool/main/" + name + ".deb", Size: 1000, SHA256: sumOf(name), Set: updates.Root,
		}
	}
	return &updates.Lock{Epoch: 1772366400, Packages: []updates.Package{
		locked("libc6", "2.36-9+deb12u10", "amd64", "glibc", "2.36-9+deb12u10"),
		locked("libssl3", "3.0.16-1~deb12u1", "amd64", "openssl", "3.0.16-1~deb12u1"),
		locked("login", "1:4.13+dfsg1-1+deb12u1", "amd64", "shadow", "1:4.13+dfsg1-1+deb12u1"),
		locked("mawk", "1.3.4.20200120-3.1", "amd64", "mawk", "1.3.4.20200120-3.1"),
		locked("nginx", "1.22.1-9+deb12u1", "amd64", "nginx", "1.22.1-9+deb12u1"),
		locked("nginx-common", "1.22.1-9+deb12u1", "all", "nginx", "1.22.1-9+deb12u1"),
		locked("gcc-12-base", "12.2.0-14+deb12u1", "amd64", "gcc-12", "12.2.0-14"),
	}}
}

func testInventory(t *testing.T) *sbom.Inventory {
	t.Helper()
	root := os.DirFS("testdata/root")
	inventory, err := sbom.FromRoot(root, testLock(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	return inventory
}

func written(t *testing.T, write func(w io.Writer) error) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	inventory := testInventory(t)
	for name, got := range map[string][]byte{
		"testdata/bom.cdx.json":  written(t, inventory.CycloneDX),
		"testdata/bom.spdx.json": written(t, inventory.SPDX),
	} {
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what is written; if that is meant, run go test -update", name)
		}
	}
}

func TestPackageURLs(t *testing.T) {
	want := map[string]string{
		"nginx":       "pkg:deb/debian/nginx@1.22.1-9%2Bdeb12u1?arch=amd64&distro=debian-12",
		"libc6":       "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12&upstream=glibc",
		"gcc-12-base": "pkg:deb/debian/gcc-12-base@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14",
		"login":       "pkg:deb/debian/login@1%3A4.13%2Bdfsg1-1%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=shadow",
		"libssl3":     "pkg:deb/debian/libssl3@3.0.16-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl",
	}
	for _, p := range testInventory(t).Packages {
		parsed, err := packageurl.FromString(p.PURL)
		if err != nil || parsed.Version != p.Version || parsed.Name != p.Name {
			t.Errorf("%s reads back as %+v (%v)", p.PURL, parsed, err)
		}
		if w, ok := want[p.Name]; ok && p.PURL != w {
			t.Errorf("%s:\n got %s\nwant %s", p.Name, p.PURL, w)
		}
	}
}

// Boot loaders lie beside the root file system: the inventory has them too, and
// once when the root has their package as well.
func TestLoadersAreListed(t *testing.T) {
	loader := updates.Package{
		Name: "grub-pc-bin", Version: "2.06-13+deb12u1", Architecture: "amd64", Source: "grub2", SourceVersion: "2.06-13+deb12u1",
		Archive: "debian", Suite: "bookworm", Path: "pool/main/grub-pc-bin.deb", Size: 1000, SHA256: sumOf("grub-pc-bin"), Set: updates.Tools,
	}
	lock, image := testLock(), testImage
	installed := lock.Packages[4]
	installed.Set = updates.Tools
	image.Output, image.Loaders = sbom.Disk, []updates.Package{loader, installed}
	inventory, err := sbom.FromRoot(os.DirFS("testdata/root"), lock, image)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, p := range inventory.Packages {
		seen[p.Name+" "+p.SHA256]++
	}
	if len(inventory.Packages) != len(testInventory(t).Packages)+1 || seen["grub-pc-bin "+loader.SHA256] != 1 || seen["nginx "+installed.SHA256] != 1 {
		t.Errorf("got %v", seen)
	}
}

func TestDependenciesAndLicenses(t *testing.T) {
	names, of := map[string]string{}, map[string]sbom.Package{}
	for _, p := range testInventory(t).Packages {
		names[p.PURL], of[p.Name] = p.Name, p
	}
	for name, want := range map[string]string{
		"nginx":       "libc6 libssl3 mawk nginx-common", // awk is virtual, of the alternatives the second is there
		"login":       "libc6",
		"gcc-12-base": "",
		"libc6":       "gcc-12-base",
	} {
		var got []string
		for _, purl := range of[name].DependsOn {
			got = append(got, names[purl])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s depends on %v, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"nginx":   "BSD-2-Clause|(GPL-2.0-or-later OR Artistic-1.0-Perl) AND MIT|LicenseRef-my-own-terms-",
		"libc6":   "",
		"libssl3": "Apache-2.0",
		"mawk":    "",
	} {
		var got []string
		for _, l := range of[name].Licenses {
			got = append(got, l.Expression)
		}
		if !strings.HasPrefix(strings.Join(got, "|"), want) || (want == "") != (len(got) == 0) {
			t.Errorf("%s is under %q, want %q", name, strings.Join(got, "|"), want)
		}
	}
}

func TestUnlockedPackageIsRefused(t *testing.T) {
	lock := testLock()
	lock.Packages = lock.Packages[1:]
	_, err := sbom.FromRoot(os.DirFS("testdata/root"), lock, testImage)
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "package libc6 2.36-9+deb12u10 (amd64) is installed but not in the lock") {
		t.Errorf("got %v", err)
	}
	if _, err := sbom.FromRoot(os.DirFS("testdata"), lock, testImage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no database: %v", err)
	}
}

// schemas is the directory of the JSON schemas that come with cyclonedx-go.
func schemas(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("the sources of cyclonedx-go are not here: %v", err)
	}
	return filepath.Join(dir, "schema")
}

func checkCycloneDX(t *testing.T, text []byte) {
	t.Helper()
	dir := schemas(t)
	loader := gojsonschema.NewSchemaLoader()
	for url, file := range map[string]string{
		"http://cyclonedx.org/schema/spdx.schema.json":     "spdx.schema.json",
		"http://cyclonedx.org/schema/jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := loader.AddSchema(url, gojsonschema.NewBytesLoader(content)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, "bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := loader.Compile(gojsonschema.NewBytesLoader(content))
	if err != nil {
		t.Fatal(err)
	}
	result, err := schema.Validate(gojsonschema.NewBytesLoader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range result.Errors() {
		t.Error(problem)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, c := range *bom.Components {
		if refs[c.BOMRef] {
			t.Errorf("the reference %s is not unique", c.BOMRef)
		}
		refs[c.BOMRef] = true
	}
	for _, d := range *bom.Dependencies {
		if !refs[d.Ref] {
			t.Errorf("the dependency %s dangles", d.Ref)
		}
		if d.Dependencies == nil {
			continue
		}
		for _, on := range *d.Dependencies {
			if !refs[on] {
				t.Errorf("the dependency on %s dangles", on)
			}
		}
	}
}

func checkSPDX(t *testing.T, text []byte) {
	t.Helper()
	document, err := spdxjson.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(document); err != nil {
		t.Error(err)
	}
	described, err := spdxlib.GetDescribedPackageIDs(document)
	if err != nil || len(described) != 1 || described[0] != "Image" {
		t.Errorf("it describes %v (%v)", described, err)
	}
}

func TestReadersAcceptBothForms(t *testing.T) {
	inventory := testInventory(t)
	checkCycloneDX(t, written(t, inventory.CycloneDX))
	checkSPDX(t, written(t, inventory.SPDX))
}

// TestThisMachine lists the packages of the machine that runs the test, with
// all their licences.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("dpkg-query", "-W", "-f", `${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n`).Output()
	if err != nil {
		t.Skipf("this machine has no package database: %v", err)
	}
	lock := &updates.Lock{Epoch: 1772366400}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		f := strings.Split(line, "\t")
		if f[0] != "installed" {
			continue
		}
		lock.Packages = append(lock.Packages, updates.Package{
			Name: f[1], Version: f[2], Architecture: f[3], Source: f[4], SourceVersion: f[5],
			Path: "pool/" + f[1] + ".deb", SHA256: sumOf(line), Set: updates.Root,
		})
	}
	inventory, err := sbom.FromRoot(os.DirFS("/"), lock, testImage)
	if err != nil {
		t.Fatal(err)
	}
	if len(inventory.Packages) != len(lock.Packages) {
		t.Errorf("found %d packages of %d", len(inventory.Packages), len(lock.Packages))
	}
	bom := written(t, inventory.CycloneDX)
	checkCycloneDX(t, bom)
	checkSPDX(t, written(t, inventory.SPDX))
	again, err := sbom.FromRoot(os.DirFS("/"), lock, testImage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bom, written(t, again.CycloneDX)) {
		t.Error("two runs differ")
	}
}

func FuzzStatus(f *testing.F) {
	status, err := os.ReadFile("testdata/root/var/lib/dpkg/status")
	if err != nil {
		f.Fatal(err)
	}
	copyright, err := os.ReadFile("testdata/root/usr/share/doc/nginx/copyright")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(status, copyright)
	f.Add([]byte("Package: mawk\nStatus: install ok installed\nVersion: 1.3.4.20200120-3.1\nArchitecture: amd64\nProvides: ,(=\nDepends: |,(>> \n"), []byte("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0\nLicense: , or , and  or \n"))
	lock := testLock()
	f.Fuzz(func(t *testing.T, status, copyright []byte) {
		inventory, err := sbom.FromStatus(status, lock, testImage, func(string) ([]byte, error) { return copyright, nil })
		if err != nil {
			return
		}
		if err := inventory.CycloneDX(io.Discard); err != nil {
			t.Error(err)
		}
		if err := inventory.SPDX(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
