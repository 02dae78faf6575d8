package hygiene_test

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"imgbuild/builder/scan/hygiene"
	"imgbuild/images/report"
	"imgbuild/provisioners/system"
)

// buildDir is a directory of the machine that built the trees of these tests.
const buildDir = "/home/builder/cache/stages"

// plain is a tree without anything to find.
func plain() map[string]string {
	const script = "echo password=${PASSWORD}\n"
	sum := md5.Sum([]byte(script))
	return map[string]string{
		"etc/passwd":     "root:x:0:0:root:/root:/bin/bash\n",
		"etc/shadow":     "root:*:20000:0:99999:7:::\ndaemon:!:20000::::::\nold:!:20000::::::\n",
		"etc/machine-id": "",
		"etc/motd":       "welcome\n",
		"etc/app.conf": "database = postgres://app:${DB_PASSWORD}@db/app\nproxy = http://user:%PASS%@proxy\n" +
			"password = ${DB_PASSWORD}\n# password: example1\npasswd: files systemd\npassword = required\nPASSWORD_FILE=/run/secrets/db1\nmax_password: 12345678\n",
		"usr/bin/tool":  script,
		"usr/bin/su":    "\x7fELF\x00",
		"usr/bin/wall":  "\x7fELF\x00",
		"root/.profile": "# profile\n",
		"var/lib/dpkg/status": "Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\n" +
			"Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1.0-1\n",
		"var/lib/dpkg/info/tool.list":    "/.\n/usr/bin/tool\n/bin/su\n/usr/bin/wall\n",
		"var/lib/dpkg/info/tool.md5sums": hex.EncodeToString(sum[:]) + "  usr/bin/tool\n",
		"var/lib/apt/lists/lock":         "",
	}
}

func inspect(t *testing.T, files map[string]string, change func(root string), hidden ...hygiene.Hidden) []report.Stray {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "usr/bin/su"), 0o755|fs.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "usr/bin/wall"), 0o755|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(root)
	}
	r, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	entries, found, err := hygiene.Inspect(t.Context(), r, hygiene.Expected{
		Locked: map[string]string{"tool:amd64": "1.0-1"}, BuildPaths: []string{buildDir},
	}, hidden...)
	if err != nil || len(entries) < len(files) {
		t.Fatal(len(entries), err)
	}
	return found
}

func TestNothingIsFoundInAPlainTree(t *testing.T) {
	for _, f := range inspect(t, plain(), nil) {
		t.Errorf("found: %s", f)
	}
}

// random has letters and digits of which no two strings are alike.
func random(t *testing.T, length int) string {
	t.Helper()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	raw := make([]byte, length)
	rand.Read(raw) // never fails (crypto/rand)
	for i := range raw {
		raw[i] = letters[int(raw[i])%len(letters)]
	}
	return string(raw)
}

func privateKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// der is a private key in DER, wide a text in UTF-16.
func der(t *testing.T) string {
	t.Helper()
	block, _ := pem.Decode([]byte(privateKey(t)))
	return string(block.Bytes)
}

func wide(text string) string {
	out := []byte("\xff\xfe")
	for _, word := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, word)
	}
	return string(out)
}

// TestEveryCanaryIsFound seeds one thing of a kind at a time, all made up here.
func TestEveryCanaryIsFound(t *testing.T) {
	token := "ghp_" + random(t, 36)
	canaries := []struct {
		kind       hygiene.Kind
		path, text string
		change     func(root string)
	}{
		{kind: hygiene.PrivateKey, path: "/srv/app/tls.pem", text: privateKey(t)},
		{kind: hygiene.PrivateKey, path: "/usr/bin/tool", text: "#!/bin/sh\n: <<X\n" + privateKey(t) + "X\n"},
		{kind: hygiene.PrivateKey, path: "/srv/login.ppk", text: "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"},
		{kind: hygiene.PrivateKey, path: "/srv/padded.pem", text: strings.Repeat("#\n", 600<<10) + privateKey(t)},
		{kind: hygiene.PrivateKey, path: "/srv/large", text: strings.Repeat("\x00", 1<<20-100) + privateKey(t) + strings.Repeat("\x00", 20<<20)},
		{kind: hygiene.PrivateKey, path: "/srv/binary", text: "\x00\x01" + privateKey(t)},
		{kind: hygiene.PrivateKey, path: "/var/lib/dpkg/info/nobody.postinst", text: privateKey(t)},
		{kind: hygiene.PrivateKey, path: "/srv/key.der", text: der(t)},
		{kind: hygiene.PrivateKey, path: "/srv/wide.pem", text: wide(privateKey(t))},
		{kind: hygiene.PrivateKey, path: "/srv/secret.yaml", text: "data: {tls.key: " + base64.StdEncoding.EncodeToString([]byte(privateKey(t))) + "}\n"},
		{kind: hygiene.PrivateKey, path: "/srv/key.p12", text: "0\x82\x00\x10\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02"},
		{kind: hygiene.PrivateKey, path: "/srv/plain.p12", text: "0\x82\x00\x10\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01"},
		{kind: hygiene.PrivateKey, path: "/root/.gnupg/private-keys-v1.d/A.key", text: "(11:private-key)"},
		{kind: hygiene.Password, path: "/etc/gshadow-", text: "adm:$6$abc$def::\n"},
		{kind: hygiene.Password, path: "/etc/group", text: "adm:abJnggxhB/yWI:4:\n"},
		{kind: hygiene.Password, path: "/etc/security/opasswd", text: "root:0:1:$6$abc$def\n"},
		{kind: hygiene.Password, path: "/etc/nginx/users", text: "ops:$apr1$" + random(t, 8) + "$" + random(t, 22) + "\n"},
		{kind: hygiene.Password, path: "/etc/default/app", text: "DB_PASSWORD=hunter2hunter2\n"},
		{kind: hygiene.Password, path: "/etc/app.yaml", text: "  password: \"tomate77tomate\"\n"},
		{kind: hygiene.Password, path: "/etc/shadow-", text: "root:$y$j9T$abc$def:20000:0:99999:7:::\n"},
		{kind: hygiene.Password, path: "/etc/shadow", text: "root:!$y$j9T$abc$def:20000:0:99999:7:::\n"},
		{kind: hygiene.History, path: "/var/lib/postgresql/.bash_history", text: "ls\n"},
		{kind: hygiene.Token, path: "/etc/app.conf", text: "token = " + token + " # gitleaks:allow\n"},
		{kind: hygiene.Token, path: "/etc/app.conf", text: "token = " + token + "\n"},
		{kind: hygiene.Password, path: "/root/.netrc", text: "machine example.com login a password b\n"},
		{kind: hygiene.Password, path: "/etc/sources.conf", text: "url = https://user:" + random(t, 12) + "@example.com/debian\n"},
		{kind: hygiene.Password, path: "/etc/shadow", text: "root:$y$j9T$abc$def:20000:0:99999:7:::\n"},
		{kind: hygiene.Password, path: "/etc/shadow", text: "guest::20000:0:99999:7:::\n"},
		{kind: hygiene.Password, path: "/etc/passwd", text: "root::0:0:root:/root:/bin/bash\n"},
		{kind: hygiene.MachineID, path: "/etc/machine-id", text: strings.Repeat("0123abcd", 4) + "\n"},
		{kind: hygiene.MachineID, path: "/var/lib/systemd/random-seed", text: random(t, 32)},
		{kind: hygiene.HostKey, path: "/etc/ssh/ssh_host_ed25519_key", text: "x"},
		{kind: hygiene.HostKey, path: "/etc/dropbear/dropbear_rsa_host_key", text: "x"},
		{kind: hygiene.History, path: "/root/.bash_history", text: "ls\n"},
		{kind: hygiene.History, path: "/home/ops/.local/share/fish/fish_history", text: "- cmd: ls\n"},
		{kind: hygiene.PackageCache, path: "/root/.cache/pip/http/x", text: "x"},
		{kind: hygiene.History, path: "/home/deploy/.psql_history", text: "select 1;\n"},
		{kind: hygiene.BuildPath, path: "/usr/lib/generated.pyc", text: "\x00\x01" + buildDir + "/x.py\x00"},
		{kind: hygiene.PackageCache, path: "/var/cache/apt/archives/tool.deb", text: "!<arch>\n"},
		{kind: hygiene.PackageCache, path: "/var/lib/apt/lists/example_InRelease", text: "x"},
		{kind: hygiene.Unlocked, path: "other:all", change: func(root string) {
			appendTo(t, filepath.Join(root, "var/lib/dpkg/status"), "\nPackage: other\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n")
		}},
		{kind: hygiene.Unlocked, path: "tool:amd64", change: func(root string) {
			replaceIn(t, filepath.Join(root, "var/lib/dpkg/status"), "1.0-1", "1.0-2")
		}},
		{kind: hygiene.WorldWritable, path: "/etc/motd", change: mode(t, "etc/motd", 0o666)},
		{kind: hygiene.WorldWritable, path: "/etc", change: mode(t, "etc", 0o777)},
		{kind: hygiene.Setuid, path: "/usr/bin/tool", change: mode(t, "usr/bin/tool", 0o755|fs.ModeSetuid)},
		{kind: hygiene.Setuid, path: "/usr/bin/wall", change: mode(t, "usr/bin/wall", 0o755|fs.ModeSetuid)},
		{kind: hygiene.Setuid, path: "/srv/su", text: "x", change: mode(t, "srv/su", 0o755|fs.ModeSetgid)},
		{kind: hygiene.Setuid, path: "/usr/bin/tool", change: func(root string) {
			if os.Getuid() != 0 {
				t.Skip("giving a file capabilities takes root")
			}
			// VFS_CAP_REVISION_2, permitted: CAP_NET_RAW (linux/capability.h)
			capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			if err := unix.Setxattr(filepath.Join(root, "usr/bin/tool"), "security.capability", capability, 0); err != nil {
				t.Fatal(err)
			}
		}},
	}
	seeded := []hygiene.Kind{hygiene.DeletedSecret} // in TestDeletedSecretsAreFound
	for _, c := range canaries {
		seeded = append(seeded, c.kind)
		t.Run(fmt.Sprintf("%s %s", c.kind, filepath.Base(c.path)), func(t *testing.T) {
			files := plain()
			if c.text != "" {
				files[strings.TrimPrefix(c.path, "/")] = c.text
			}
			found := inspect(t, files, c.change)
			if len(found) != 1 || found[0].Kind != string(c.kind) || found[0].Path != c.path {
				t.Errorf("found %v", found)
			}
			for _, f := range found {
				if strings.Contains(f.String(), token) {
					t.Error("the secret is shown")
				}
			}
		})
	}
	for _, kind := range hygiene.Kinds() {
		if !slices.Contains(seeded, kind) {
			t.Errorf("no canary of kind %s", kind)
		}
	}
}

func mode(t *testing.T, name string, mode fs.FileMode) func(string) {
	return func(root string) {
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, append(data, text...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func replaceIn(t *testing.T, name, old, text string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(strings.Replace(string(data), old, text, 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
