package builder_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/updates"
)

// TestDamagedPackages bakes from an archive one of whose files was tampered
// with, or lost its end.
func TestDamagedPackages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
		code   int
		says   []string
		// heals is true when another place that has the file mends it.
		heals bool
	}{
		{"one bit is another", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, 4, []string{"gzip", "SHA-256"}, false},
		{"its last byte is missing", func(b []byte) []byte { return b[:len(b)-1] }, 4, []string{"gzip"}, true},
		{"it is empty", func([]byte) []byte { return nil }, 4, []string{"gzip"}, false},
		{"a byte was added", func(b []byte) []byte { return append(b, 0) }, 4, []string{"gzip"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, inMemory(t), "proof-all")
			shared := s.archive
			s.archive = filepath.Join(s.dir, "archive")
			if err := os.Remove(s.unpacked()); err != nil {
				t.Fatal(err)
			}
			var victim string
			s.editLock(t, func(l *updates.Lock) {
				for _, p := range l.Packages {
					for kind, dir := range map[string]string{"sha256": s.archive, "unpacked": s.cache()} {
						at := filepath.Join(kind, p.SHA256[:2], p.SHA256)
						if p.Name == "gzip" && kind == "unpacked" {
							continue
						}
						if err := linkOrCopy(filepath.Join(shared, at), filepath.Join(dir, at)); err != nil {
							t.Fatal(err)
						}
					}
					if p.Name == "gzip" {
						victim = filepath.Join(s.archive, "sha256", p.SHA256[:2], p.SHA256)
					}
				}
			})
			data, err := os.ReadFile(victim)
			if err != nil {
				t.Fatal(err)
			}
			// The file is a link to the shared one.
			if err := os.Remove(victim); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(victim, c.damage(data), 0o644); err != nil {
				t.Fatal(err)
			}
			s.namespaces = 0
			nothing := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(nothing.Close)
			s.env = []string{"IMGBUILD_MIRROR=" + nothing.URL, "IMGBUILD_SECURITY_MIRROR=" + nothing.URL}
			said := s.mustFail(t, c.code)
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("the error does not say %q: %s", want, said)
				}
			}
			if n := len(s.wholeCatalog(t)); n != 0 {
				t.Errorf("the catalog has %d versions", n)
			}
			if c.heals {
				s.env = append(s.env, "IMGBUILD_ARCHIVE_SOURCES="+shared)
				s.bake(t)
			}
		})
	}
}

// member is one entry of a hostile package's data archive.
type member struct {
	tar.Header
	text string
}

// TestHostilePackages bakes packages that try to write beside their root.
func TestHostilePackages(t *testing.T) {
	t.Parallel()
	reg := func(name string) member {
		return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, "pwned"}
	}
	link := func(kind byte, name, target string) member {
		return member{Header: tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o777}}
	}
	for _, c := range []struct {
		name string
		// data gets the path of the file that must stay as it is.
		data     func(victim string) []member
		postinst func(victim string) string
		// harmless is true for what is confined rather than refused.
		harmless bool
	}{
		{name: "a path that leaves the root", data: func(string) []member { return []member{reg("./../../../../../../../../tmp/pwned")} }},
		{name: "an absolute path", data: func(victim string) []member { return []member{reg(victim)} }},
		{name: "a file below a link of its own", data: func(victim string) []member {
			return []member{link(tar.TypeSymlink, "./usr/share/hostile", filepath.Dir(victim)), reg("./usr/share/hostile/victim")}
		}},
		{name: "a hard link to a file outside", data: func(victim string) []member {
			return []member{link(tar.TypeLink, "./usr/share/hostile", victim)}
		}},
		{name: "a hard link through a link", data: func(victim string) []member {
			return []member{link(tar.TypeSymlink, "./usr/share/hostile", victim), link(tar.TypeLink, "./usr/share/hostile2", "./usr/share/hostile/x")}
		}},
		{name: "a file larger than it says", data: func(string) []member {
			m := reg("./usr/share/hostile")
			m.Size = 1 << 40
			return []member{m}
		}},
		{name: "a script that looks for the host", harmless: true, postinst: func(victim string) string {
			return fmt.Sprintf(`#!/bin/sh
for root in '' /proc/1/root /proc/self/root/.. /../../../.. /proc/1/cwd; do echo pwned >"$root%[1]s"; rm -rf "$root%[2]s"; done
mount -t tmpfs none /mnt && echo pwned >/mounted
mknod /device b 254 0 && echo pwned >/device-made
echo pwned >/proc/sysrq-trigger; echo pwned >/proc/sys/kernel/hostname; hostname pwned
chroot /proc/1/root /bin/true && echo pwned >/chrooted
(exec 3<>/dev/tcp/127.0.0.1/80) && echo pwned >/connected
test ! -e /mounted && test ! -e /device-made || exit 9
sleep 1000 & # outlives the script
exit 0
`, victim, filepath.Dir(victim))
		}},
		{name: "a script that fails", postinst: func(string) string { return "#!/bin/sh\necho I fail on purpose >&2\nexit 3\n" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, inMemory(t), "proof-all")
			victim := filepath.Join(s.dir, "outside", "victim")
			if err := os.Mkdir(filepath.Dir(victim), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(victim, []byte("precious"), 0o666); err != nil {
				t.Fatal(err)
			}
			var data []member
			if c.data != nil {
				data = c.data(victim)
			}
			postinst := ""
			if c.postinst != nil {
				postinst = c.postinst(victim)
			}
			path := filepath.Join(s.dir, "hostile.deb")
			if err := os.WriteFile(path, packageFile(t, postinst, data), 0o644); err != nil {
				t.Fatal(err)
			}
			digest, size := s.putPackage(t, path)
			// Scripts need a system to run in; what is refused is so at once.
			layer := "proof-all"
			if postinst != "" {
				layer = "proof-all-leaf"
			}
			s.editLock(t, func(l *updates.Lock) { addPackage(l, layer, digest, size) })
			host, err := os.Hostname()
			if err != nil {
				t.Fatal(err)
			}
			before := s.surroundings(t)
			if c.harmless {
				s.bake(t)
			} else {
				said := s.mustFail(t, anyCode)
				if !strings.Contains(said, "hostile") {
					t.Errorf("the error does not name the package: %s", said)
				}
				if n := len(s.wholeCatalog(t)); n != 0 {
					t.Errorf("the catalog has %d versions", n)
				}
			}
			if diff := cmp.Diff(before, s.surroundings(t)); diff != "" {
				t.Errorf("something outside changed:\n%s", diff)
			}
			if now, err := os.Hostname(); err != nil || now != host {
				t.Errorf("the host is now called %s, %v", now, err)
			}
			if _, err := os.Lstat("/tmp/pwned"); err == nil {
				t.Error("/tmp/pwned was written")
			}
			s.nothingLeft(t)
		})
	}
}

// surroundings lists everything in the shop that a bake has no business with.
func (s *shop) surroundings(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch path {
		case s.cache(), s.catalogDir(), filepath.Join(s.dir, "home"), s.lockFile():
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(data)
		}
		found[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// addPackage locks one more package, in the order that locks have.
func addPackage(l *updates.Lock, layer, digest string, size int64) {
	const name = "hostile"
	of := l.Packages[0]
	added := updates.Package{
		Name: name, Version: "1", Architecture: "all", Source: name, SourceVersion: "1", Archive: of.Archive, Suite: of.Suite,
		Path: "pool/main/h/" + name + ".deb", Size: size, SHA256: digest, Set: updates.Root, Layer: layer,
	}
	at := len(l.Packages)
	for i, p := range l.Packages {
		if p.Set == updates.Root && p.Name > name {
			at = i
			break
		}
	}
	l.Packages = append(l.Packages[:at], append([]updates.Package{added}, l.Packages[at:]...)...)
}

// packageFile writes a package file by hand, as no packaging tool would.
func packageFile(t *testing.T, postinst string, data []member) []byte {
	t.Helper()
	control := []member{{
		Header: tar.Header{Typeflag: tar.TypeReg, Name: "./control", Mode: 0o644},
		text:   "Package: hostile\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@mirror.example>\nDescription: a hostile package\n",
	}}
	if postinst != "" {
		control = append(control, member{tar.Header{Typeflag: tar.TypeReg, Name: "./postinst", Mode: 0o755}, postinst})
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, part := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", tarOf(t, control)}, {"data.tar", tarOf(t, data)}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", part.name, 0, 0, 0, "100644", len(part.data))
		b.Write(part.data)
		if len(part.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func tarOf(t *testing.T, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		m.Format = tar.FormatGNU
		lies := m.Size != 0
		if !lies {
			m.Size = int64(len(m.text))
		}
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.text)); err != nil {
			t.Fatal(err)
		}
		if lies {
			return b.Bytes()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
