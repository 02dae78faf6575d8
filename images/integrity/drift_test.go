package integrity_test

import (
	"io/fs"
	"slices"
	"testing"

	"imgbuild/images/integrity"
)

func TestDriftIsWhatTheClassesDoNotAllow(t *testing.T) {
	file := func(path string, mode fs.FileMode, sum string) integrity.Entry {
		return integrity.Entry{Path: path, Mode: mode, SHA256: sum}
	}
	directory := func(path string, time int64) integrity.Entry {
		return integrity.Entry{Path: path, Mode: fs.ModeDir | 0o755, ModTime: time}
	}
	hashLink := func(path, target string) integrity.Entry {
		return integrity.Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
	}
	manifest := func(entries ...integrity.Entry) integrity.Manifest {
		t.Helper()
		m, err := integrity.NewManifest(entries, integrity.DefaultRules())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	shared := func(e integrity.Entry) integrity.Entry {
		e.Xattrs = map[string]string{"system.posix_acl_access": "u:ops:r", "user.note": "n"}
		return e
	}
	image := manifest(
		directory(".", 1), directory("etc", 1), directory("usr", 1), directory("var", 1), directory("var/log", 1),
		directory("etc/ssl", 1), directory("etc/ssl/certs", 1),
		file("etc/shadow", 0o640, emptySum), file("etc/group", 0o644, emptySum), file("etc/gshadow", 0o640, emptySum), file("etc/hosts", 0o644, emptySum),
		file("etc/adduser.conf", 0o644, emptySum), file("usr/tool", 0o755, emptySum), file("var/log/old", 0o644, emptySum),
	)
	server := manifest(
		directory(".", 1), directory("etc", 2), directory("usr", 2), directory("var", 1), directory("var/log", 2),
		directory("etc/ssl", 1), directory("etc/ssl/certs", 2),
		file("etc/shadow", 0o644, otherSum), file("etc/group", 0o644, otherSum), shared(file("etc/gshadow", 0o640, otherSum)), file("etc/machine-id", 0o444, otherSum),
		file("etc/adduser.conf", 0o644, otherSum), file("usr/planted", 0o755, otherSum), file("var/log/new", 0o600, otherSum),
		file("etc/ssl/certs/ssl-cert-snakeoil.pem", 0o644, otherSum),
		hashLink("etc/ssl/certs/1234abcd.0", "ssl-cert-snakeoil.pem"), hashLink("etc/ssl/certs/5678abcd.0", "planted.pem"),
	)
	var got []string
	for _, d := range integrity.Drift(image, server) {
		got = append(got, d.String())
	}
	want := []string{
		"changed etc/adduser.conf sha256:" + emptySum + "→" + otherSum,
		"changed etc/gshadow (seeded) xattr.system.posix_acl_access:(none)→\"u:ops:r\"",
		"changed etc/shadow (seeded) mode:0640→0644",
		"added etc/ssl/certs/5678abcd.0",
		"added usr/planted",
		"removed usr/tool",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if again := integrity.Drift(image, image); len(again) > 0 {
		t.Errorf("an untouched server: %v", again)
	}
}
