package builder_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/install"
	"imgbuild/builder/disk"
	"imgbuild/builder/disk/bios"
	"imgbuild/builder/disk/esp"
	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/seal"
	"imgbuild/builder/timestamp"
	"imgbuild/images/baseline/node"
	"imgbuild/images/integrity"
	"imgbuild/images/sbom"
	"imgbuild/images/updates"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

const goldenOutputs = "testdata/golden/outputs"

// made are the outputs of this program's own code, of inputs that are always
// the same, by the kind of the stage that they are part of. Not here are
// container (builder/container has its golden bytes), boot-files (whatever it
// writes is an input of its id), and what Debian's programs of the lock make:
// the initramfs and the file systems of a disk.
var made = []struct {
	kind, what string
	root       bool // whether it needs uid 0: files of packages have owners
	make       func(t *testing.T, to io.Writer)
}{
	{"packages", "root", true, makePackages},
	{"tools", "root", true, makeTools},
	{"provision", "resources", false, makeProvision},
	{"seal", "root", false, makeSeal},
	{"boot-menu", "grub.cfg", false, makeMenu},
	{"evidence", "mtree", false, makeMtree},
	{"evidence", "cyclonedx", false, func(t *testing.T, to io.Writer) { check(t, inventory(t).CycloneDX(to)) }},
	{"evidence", "spdx", false, func(t *testing.T, to io.Writer) { check(t, inventory(t).SPDX(to)) }},
	{"disk", "esp-config", false, func(t *testing.T, to io.Writer) { io.WriteString(to, esp.Config(gpt.Derive("golden", "root"))) }},
	{"disk", "partitions", false, func(t *testing.T, to io.Writer) { hashFile(t, to, rawDisk(t)) }},
	{"disk", "qcow2", false, makeQcow2},
}

// TestOutputsAreTheSame holds what stages make of the same inputs to what was
// written down, by the format number of their kind. Other bytes of the same
// number are a mistake that -update does not take: caches of users would go on
// serving the old ones. Who changes an input of this test removes its line.
func TestOutputsAreTheSame(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022)) // as in a bake
	formats := map[string]int{}
	for _, s := range goldenPlan(t, nil, nil).Steps() {
		formats[s.Kind] = s.Format
	}
	written, err := os.ReadFile(goldenOutputs)
	if err != nil && !(*update && errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	old := map[string]string{} // kind, format and what, to the digest
	for _, line := range lines(string(written)) {
		if at := strings.LastIndexByte(line, ' '); at > 0 {
			old[line[:at]] = line[at+1:]
		}
	}
	var all strings.Builder
	for _, m := range made {
		key := fmt.Sprintf("%s format %d %s", m.kind, formats[m.kind], m.what)
		want := old[key]
		t.Run(m.kind+" "+m.what, func(t *testing.T) {
			if m.root {
				requireRoot(t)
			}
			hash := sha256.New()
			m.make(t, hash)
			got := hex.EncodeToString(hash.Sum(nil))
			switch {
			case want == "" && *update:
				want = got
			case want == "":
				t.Errorf("%s has no digest for format %d: run this test with -update", goldenOutputs, formats[m.kind])
			case got != want:
				t.Errorf("stages of kind %q make other bytes, and their format number is still %d: raise it (the constant that builder gives their Definition as Format), then run this test with -update",
					m.kind, formats[m.kind])
			}
		})
		fmt.Fprintf(&all, "%s %s\n", key, want)
	}
	if *update && !t.Failed() {
		if strings.Contains(all.String(), " \n") {
			t.Fatal("-update needs root: not every output was made")
		}
		check(t, os.WriteFile(goldenOutputs, []byte(all.String()), 0o644))
		return
	}
	if !t.Failed() && len(old) != len(made) {
		t.Errorf("%s has %d lines for %d outputs: run this test with -update", goldenOutputs, len(old), len(made))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The dates of the golden lock: of its suite, and of its newest index.
const goldenStamp, goldenEpoch = 1747475410, 1750000000

// goldenPackage is a package file with all that an unpacker has to know.
func goldenPackage(t *testing.T) []byte {
	type entry struct {
		kind          byte
		name, content string
		mode          int64
	}
	archive := func(entries ...entry) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, e := range entries {
			h := &tar.Header{Typeflag: e.kind, Name: e.name, Mode: e.mode, Format: tar.FormatGNU, Uname: "root", Gname: "root"}
			h.ModTime = h.ModTime.AddDate(1980, 0, 0)
			if e.kind == tar.TypeReg {
				h.Size = int64(len(e.content))
			} else {
				h.Linkname, e.content = e.content, ""
			}
			check(t, w.WriteHeader(h))
			_, err := io.WriteString(w, e.content)
			check(t, err)
		}
		check(t, w.Close())
		return b.Bytes()
	}
	control := archive(
		entry{tar.TypeReg, "./control", "Package: golden\nVersion: 1:2.0-3\nArchitecture: amd64\nEssential: yes\nMaintainer: A <a@mirror.example>\nDescription: sample\n", 0o644},
		entry{tar.TypeReg, "./conffiles", "/etc/golden.conf\n", 0o644},
		entry{tar.TypeReg, "./triggers", "interest-noawait /usr/share/golden\nactivate told\n", 0o644},
		entry{tar.TypeReg, "./preinst", "#!/bin/sh\n", 0o755},
		entry{tar.TypeReg, "./postinst", "#!/bin/sh\n", 0o755})
	data := archive(
		entry{tar.TypeDir, "./", "", 0o755},
		entry{tar.TypeDir, "./etc/", "", 0o755},
		entry{tar.TypeReg, "./etc/golden.conf", "level=1\n", 0o640},
		entry{tar.TypeDir, "./sbin/", "", 0o755},
		entry{tar.TypeReg, "./sbin/golden", "program", 0o4755},
		entry{tar.TypeDir, "./usr/", "", 0o755},
		entry{tar.TypeDir, "./usr/share/", "", 0o755},
		entry{tar.TypeDir, "./usr/share/golden/", "", 0o2775},
		entry{tar.TypeReg, "./usr/share/golden/a", strings.Repeat("golden ", 1000), 0o644},
		entry{tar.TypeLink, "./usr/share/golden/b", "./usr/share/golden/a", 0o644},
		entry{tar.TypeSymlink, "./usr/share/golden/c", "../golden/a", 0o777},
		entry{tar.TypeReg, "./usr/share/golden/left-out", "x", 0o644})
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, member := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", control}, {"data.tar", data}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, 0, 0, 0, "100644", len(member.data))
		out.Write(member.data) // both lengths are even
	}
	return out.Bytes()
}

// goldenOptions are those of an installation of the golden package into an
// empty root.
func goldenOptions(t *testing.T) install.Options {
	dir := t.TempDir()
	archive, err := updates.Open(filepath.Join(dir, "archive"))
	check(t, err)
	file := goldenPackage(t)
	sum := sha256.Sum256(file)
	digest := hex.EncodeToString(sum[:])
	check(t, archive.Put(t.Context(), digest, int64(len(file)), bytes.NewReader(file)))
	root := filepath.Join(dir, "root")
	check(t, os.Mkdir(root, 0o755))
	return install.Options{
		Root: root, Architecture: "amd64", Archive: archive, Unpacked: &deb.Cache{Dir: filepath.Join(dir, "unpacked")}, Epoch: goldenStamp,
		Packages: []updates.Package{{Name: "golden", Version: "1:2.0-3", Architecture: "amd64", SHA256: digest, Size: int64(len(file)), Auto: true}},
		Exclude:  []string{"/usr/share/golden/left*"}, Env: []string{"GOLDEN=1"},
	}
}

// makePackages installs the golden package. In place of dpkg there is this
// binary as the root's shell, which writes down what it was to run.
func makePackages(t *testing.T, to io.Writer) {
	o := goldenOptions(t)
	self := requireStatic(t)
	shell := filepath.Join(o.Root, "usr/bin/sh")
	check(t, errors.Join(copyFile(self, shell), os.Chmod(shell, 0o755), os.Symlink("usr/bin", filepath.Join(o.Root, "bin"))))
	result, err := install.Layer(t.Context(), o)
	check(t, err)
	fmt.Fprintln(to, result.Accounts)
	check(t, os.Remove(shell))
	describeRoot(t, to, o.Root, true)
}

// standsForShell tells this binary that it is the shell of makePackages' root.
func standsForShell() bool { return os.Args[0] == "/bin/sh" }

// shellOfRoot writes down its program and environment, and says of all packages
// that they are configured.
func shellOfRoot() {
	const status = "/var/lib/dpkg/status"
	data, err := os.ReadFile(status)
	if err == nil {
		data = bytes.ReplaceAll(data, []byte("\nStatus: install ok unpacked\n"), []byte("\nStatus: install ok installed\n"))
		err = os.WriteFile(status, data, 0o644)
	}
	var told *os.File
	if err == nil {
		told, err = os.OpenFile("/told", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	}
	if err == nil {
		_, err = fmt.Fprintf(told, "%q %q\n", os.Args, os.Environ())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func makeTools(t *testing.T, to io.Writer) {
	o := goldenOptions(t)
	check(t, install.Unpack(t.Context(), o))
	describeRoot(t, to, o.Root, true)
}

// makeProvision applies a resource of every type.
func makeProvision(t *testing.T, to io.Writer) {
	project := fstest.MapFS{
		"site/index.html": {Data: []byte("hello ${who}\n"), Mode: 0o644},
		"site/run":        {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"site/latest":     {Data: []byte("index.html"), Mode: fs.ModeSymlink},
	}
	decoded, err := node.Parse("golden", project, "baselines/golden.yaml", []byte(`
files:
  /etc/motd: {from: ../site/index.html, template: true, owner: app, mode: 4750}
directories:
  /srv/site: {from: ../site, group: app}
  /srv/empty: {mode: 2775}
symlinks:
  /etc/link: motd
lines:
  root: {path: /etc/sshd_config, match: ^PermitRootLogin, line: PermitRootLogin no}
groups:
  app: {system: true}
  people: {}
users:
  app: {system: true, group: app}
  ann: {groups: [people], shell: /bin/sh, comment: Ann}
services:
  web: enabled
  old: masked
`))
	check(t, err)
	resources, err := provisioners.Decode(decoded, node.Vars{"who": {Kind: node.String, Text: "world"}})
	check(t, err)
	s := system.NewMemory()
	for path, content := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "/etc/group": "root:x:0:\nshadow:x:42:\n",
		"/etc/shadow": "root:*:19000:0:99999:7:::\n", "/etc/gshadow": "root:*::\n", "/etc/skel/.profile": "# profile\n",
		"/etc/sshd_config":                    "PermitRootLogin yes\nPermitRootLogin maybe\n",
		"/usr/lib/systemd/system/web.service": "[Install]\nWantedBy=multi-user.target\n", "/usr/lib/systemd/system/old.service": "[Install]\nWantedBy=multi-user.target\n",
	} {
		check(t, system.MkdirAll(s, filepath.Dir(path)))
		check(t, s.WriteFile(path, strings.NewReader(content), system.Attr{Mode: 0o644}))
	}
	changed, err := provisioners.Apply(t.Context(), s, resources)
	check(t, err)
	fmt.Fprintln(to, changed)
	describeSystem(t, to, s, "/")
}

func describeSystem(t *testing.T, to io.Writer, s system.Reader, name string) {
	info, err := s.Lstat(name)
	check(t, err)
	fmt.Fprintf(to, "%s %v %d:%d\n", name, info.Mode, info.UID, info.GID)
	switch info.Mode.Type() {
	case fs.ModeDir:
		names, err := s.ReadDir(name)
		check(t, err)
		slices.Sort(names)
		for _, n := range names {
			describeSystem(t, to, s, filepath.Join(name, n))
		}
	case fs.ModeSymlink:
		target, err := s.Readlink(name)
		check(t, err)
		fmt.Fprintln(to, target)
	default:
		content, err := system.ReadFile(s, name, 1<<20)
		check(t, err)
		fmt.Fprintf(to, "%q\n", content)
	}
}

// makeSeal seals a root that has something of everything that sealing takes
// out, and stamps it as a stage is stamped.
func makeSeal(t *testing.T, to io.Writer) {
	root := t.TempDir()
	check(t, os.Chmod(root, 0o755))
	for _, path := range []string{
		"usr/lib/os-release", "etc/machine-id", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_rsa_key", "etc/ssl/private/ssl-cert-snakeoil.key",
		"var/lib/postgresql/15/main/PG_VERSION", "etc/postgresql/15/main/postgresql.conf", "var/log/web/access.log", "var/log/dpkg.log",
		"var/lib/apt/lists/mirror_InRelease", "var/cache/apt/pkgcache.bin", "var/cache/debconf/config.dat-old", "etc/shadow-", "etc/shadow",
		"root/.bash_history", "tmp/x/y", "run/x", "usr/lib/systemd/systemd", "usr/share/kept",
	} {
		file := filepath.Join(root, path)
		check(t, os.MkdirAll(filepath.Dir(file), 0o755))
		check(t, os.WriteFile(file, []byte("of "+path+"\n"), 0o640))
	}
	result, err := seal.Root(root, seal.Identity{Baseline: "golden", Stage: strings.Repeat("ab", 32), Architecture: "amd64"})
	check(t, err)
	fmt.Fprintln(to, *result)
	describeRoot(t, to, root, false)
}

// describeRoot stamps a root and writes everything about it down.
func describeRoot(t *testing.T, to io.Writer, root string, owners bool) {
	t.Helper()
	check(t, timestamp.Set(t.Context(), root, goldenEpoch, goldenStamp))
	entries, err := tree.Walk(t.Context(), root)
	check(t, err)
	for _, e := range entries {
		if !owners {
			e.UID, e.GID = 0, 0
		}
		e.Xattrs = nil // a host with security labels gives each file one
		fmt.Fprintf(to, "%+v\n", e)
	}
}

func makeMenu(t *testing.T, to io.Writer) {
	layout, err := disk.NewLayout(disk.LayoutSpec{Seed: "golden", Architecture: "amd64", Size: 2 << 30})
	check(t, err)
	menu, err := disk.Menu(layout, []string{"6.1.0-26-cloud-amd64", "6.1.0-25-cloud-amd64"}, []string{"console=ttyS0", "quiet"})
	check(t, err)
	to.Write(menu)
}

func makeMtree(t *testing.T, to io.Writer) {
	digest := strings.Repeat("0f", 32)
	manifest, err := integrity.NewManifest([]integrity.Entry{
		{Path: ".", Mode: fs.ModeDir | 0o755, ModTime: 1},
		{Path: "a b\n#\xff", Mode: 0o644, UID: 33, GID: 42, Size: 5, SHA256: digest, ModTime: goldenStamp},
		{Path: "bin", Mode: fs.ModeSymlink | 0o777, Target: "usr/bin", ModTime: 2},
		{Path: "dev", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "dev/null", Mode: fs.ModeDevice | fs.ModeCharDevice | 0o666, Major: 1, Minor: 3},
		{Path: "ping", Mode: 0o755, Size: 1, SHA256: digest, Xattrs: map[string]string{"security.capability": "\x01\x00", "user.x": "y"}},
		{Path: "su", Mode: fs.ModeSetuid | 0o755, Size: 1, SHA256: digest},
		{Path: "sudo", Mode: fs.ModeSetuid | 0o755, Size: 1, SHA256: digest, HardLink: "su"},
	}, integrity.DefaultRules())
	check(t, err)
	check(t, manifest.WriteMtree(to))
}

// inventory is that of two packages of the golden lock.
func inventory(t *testing.T) *sbom.Inventory {
	lock := goldenPlan(t, nil, func(l *updates.Lock) {
		l.Packages = slices.DeleteFunc(l.Packages, func(p updates.Package) bool {
			return p.Set != updates.Tools && p.Name != "base-files" && p.Name != "libc6"
		})
	}).Lock
	const status = "Package: base-files\nStatus: install ok installed\nMaintainer: A <a@mirror.example>\nArchitecture: amd64\n" +
		"Version: 12.4+deb12u11\nHomepage: https://base.example/\nDescription: base\n more of it\n\n" +
		"Package: libc6\nStatus: install ok installed\nMaintainer: B <b@mirror.example>\nArchitecture: amd64\n" +
		"Version: 2.36-9+deb12u10\nDepends: base-files (>= 12) | other\nDescription: C library\n"
	found, err := sbom.FromStatus([]byte(status), lock, sbom.Image{
		Name: "golden", ID: strings.Repeat("ab", 32), Output: sbom.Disk, Distribution: "debian", DistributionVersion: "12",
		Loaders: lock.InSet(updates.Tools)[:1],
	}, func(name string) ([]byte, error) {
		if name != "libc6" {
			return nil, fs.ErrNotExist
		}
		return []byte("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: B\nLicense: LGPL-2.1+ or MIT\n"), nil
	})
	check(t, err)
	return found
}

// rawDisk is a disk of 16 MiB with its table, boot code, and some contents.
func rawDisk(t *testing.T) string {
	const sectors = 16 << 20 / gpt.SectorSize
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	check(t, f.Truncate(sectors*gpt.SectorSize))
	check(t, gpt.Table{
		Disk: gpt.Derive("golden", "disk"), Sectors: sectors, Partitions: []gpt.Partition{
			{Name: "bios", Type: gpt.TypeBIOSBoot, ID: gpt.Derive("golden", "bios"), First: 2048, Last: 4095},
			{Name: "root", Type: gpt.TypeRootAMD64, ID: gpt.Derive("golden", "root"), First: 4096, Last: gpt.LastUsable(sectors)},
		},
	}.Write(f))
	boot, core := bytes.Repeat([]byte{0xeb}, gpt.SectorSize), bytes.Repeat([]byte{0xc0}, 3*gpt.SectorSize)
	boot[510], boot[511] = 0x55, 0xaa
	binary.LittleEndian.PutUint16(core[gpt.SectorSize-4:], 2)
	binary.LittleEndian.PutUint16(core[gpt.SectorSize-2:], 0x820)
	check(t, bios.Install(f, boot, core, 2048, 2048))
	_, err = f.WriteAt([]byte(strings.Repeat("golden image ", 100_000)), 4096*gpt.SectorSize)
	check(t, err)
	return path
}

func makeQcow2(t *testing.T, to io.Writer) {
	raw := rawDisk(t)
	check(t, qcow2.Write(t.Context(), raw+".qcow2", raw, qcow2.Options{Compression: qcow2.Zstd}))
	hashFile(t, to, raw+".qcow2")
}

func hashFile(t *testing.T, to io.Writer, path string) {
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	_, err = io.Copy(to, f)
	check(t, err)
}
