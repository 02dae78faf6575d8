package live_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"imgbuild/builder/scan/compare"
	"imgbuild/builder/scan/live"
	"imgbuild/images/integrity"
	"imgbuild/images/peertest"
	"imgbuild/provisioners/inventory"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// openSSH is a small server in a root directory: OpenSSH's sshd, a shell, and a
// package that dpkg installed. Each connection has an sshd of its own, in
// namespaces of its own.
type openSSH struct {
	t      *testing.T
	root   string
	client live.Client
	addr   string
	guest  string
	// beside is a command that listens on port 8081 in the root, beside sshd.
	beside string
}

func newOpenSSH(t *testing.T) *openSSH {
	t.Helper()
	s := &openSSH{t: t, root: peertest.Root(t, []string{"openssh-server", "libwrap0", "libnsl2", "libtirpc3", "dash", "coreutils", "busybox-static"},
		"/usr/sbin/sshd", "/bin/dash", "/bin/mktemp", "/bin/rm", "/bin/chmod", "/usr/bin/id", "/usr/bin/head", "/usr/bin/timeout", "/usr/bin/sha256sum")}
	for _, dir := range []string{"proc", "tmp", "root", "run/sshd", "var/lib/dpkg/info", "var/lib/dpkg/updates", "usr/local/bin", "etc/systemd/system", "home", "var/log"} {
		must(t, os.MkdirAll(filepath.Join(s.root, dir), 0o755))
	}
	for name, text := range map[string]string{
		"/etc/passwd": "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
		"/etc/group":  "root:x:0:\nsudo:x:27:\nnogroup:x:65534:\n", "/etc/shadow": "root:*:1::::::\nsshd:*:1::::::\n", "/etc/gshadow": "",
		"/etc/os-release": "ID=debian\nVERSION_ID=12\n", "/var/lib/dpkg/status": "",
		"/etc/ssh/test_config": "HostKey /etc/ssh/ssh_host_ed25519_key\nAuthorizedKeysFile /root/keys\nStrictModes no\nUsePAM no\nPidFile none\n",
	} {
		peertest.Write(t, s.root, name, text)
	}
	home := t.TempDir()
	must(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	key := filepath.Join(home, ".ssh", "id_ed25519")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	run(t, "cp", key+".pub", filepath.Join(s.root, "root/keys"))
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.root, "etc/ssh/ssh_host_ed25519_key"))
	s.guest = filepath.Join(t.TempDir(), "imgbuild-guest")
	run(t, "go", "build", "-o", s.guest, "imgbuild/cmd/imgbuild-guest")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	s.addr = listener.Addr().String()
	public, err := os.ReadFile(filepath.Join(s.root, "etc/ssh/ssh_host_ed25519_key.pub"))
	must(t, err)
	known, _, _, _, err := ssh.ParseAuthorizedKey(public)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), []byte(knownhosts.Line([]string{s.addr}, known)+"\n"), 0o600))
	s.client = live.NewClient(home, "root", "", "none")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.serve(conn.(*net.TCPConn))
		}
	}()
	return s
}

// serve answers a connection as inetd does.
func (s *openSSH) serve(conn *net.TCPConn) {
	defer conn.Close()
	f, err := conn.File()
	if err != nil {
		return
	}
	defer f.Close()
	script := `mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" || exit 1
[ -z "$1" ] || { chroot "$0" /bin/sh -c "$1" </dev/null >/dev/null 2>&1 &
  for i in $(seq 200); do grep -q ':1F91 ' "$0/proc/self/net/tcp" "$0/proc/self/net/tcp6" 2>/dev/null && break; sleep 0.05; done; }
exec chroot "$0" /usr/sbin/sshd -i -e -f /etc/ssh/test_config`
	cmd := exec.Command("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", script, s.root, s.beside)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, &complaint
	if err := cmd.Run(); err != nil && s.beside == "" {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 255 { // what it ends with when the client leaves
			fmt.Fprintf(os.Stderr, "sshd: %v\n%s", err, complaint.String())
		}
	}
}

// side takes stock of the server over SSH.
func (s *openSSH) side() compare.Side {
	s.t.Helper()
	host, err := s.client.Find("ssh://" + s.addr)
	must(s.t, err)
	server, err := s.client.Connect(context.Background(), host)
	must(s.t, err)
	defer server.Close()
	stock, err := live.Take(context.Background(), server, &live.Guest{File: s.guest}, integrity.DefaultRules())
	must(s.t, err)
	return compare.Side{Name: "server", Platform: server.Facts.Platform, Inventory: stock.Inventory, Manifest: stock.Manifest}
}

// image takes stock of the root as of a finished one.
func (s *openSSH) image() compare.Side {
	s.t.Helper()
	r, err := system.OpenRoot(s.root)
	must(s.t, err)
	defer r.Close()
	taken, err := inventory.Take(context.Background(), r)
	must(s.t, err)
	entries, err := tree.Read(context.Background(), r)
	must(s.t, err)
	manifest, err := integrity.NewManifest(entries, integrity.DefaultRules())
	must(s.t, err)
	return compare.Side{Name: "image", Platform: "debian-12", Inventory: taken, Manifest: manifest}
}

// install makes a package with a conffile, a program and a unit, and has dpkg
// install it.
func (s *openSSH) install(name string) {
	s.t.Helper()
	dir := s.t.TempDir()
	for file, text := range map[string]string{
		"/DEBIAN/control":   "Package: " + name + "\nVersion: 1\nArchitecture: all\nMaintainer: n\nDescription: d\n",
		"/DEBIAN/conffiles": "/etc/" + name + ".conf\n", "/etc/" + name + ".conf": "a=1\n", "/usr/sbin/" + name: "#!/bin/sh\n",
		"/usr/lib/systemd/system/" + name + ".service": "[Service]\nExecStart=/usr/sbin/" + name + "\n[Install]\nWantedBy=multi-user.target\n",
	} {
		peertest.Write(s.t, dir, file, text)
	}
	run(s.t, "sh", "-c", `cd "$0" && md5sum usr/sbin/* usr/lib/systemd/system/* >DEBIAN/md5sums && dpkg-deb --root-owner-group -b . "$0.deb" && dpkg --root="$1" --log=/dev/null -i "$0.deb"`, dir, s.root)
}

// TestAServerChangedByHand changes a server that OpenSSH serves in every way, with
// the programs that people do it with, and finds each change and nothing else.
func TestAServerChangedByHand(t *testing.T) {
	peertest.Need(t, "dpkg-deb", "systemctl", "useradd", "unshare")
	s := newOpenSSH(t)
	s.install("shop")
	image := s.image()
	if d := compare.Systems(s.side(), image, compare.Sections()); !d.Empty() {
		t.Fatalf("before anything was changed: %+v", d)
	}

	s.install("extra")
	run(t, "useradd", "--prefix", s.root, "-U", "-u", "1001", "-G", "sudo", "-s", "/bin/sh", "-d", "/home/deploy", "deploy")
	peertest.Write(t, s.root, "/etc/shop.conf", "a=2\n")
	peertest.Write(t, s.root, "/usr/local/bin/backup", "#!/bin/sh\n")
	run(t, "systemctl", "--root="+s.root, "enable", "extra.service")
	run(t, "systemctl", "--root="+s.root, "mask", "shop.service")
	peertest.Write(t, s.root, "/etc/cron.d/backup", "0 4 * * * deploy /usr/local/bin/backup --password=hunter2\n")
	s.beside = "exec busybox nc -l -p 8081"

	var told bytes.Buffer
	compare.Table(&told, compare.Systems(s.side(), image, compare.Sections()))
	text, _, _ := strings.Cut(told.String(), "\nin a recipe")
	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "+ tcp port") {
				// Whether it is IPv6, and what a control group is called, is this machine's.
				line, _, _ = strings.Cut(line, " of ")
				line, _, _ = strings.Cut(line, "; ")
				port, who, _ := strings.Cut(line, " on ")
				_, who, _ = strings.Cut(who, ": ")
				line = port + ": " + who
			}
			got = append(got, line)
		}
	}
	want := []string{
		"+ extra 1",
		"+ user deploy: uid 1001, home /home/deploy, shell /bin/sh, also in sudo",
		"+ /etc/cron.d/backup",
		"~ /etc/shop.conf: conffile of shop, changed on the server",
		"+ /usr/local/bin/backup",
		"+ extra.service enabled for multi-user.target (of extra)",
		"~ shop.service masked, in the image disabled (of shop)",
		"+ tcp port 8081: busybox",
		"+ /etc/cron.d/backup: 0 4 * * *, /usr/local/bin/backup as deploy",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +told):\n%s\n%s", diff, told.String())
	}
	if !strings.HasSuffix(told.String(), "packages:\n  - extra\n") || strings.Contains(told.String(), "hunter2") {
		t.Errorf("told:\n%s", told.String())
	}
	for _, place := range []string{"tmp", "run", "var/tmp", "root"} {
		if left, _ := filepath.Glob(filepath.Join(s.root, place, "imgbuild.*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
