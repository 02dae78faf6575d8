package deb_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian/deb"
	"imgbuild/images/fault"
)

func dir(name string) file {
	return file{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}}
}

func plain(name, content string) file {
	return file{Header: tar.Header{Name: name}, content: content}
}

func symlink(name, target string) file {
	return file{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}}
}

func hardLink(name, target string) file {
	return file{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}}
}

// part is what of a package file a hostile one is made of; each part has a
// fuzz target.
type part string

const (
	whole       part = "FuzzRead"
	controlPart part = "FuzzControl"
	dataPart    part = "FuzzData"
)

// file is a package file with the part in its place.
func (p part) file(t testing.TB, content []byte) []byte {
	version := member{"debian-binary", []byte("2.0\n")}
	switch p {
	case controlPart:
		return ar(version, member{"control.tar", content}, member{"data.tar", tarball(t, dir("./"), plain("./a", "a"))})
	case dataPart:
		return ar(version, member{"control.tar", controlTar(t)}, member{"data.tar", content})
	default:
		return content
	}
}

// hostile is a part that must be refused with an error that says want.
type hostile struct {
	part    part
	content []byte
	want    string
}

func hostiles(t testing.TB) map[string]hostile {
	good := pack(t, tarball(t, dir("./"), plain("./a", "a")))
	version := member{"debian-binary", []byte("2.0\n")}
	control := member{"control.tar", controlTar(t)}
	data := member{"data.tar", tarball(t, dir("./"), plain("./a", "a"))}
	zeros := strings.Repeat("\x00", 200<<20)
	return map[string]hostile{
		"empty":              {whole, nil, "too short"},
		"no ar":              {whole, []byte("PK\x03\x04 and more bytes"), "no ar archive"},
		"cut in header":      {whole, good[:30], "truncated"},
		"cut in member":      {whole, good[:len(good)-40], "truncated"},
		"huge member":        {whole, bytes.Replace(good, []byte("4         `\n2.0"), []byte("9999999999`\n2.0"), 1), "truncated"},
		"negative size":      {whole, bytes.Replace(good, []byte("4         `\n2.0"), []byte("-4        `\n2.0"), 1), `size "-4"`},
		"wrong version":      {whole, ar(member{"debian-binary", []byte("3.0\n")}, control, data), "format version"},
		"no control":         {whole, ar(version, data), "want control.tar"},
		"no data":            {whole, ar(version, control), "members are missing"},
		"two data":           {whole, ar(version, control, data, data), "unexpected member"},
		"unknown extension":  {whole, ar(version, control, member{"data.tar.rar", nil}), "compression"},
		"damaged gzip":       {whole, ar(version, control, member{"data.tar.gz", []byte("\x1f\x8b\x08nonsense....")}), "data.tar.gz"},
		"damaged xz":         {whole, ar(version, control, member{"data.tar.xz", []byte("\xfd7zXZ\x00nonsense nonsense nonsense")}), "data.tar.xz"},
		"control twice":      {controlPart, tarball(t, plain("./control", controlText), plain("control", controlText)), "control occurs twice"},
		"control path":       {controlPart, tarball(t, plain("./control", controlText), plain("./../x", "")), "not allowed"},
		"control list":       {controlPart, tarball(t, plain("./control", controlText), plain("./list", "")), "not allowed"},
		"control link":       {controlPart, tarball(t, symlink("./control", "/etc/passwd")), "no plain file"},
		"no control file":    {controlPart, tarball(t, plain("./postinst", "")), "no control file"},
		"path leaves":        {dataPart, tarball(t, plain("./../../etc/cron.d/x", "x")), "leaves the root"},
		"path leaves inside": {dataPart, tarball(t, plain("./usr/../../x", "x")), "leaves the root"},
		"absolute path":      {dataPart, tarball(t, plain("/etc/passwd", "x")), "absolute"},
		"newline in path":    {dataPart, tarball(t, plain("./a\nb", "x")), "control character"},
		"empty part":         {dataPart, tarball(t, plain("./a//b", "x")), "empty part"},
		"through a link":     {dataPart, tarball(t, symlink("./etc", "/tmp"), plain("./etc/passwd", "x")), "lies below etc"},
		"through a file":     {dataPart, tarball(t, plain("./etc", ""), plain("./etc/passwd", "x")), "lies below etc"},
		"twice":              {dataPart, tarball(t, plain("./a", "1"), plain("./a", "2")), "occurs twice"},
		"link over file":     {dataPart, tarball(t, plain("./a", "1"), symlink("./a", "b")), "occurs twice"},
		"hard link outside":  {dataPart, tarball(t, hardLink("./a", "/etc/shadow")), "absolute"},
		"hard link leaves":   {dataPart, tarball(t, hardLink("./a", "../etc/shadow")), "leaves the root"},
		"hard link to none":  {dataPart, tarball(t, hardLink("./a", "./b")), "no earlier file"},
		"root is a link":     {dataPart, tarball(t, symlink("./.", "/")), ""},
		"bomb":               {whole, pack(t, tarball(t, plain("./zeros", zeros))), "more than"},
		"pax":                {dataPart, tarball(t, file{Header: tar.Header{Name: "./a", Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}}), "pax"},
	}
}

func TestHostilePackagesAreRefused(t *testing.T) {
	for name, c := range hostiles(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cache, err := open(t, c.part.file(t, c.content))
			if err == nil {
				t.Fatal("accepted")
			}
			if fault.KindOf(err) != fault.World {
				t.Errorf("kind %d: %v", fault.KindOf(err), err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !strings.Contains(err.Error(), "sample") {
				t.Errorf("the error does not name the package: %v", err)
			}
			left, _ := filepath.Glob(filepath.Join(cache.Dir, "*", "*"))
			hidden, _ := filepath.Glob(filepath.Join(cache.Dir, "*", ".*"))
			if len(left)+len(hidden) > 0 {
				t.Errorf("the cache keeps %v %v", left, hidden)
			}
		})
	}
}

var update = flag.Bool("update", false, "write the hostile packages into the fuzzers' corpus again")

// TestCorpusHasHostilePackages keeps what is refused above among the inputs
// that fuzzers start from and that every run of the tests reads. Large ones are
// left out.
func TestCorpusHasHostilePackages(t *testing.T) {
	for name, c := range hostiles(t) {
		if len(c.content) > 64<<10 {
			continue
		}
		path := filepath.Join("testdata/fuzz", string(c.part), strings.ReplaceAll(name, " ", "-"))
		if *update {
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			if err == nil {
				err = os.WriteFile(path, fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", c.content), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%v; write it with -update", err)
		}
	}
}

func TestWrongDigestIsRefused(t *testing.T) {
	raw := pack(t, tarball(t, dir("./"), plain("./a", "a")))
	path := filepath.Join(t.TempDir(), "sample.deb")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &deb.Cache{Dir: t.TempDir()}
	_, err := c.Open(t.Context(), digest([]byte("another")), path)
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), digest(raw)) {
		t.Errorf("got %v", err)
	}
}

func TestUnpackedEqualsPacked(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{"empty": ""}
	files := []file{dir("./"), plain("./empty", "")}
	for i := range 200 {
		size := random.IntN(200 << 10)
		if i%50 == 7 {
			size = 5<<20 + i // more than one chunk
		}
		content := make([]byte, size)
		for j := range content {
			content[j] = byte(random.Uint32() & 0x0f)
		}
		name := fmt.Sprintf("file%03d", i)
		want[name] = string(content)
		files = append(files, plain("./"+name, string(content)))
	}
	raw := pack(t, tarball(t, files...))
	u, c, err := open(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, u); !cmp.Equal(got, want) {
		t.Error("contents differ")
	}
	for _, e := range u.Entries {
		if sum := md5.Sum([]byte(want[e.Path])); e.Type == deb.File && e.MD5 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: digest %s", e.Path, e.MD5)
		}
	}
	if string(u.Control["control"].Data) != controlText {
		t.Errorf("control file: %q", u.Control["control"].Data)
	}
	// Another process may prune the cache meanwhile.
	if err := os.Remove(filepath.Join(c.Dir, digest(raw)[:2], digest(raw))); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, u); !cmp.Equal(got, want) {
		t.Error("contents differ when the cache's file is gone")
	}
}

func TestDamagedCacheIsMadeAgain(t *testing.T) {
	raw := pack(t, tarball(t, dir("./"), plain("./a", "a")))
	path := filepath.Join(t.TempDir(), "sample.deb")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &deb.Cache{Dir: t.TempDir()}
	for range 2 {
		u, err := c.Open(t.Context(), digest(raw), path)
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, u)["a"]; got != "a" {
			t.Errorf("content %q", got)
		}
		if err := os.WriteFile(filepath.Join(c.Dir, digest(raw)[:2], digest(raw)), []byte("torn"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEqualsDpkgDeb compares with what dpkg-deb makes and reads, for every
// compression.
func TestEqualsDpkgDeb(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	tree := filepath.Join(t.TempDir(), "tree")
	for name, content := range map[string]string{
		"DEBIAN/control": controlText, "DEBIAN/postinst": "#!/bin/sh\n", "usr/bin/program": strings.Repeat("program", 1000), "etc/empty": "",
		"usr/share/doc/" + strings.Repeat("long/", 30) + strings.Repeat("n", 120): "long name",
	} {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("program", filepath.Join(tree, "usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(tree, "usr/bin/program"), filepath.Join(tree, "usr/bin/zlink")); err != nil {
		t.Fatal(err)
	}
	for _, compression := range []string{"none", "gzip", "xz", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "sample.deb")
			if text, err := exec.Command("dpkg-deb", "--root-owner-group", "-Z"+compression, "--build", tree, out).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			raw, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			u, _, err := open(t, raw)
			if err != nil {
				t.Fatal(err)
			}
			listed, err := exec.Command("dpkg-deb", "--fsys-tarfile", out).Output()
			if err != nil {
				t.Fatal(err)
			}
			got, r := contents(t, u), tar.NewReader(bytes.NewReader(listed))
			for i := 0; ; i++ {
				h, err := r.Next()
				if err == io.EOF {
					if i != len(u.Entries) {
						t.Errorf("%d entries, want %d", len(u.Entries), i)
					}
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				e := u.Entries[i]
				if "./"+e.Path != strings.TrimSuffix(h.Name, "/") && e.Path != "" || byte(e.Type) != h.Typeflag || int64(e.Mode) != h.Mode || e.Size != h.Size || e.Mtime != h.ModTime.Unix() {
					t.Errorf("got %+v, want %+v", e, h)
				}
				if h.Typeflag == tar.TypeReg {
					content, err := io.ReadAll(r)
					if err != nil {
						t.Fatal(err)
					}
					if got[e.Path] != string(content) {
						t.Errorf("%s: contents differ", e.Path)
					}
				}
			}
		})
	}
}

// TestXZWithoutTheProgram decodes with the library alone.
func TestXZWithoutTheProgram(t *testing.T) {
	program, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("xz is not installed")
	}
	data := tarball(t, dir("./"), plain("./a", strings.Repeat("a", 1<<20)))
	for _, options := range [][]string{{"-T1"}, {"-T2", "--block-size=65536"}, {"-T1", "--lzma2=dict=1GiB"}} {
		cmd := exec.Command(program, append([]string{"--stdout"}, options...)...)
		cmd.Stdin = bytes.NewReader(data)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		raw := ar(member{"debian-binary", []byte("2.0\n")}, member{"control.tar", controlTar(t)}, member{"data.tar.xz", packed})
		for _, path := range []string{filepath.Dir(program), "/nonexistent"} {
			t.Setenv("PATH", path)
			_, _, err = open(t, raw)
			if large := len(options) == 2 && options[1] != "--block-size=65536"; large != (err != nil) {
				t.Errorf("xz %v with PATH=%s: %v", options, path, err)
			}
		}
	}
}

// FuzzRead feeds whole package files: whatever they hold, reading ends with an
// error or with entries that lie below the root.
func FuzzRead(f *testing.F) {
	f.Add(pack(f, tarball(f, dir("./"), plain("./a", "a"), symlink("./b", "a"), hardLink("./c", "./a"))))
	f.Add(pack(f, tarball(f, plain("./../a", "a"))))
	f.Add(ar(member{"debian-binary", []byte("2.0\n")}, member{"control.tar", controlTar(f)}, member{"data.tar", nil}))
	f.Fuzz(check)
}

// FuzzData feeds uncompressed data archives, so that the fuzzer sees the tar.
func FuzzData(f *testing.F) {
	f.Add(tarball(f, dir("./"), plain("./a", "a"), symlink("./b", "a"), hardLink("./c", "./a")))
	f.Add(tarball(f, plain("./"+strings.Repeat("d/", 100)+strings.Repeat("n", 200), "a")))
	f.Fuzz(func(t *testing.T, data []byte) { check(t, dataPart.file(t, data)) })
}

// FuzzControl feeds uncompressed control archives.
func FuzzControl(f *testing.F) {
	f.Add(controlTar(f))
	f.Fuzz(func(t *testing.T, control []byte) { check(t, controlPart.file(t, control)) })
}

func check(t *testing.T, raw []byte) {
	seen := map[string]bool{}
	_, err := deb.Read(context.Background(), "fuzzed", int64(len(raw)), bytes.NewReader(raw), func(_ deb.Control, e *deb.Entry, content io.Reader) error {
		if seen[e.Path] || strings.HasPrefix(e.Path, "/") || strings.Contains("/"+e.Path+"/", "/../") {
			t.Errorf("entry %q", e.Path)
		}
		seen[e.Path] = true
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err != nil && fault.KindOf(err) != fault.World {
		t.Errorf("kind %d: %v", fault.KindOf(err), err)
	}
}
