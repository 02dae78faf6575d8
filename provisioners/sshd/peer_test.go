package sshd_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/sshd"
	"imgbuild/provisioners/system"
)

// compared are the keywords that generated configurations set, with values to
// draw from.
var compared = map[string][]string{
	"PermitRootLogin":          {"yes", "no", "No", "prohibit-password", "without-password", "forced-commands-only"},
	"MaxAuthTries":             {"3", "04", "10"},
	"MaxSessions":              {"1", "20"},
	"LogLevel":                 {"VERBOSE", "info", "DEBUG1", "debug", "quiet"},
	"X11Forwarding":            {"yes", "no", `"yes"`, "'no'"},
	"AllowTcpForwarding":       {"yes", "no", "all", "local"},
	"ClientAliveInterval":      {"0", "15", "5m", "1h30m", "1w"},
	"Banner":                   {"/etc/issue.net", "none", "NONE", `"/etc/a b"`, `/etc/a\ b`, "/etc/issue#1", "/etc/issue #1"},
	"PubkeyAuthentication":     {"yes", "no"},
	"PasswordAuthentication":   {"yes", "no"},
	"AllowUsers":               {"alice", "alice root", `bob "carol"`, "*@10.0.0.*"},
	"DenyGroups":               {"wheel", "a b # c"},
	"AcceptEnv":                {"LANG LC_*", "COLORTERM"},
	"PubkeyAcceptedAlgorithms": {"ssh-ed25519,rsa-sha2-512", "+ssh-rsa", "-*rsa*", "^rsa-sha2-256", "ssh-*", "ecdsa-sha2-nistp???"},
	"Ciphers":                  {"aes256-ctr,aes128-ctr", "+3des-cbc,aes128-cbc", "-chacha20*,aes1*", "^aes256-cbc", "aes128-cbc"},
	"MACs":                     {"hmac-sha2-512", "-*-etm@openssh.com", "+hmac-md5", "^hmac-sha1-96"},
	"KexAlgorithms":            {"curve25519-sha256", "-sntrup*", "+diffie-hellman-group14-sha1"},
	"LoginGraceTime":           {"30", "2m", "1m30s", "0"},
	"MaxStartups":              {"5", "10:30:60", "07:50:70"},
	"UsePAM":                   {"yes", "no"},
	"StrictModes":              {"yes", "no"},
	"Compression":              {"yes", "no", "delayed"},
	"Port":                     {"22", "2022"},
}

// global are those that no Match block may have.
var global = []string{"Ciphers", "MACs", "KexAlgorithms", "LoginGraceTime", "MaxStartups", "UsePAM", "StrictModes", "Compression", "Port"}

// criteria are of Match lines; the connections that are asked for meet some.
var criteria = []string{"all", "ALL", "User alice", "User=alice", "User root", "Address 10.0.0.1", "User alice Address 10.0.0.1", "User alice Host other"}

// meets tells whether a connection meets criteria of those forms.
func meets(connection map[string]string) func(criteria []string) bool {
	return func(criteria []string) bool {
		words := strings.Fields(strings.ReplaceAll(strings.Join(criteria, " "), "=", " "))
		for i := 0; i+1 < len(words); i += 2 {
			if connection[strings.ToLower(words[i])] != words[i+1] {
				return false
			}
		}
		return true
	}
}

// generate draws a configuration: files by path.
func generate(r *rand.Rand) map[string]string {
	keywords := make([]string, 0, len(compared))
	for k := range compared {
		keywords = append(keywords, k)
	}
	slices.Sort(keywords)
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	setting := func(inMatch bool) string {
		k := pick(keywords)
		for inMatch && slices.Contains(global, k) {
			k = pick(keywords)
		}
		value := pick(compared[k])
		switch r.IntN(4) {
		case 0:
			k = strings.ToLower(k)
		case 1:
			k = strings.ToUpper(k)
		}
		return pick([]string{"", "  ", "\t"}) + k + pick([]string{" ", "=", " = ", "\t", "  "}) + value + pick([]string{"", " ", "  # comment", "\r"})
	}
	body := func(settings, blocks int, includes ...string) string {
		var b strings.Builder
		line := func(text string) { b.WriteString(text + "\n") }
		inMatch := false
		for range settings {
			switch r.IntN(6) {
			case 0:
				line(pick([]string{"", "# " + pick(keywords) + " yes", "#" + pick(keywords) + " no", "   "}))
			case 1:
				if len(includes) > 0 && !inMatch {
					line("Include " + pick(includes))
					continue
				}
				fallthrough
			default:
				line(setting(inMatch))
			}
		}
		for range blocks {
			c := pick(criteria)
			line("Match " + c)
			inMatch = true
			for range r.IntN(4) {
				line(setting(true))
			}
			if len(includes) > 0 && r.IntN(4) == 0 {
				line("  Include /etc/ssh/m.d/*.conf")
			}
		}
		return b.String()
	}
	files := map[string]string{
		"/etc/ssh/sshd_config": body(2+r.IntN(8), r.IntN(4), "/etc/ssh/sshd_config.d/*.conf", "sshd_config.d/[12]*.conf", `"sshd_config.d/2-b.conf" extra`, "nothing/*"),
	}
	for _, name := range []string{"sshd_config.d/1-a.conf", "sshd_config.d/2-b.conf", "sshd_config.d/10-c.conf", "sshd_config.d/.hidden.conf", "sshd_config.d/3-d.bak", "extra"} {
		if r.IntN(3) > 0 {
			files["/etc/ssh/"+name] = body(r.IntN(4), r.IntN(3))
		}
	}
	// What is included in a block has to be allowed there.
	var inside strings.Builder
	for range r.IntN(3) {
		inside.WriteString(setting(true) + "\n")
	}
	if r.IntN(2) == 0 {
		inside.WriteString("Match " + pick(criteria) + "\n" + setting(true) + "\n")
	}
	files["/etc/ssh/m.d/x.conf"] = inside.String()
	return files
}

func TestSshdAgrees(t *testing.T) {
	root := sshdRoot(t)
	t.Run("defaults", func(t *testing.T) { compareDefaults(t, root) })
	t.Run("effective values", func(t *testing.T) { compareEffective(t, root) })
	t.Run("what is applied", func(t *testing.T) { compareApplied(t, root) })
}

// compareEffective compares what we compute with what sshd -T says,
// for generated configurations and several connections.
func compareEffective(t *testing.T, root string) {
	connections := connections()
	for seed := range uint64(110) {
		files := generate(rand.New(rand.NewPCG(seed, 1)))
		s := place(t, root, files)
		for _, connection := range connections[seed%3 : seed%3+1] {
			want, err := ask(root, connection)
			if err != nil {
				t.Fatalf("seed %d: sshd refuses what was generated: %v\n%v", seed, err, files)
			}
			var matches func([]string) bool
			if connection != nil {
				matches = meets(connection)
			}
			for k := range compared {
				got, err := sshd.Effective(s, k, matches)
				if err != nil {
					t.Fatalf("seed %d: %v\n%v", seed, err, files)
				}
				if w := strings.Join(want[strings.ToLower(k)], " "); printed(k, got) != w {
					t.Errorf("seed %d, %v: %s is %q, sshd says %q\n%s", seed, connection, k, got, w, show(files))
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}

// connections are what sshd is asked for; nil is none in particular.
func connections() []map[string]string {
	return []map[string]string{
		nil,
		{"user": "alice", "host": "h", "address": "10.0.0.1"},
		{"user": "root", "host": "h", "address": "10.0.0.2"},
	}
}

// place puts a configuration into a root.
func place(t *testing.T, root string, files map[string]string) *system.Root {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, "etc/ssh")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		peertest.Write(t, root, name, text)
	}
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ask asks sshd for the values of a connection.
func ask(root string, connection map[string]string) (map[string][]string, error) {
	args := []string{"-T", "-f", "/etc/ssh/sshd_config", "-h", "/key"}
	if connection != nil {
		args = append(args, "-C", fmt.Sprintf("user=%s,host=%s,addr=%s", connection["user"], connection["host"], connection["address"]))
	}
	return run(root, args...)
}

// compareApplied applies directives to generated
// configurations and asks sshd for its values, for every connection.
func compareApplied(t *testing.T, root string) {
	ctx := context.Background()
	for seed := range uint64(30) {
		files := generate(rand.New(rand.NewPCG(seed, 2)))
		s := place(t, root, files)
		applied := []struct{ directive, keyword, does string }{
			{`PermitRootLogin: "no"`, "permitrootlogin", "^no$"},
			{`X11Forwarding: {value: "no", explicit: true}`, "x11forwarding", "^no$"},
			{"MaxAuthTries: {at-most: 4}", "maxauthtries", "^[0-4]$"},
			{"LogLevel: {one-of: [VERBOSE, INFO]}", "loglevel", "^(VERBOSE|INFO)$"},
			{"Banner: /etc/issue.net", "banner", "^/etc/issue.net$"},
			{"ClientAliveInterval: {at-least: 1, at-most: 5m, value: 15}", "clientaliveinterval", "^(15|300)$"},
			{"Ciphers: {without: [3des-cbc, aes128-cbc, aes256-cbc], value: aes256-ctr}", "ciphers", `^((chacha20-|aes\d+-ctr|aes\d+-gcm)[a-z0-9@.]*[a-z0-9@.-]*(,|$))+$`},
			{`MaxStartups: {at-most: "10:30:60"}`, "maxstartups", "^(10|5):30:(60|5)$"},
			{"AllowUsers: alice", "allowusers", "^alice$"},
			{"AcceptEnv: {absent: true}", "acceptenv", "^$"},
		}
		for _, c := range applied {
			d := directive(t, c.directive)
			if _, err := d.Apply(ctx, s); err != nil {
				t.Fatalf("seed %d: %s: %v\n%s", seed, c.directive, err, show(files))
			}
			if again, err := d.Apply(ctx, s); again || err != nil {
				t.Fatalf("seed %d: %s a second time: %v, %v\n%s", seed, c.directive, again, err, show(files))
			}
		}
		for _, connection := range connections() {
			values, err := ask(root, connection)
			if err != nil {
				t.Fatalf("seed %d: sshd refuses what was applied: %v\n%s", seed, err, show(files))
			}
			for _, c := range applied {
				got := strings.Join(values[c.keyword], " ")
				if !regexp.MustCompile(c.does).MatchString(got) {
					t.Fatalf("seed %d, %v: %s is %q\n%s", seed, connection, c.directive, got, show(files))
				}
			}
		}
	}
}

// compareDefaults compares the table of defaults with what sshd prints.
func compareDefaults(t *testing.T, root string) {
	peertest.Write(t, root, "/etc/ssh/sshd_config", "")
	want, err := run(root, "-T", "-f", "/etc/ssh/sshd_config", "-h", "/key")
	if err != nil {
		t.Fatal(err)
	}
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for k, values := range want {
		if k == "hostkey" || k == "listenaddress" {
			continue // of this run and of the machine
		}
		got, err := sshd.Effective(s, k, nil)
		if err != nil || printed(k, got) != strings.Join(values, " ") {
			t.Errorf("%s is %q, sshd says %q: %v", k, got, values, err)
		}
	}
}

// printed is a value as sshd prints it.
func printed(k, value string) string {
	switch {
	case strings.EqualFold(k, "PermitRootLogin") && value == "prohibit-password":
		return "without-password"
	case strings.EqualFold(k, "LogLevel") && value == "QUIET":
		return "SILENT"
	}
	return value
}

func show(files map[string]string) string {
	var b strings.Builder
	for name, text := range files {
		fmt.Fprintf(&b, "--- %s\n%s", name, text)
	}
	return b.String()
}

// run runs the sshd of a root and returns what it prints, by keyword.
func run(root string, args ...string) (map[string][]string, error) {
	cmd := peertest.Command(root, "/usr/sbin/sshd", args...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, errors.String())
	}
	list := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		k, value, _ := strings.Cut(line, " ")
		list[k] = append(list[k], value)
	}
	return list, nil
}

// sshdRoot makes a root directory with Debian's sshd and what it needs to
// print its configuration. IMGBUILD_SSHD_ROOT names the root of another
// release to compare with instead.
func sshdRoot(t *testing.T) string {
	t.Helper()
	root := os.Getenv("IMGBUILD_SSHD_ROOT")
	if root == "" {
		root = peertest.Root(t, []string{"openssh-server", "libwrap0"}, "/usr/sbin/sshd")
	}
	peertest.Write(t, root, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nalice:x:1000:1000::/:/bin/sh\n")
	peertest.Write(t, root, "/etc/group", "root:x:0:\nalice:x:1000:\nnogroup:x:65534:\n")
	if err := os.MkdirAll(filepath.Join(root, "run/sshd"), 0o755); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(root, "key")
	if _, err := os.Stat(key); err != nil {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Skipf("ssh-keygen makes no host key: %v: %s", err, out)
		}
	}
	out, _ := peertest.Command(root, "/usr/sbin/sshd", "-V").CombinedOutput() // 9.2 ends -V with a failure
	switch {
	case bytes.Contains(out, []byte("OpenSSH_9.2")):
		peertest.Write(t, root, "/etc/os-release", "VERSION_ID=\"12\"\n")
	case bytes.Contains(out, []byte("OpenSSH_10.0")):
		peertest.Write(t, root, "/etc/os-release", "VERSION_ID=\"13\"\n")
	default:
		t.Skipf("an sshd whose defaults are not known: %s", out)
	}
	return root
}
