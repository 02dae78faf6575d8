package integrity_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"imgbuild/images/integrity"
)

const (
	emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	otherSum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
)

func sample(change func([]integrity.Entry)) []integrity.Entry {
	entries := []integrity.Entry{
		{Path: "etc/link", Mode: fs.ModeSymlink | 0o777, Target: "conf"},
		{Path: "etc/conf", Mode: 0o644, SHA256: emptySum},
		{Path: "etc/hard", Mode: 0o644, SHA256: emptySum, HardLink: "etc/conf"},
		{Path: "etc", Mode: fs.ModeDir | 0o755},
		{Path: "+first", Mode: fs.ModeDir | 0o755},
		{Path: ".", Mode: fs.ModeDir | 0o755},
	}
	if change != nil {
		change(entries)
	}
	return entries
}

func TestManifestIsSortedWithTheRootFirst(t *testing.T) {
	m, err := integrity.NewManifest(sample(nil), integrity.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range m {
		paths = append(paths, e.Path)
	}
	if got, want := strings.Join(paths, " "), ". +first etc etc/conf etc/hard etc/link"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if e, ok := m.Find("etc/link"); !ok || e.Target != "conf" {
		t.Errorf("found %+v", e)
	}
	if _, ok := m.Find("etc/none"); ok {
		t.Error("found what is not there")
	}
}

func TestImpossibleManifestsAreRefused(t *testing.T) {
	for name, change := range map[string]func([]integrity.Entry){
		"escaping path":       func(e []integrity.Entry) { e[0].Path = "../etc/link" },
		"absolute path":       func(e []integrity.Entry) { e[0].Path = "/etc/link" },
		"empty path":          func(e []integrity.Entry) { e[0].Path = "" },
		"zero byte":           func(e []integrity.Entry) { e[0].Path = "etc/a\x00b" },
		"twice":               func(e []integrity.Entry) { e[0] = e[1] },
		"no parent":           func(e []integrity.Entry) { e[3].Path = "usr" },
		"parent is a file":    func(e []integrity.Entry) { e[0].Path = "etc/conf/x" },
		"no root":             func(e []integrity.Entry) { e[5].Path = "x" },
		"no digest":           func(e []integrity.Entry) { e[1].SHA256 = "" },
		"digest of a link":    func(e []integrity.Entry) { e[0].SHA256 = emptySum },
		"target of a file":    func(e []integrity.Entry) { e[1].Target = "x" },
		"dangling hard link":  func(e []integrity.Entry) { e[2].HardLink = "etc/none" },
		"later hard link":     func(e []integrity.Entry) { e[1].HardLink, e[2].HardLink = "etc/hard", "" },
		"differing hard link": func(e []integrity.Entry) { e[2].SHA256 = otherSum },
		"negative owner":      func(e []integrity.Entry) { e[1].UID = -1 },
	} {
		if _, err := integrity.NewManifest(sample(change), integrity.DefaultRules()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCompareNamesWhatChanged(t *testing.T) {
	manifest := func(change func([]integrity.Entry)) integrity.Manifest {
		t.Helper()
		m, err := integrity.NewManifest(sample(change), integrity.DefaultRules())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if diffs := integrity.Compare(manifest(nil), manifest(nil)); len(diffs) != 0 {
		t.Errorf("equal manifests: %v", diffs)
	}
	diffs := integrity.Compare(manifest(nil), manifest(func(e []integrity.Entry) {
		e[0].Path = "etc/other"
		e[2] = integrity.Entry{Path: "etc/hard", Mode: 0o755, SHA256: otherSum, Size: 1, Xattrs: map[string]string{"user.a": "\x01"}}
	}))
	var got []string
	for _, d := range diffs {
		got = append(got, d.String())
	}
	want := []string{
		"changed etc/hard mode:0644→0755 size:0→1 sha256:" + emptySum + "→" + otherSum + ` xattr.user.a:(none)→"\x01" hardlink:etc/conf→(none)`,
		"removed etc/link",
		"added etc/other",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzReadMtree(f *testing.F) {
	m, err := integrity.NewManifest(sample(nil), integrity.DefaultRules())
	if err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	if err := m.WriteMtree(&out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte("#mtree v2.0\n#class immutable\n. type=dir mode=0755 uid=0 gid=0 time=0.000000000\n#class variable\n./a\\040b type=char mode=0 uid=0 gid=0 time=-1.000000000 device=linux,1,3\n"))
	f.Add([]byte("#class seeded\n#hardlink ./x\n#xattr user.a=AA==\n"))
	f.Add([]byte(". type=dir type=dir\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := integrity.ReadMtree(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := m.WriteMtree(&out); err != nil {
			t.Fatal(err)
		}
		back, err := integrity.ReadMtree(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, out.Bytes())
		}
		if diffs := integrity.Compare(m, back); len(diffs) > 0 {
			t.Fatalf("changed on the way: %v", diffs)
		}
	})
}
