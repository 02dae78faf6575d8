package hygiene_test

import (
	"crypto/md5"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"imgbuild/builder/scan/hygiene"
)

// hidden is a file that a layer has and no container shows.
func hidden(name, text string) hygiene.Hidden {
	return hygiene.Hidden{Path: name, Size: int64(len(text)), Where: "layer sha256:1234", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

func TestDeletedSecretsAreFound(t *testing.T) {
	for _, h := range []hygiene.Hidden{
		hidden("/root/build.key", privateKey(t)),
		hidden("/srv/large", strings.Repeat("\x00", 3<<20)+privateKey(t)+strings.Repeat("\x00", 1<<20)),
		hidden("/etc/app.conf", "token = ghp_"+random(t, 36)+"\n"),
		hidden("/root/.netrc", "machine example.com login a password b\n"),
		hidden("/root/.bash_history", "ls\n"),
		hidden("/etc/ssh/ssh_host_rsa_key", "x"),
		hidden("/etc/shadow", "root:$y$j9T$abc$def:20000:0:99999:7:::\n"),
	} {
		found := inspect(t, plain(), nil, h)
		if len(found) != 1 || found[0].Kind != string(hygiene.DeletedSecret) || found[0].Path != h.Path || !strings.Contains(found[0].Detail, "layer sha256:1234") {
			t.Errorf("%s: found %v", h.Path, found)
		}
	}
}

// TestWhatIsDeletedAndNoSecretIsNoMatter has files that upper layers replace in
// any image, and a key that a package brought.
func TestWhatIsDeletedAndNoSecretIsNoMatter(t *testing.T) {
	files, key := plain(), privateKey(t)
	example := "\x00" + key
	sum := md5.Sum([]byte(example))
	files["var/lib/dpkg/info/tool.md5sums"] += hex.EncodeToString(sum[:]) + "  usr/share/tool/example\n"
	for _, f := range inspect(t, files, nil,
		hidden("/etc/shadow", "root:*:20000:0:99999:7:::\n"), hidden("/etc/machine-id", "0123abcd\n"), hidden("/var/cache/apt/archives/a.deb", "x"),
		hidden("/usr/bin/old", "\x00"+buildDir), hidden("/var/lib/dpkg/status", "x"), hidden("/usr/share/tool/example", example),
	) {
		t.Errorf("found: %s", f)
	}
}

// TestWhatOnlyLooksLikeKeysTakesNoTime would take hours if each were looked for to
// the end of the file.
func TestWhatOnlyLooksLikeKeysTakesNoTime(t *testing.T) {
	files := plain()
	files["srv/begins"] = "\x00" + strings.Repeat("-----BEGIN RSA PRIVATE KEY-----\n", 1<<18)
	files["srv/pairs"] = "\x00" + strings.Repeat("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", 1<<16)
	files["srv/zeros"] = "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("\x00", 8<<20)
	for _, f := range inspect(t, files, nil) {
		t.Errorf("found: %s", f)
	}
}
