package live_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"imgbuild/builder/scan/live"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/agent"
	"imgbuild/provisioners/system"
)

// TestMain makes this program the guest that is sent: on the "server" it is
// called by that name. FAKE says what it does there, RAN is a file it leaves.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "imgbuild-guest" {
		os.Exit(m.Run())
	}
	if err := guest(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func guest(command string) error {
	if err := os.WriteFile(os.Getenv("RAN"), nil, 0o600); err != nil {
		return err
	}
	q, err := agent.ReadQuestion(os.Stdin)
	if err != nil {
		return err
	}
	switch os.Getenv("FAKE") {
	case "slow":
		time.Sleep(2 * time.Second)
	case "silent":
		q.Controls = nil
		if command == "inventory" {
			fmt.Println(`{"format":1}`)
			return nil
		}
	case "liar":
		fmt.Printf(`{"format":1,"inventory":{"chosen":[%s"a"]}}`+"\n", strings.Repeat(`"a",`, 300_000))
		return nil
	case "broken":
		fmt.Println(`{"format":1,"error":"reading the tree: no such disk"}`)
		os.Exit(1)
	}
	s := world()
	var a *agent.Answer
	switch command {
	case "check":
		a, err = agent.Check(context.Background(), s, q)
	case "inventory":
		a, err = agent.Inventory(context.Background(), s)
	default:
		a, err = agent.Manifest(context.Background(), s, q)
	}
	if err != nil {
		return err
	}
	return encode(os.Stdout, a)
}

// world is what the server's files are.
func world() *system.Memory {
	s := system.NewMemory()
	for name, text := range map[string]string{"/etc/motd": "hi", "/etc/nginx.conf": "edited", "/var/log/syslog": "x", "/etc/passwd": "ops:x:1000:1000::/home/ops:/bin/sh\n"} {
		if err := system.MkdirAll(s, filepath.Dir(name)); err != nil {
			panic(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			panic(err)
		}
	}
	if err := system.MkdirAll(s, "/var/lost+found"); err != nil {
		panic(err)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sshd is a server on loopback that runs commands with this machine's shell, in a
// home of its own.
type sshd struct {
	t       *testing.T
	addr    string
	keys    []ssh.Signer
	home    string
	tmp     string
	ran     string
	env     []string
	client  live.Client
	logins  atomic.Int32
	mu      sync.Mutex
	conns   []net.Conn
	through func(io.Reader) io.Reader // what becomes of what the client sends
}

func newSSHD(t *testing.T, fake string) *sshd {
	t.Helper()
	d := &sshd{t: t, home: t.TempDir(), tmp: t.TempDir(), through: func(r io.Reader) io.Reader { return r }}
	d.ran = filepath.Join(d.home, "ran")
	bin := filepath.Join(d.home, "bin")
	must(t, os.Mkdir(bin, 0o755))
	for name, text := range map[string]string{
		"id": "echo 1000", "uname": `[ "$1" = -s ] && echo Linux || echo ` + machine(t), "sudo": `[ "$1" = -n ] || exit 9; shift; [ -z "$DENY" ] || { echo "a password is required" >&2; exit 1; }; exec "$@"`,
	} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	d.env = []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + d.home, "TMPDIR=" + d.tmp, "RAN=" + d.ran, "FAKE=" + fake}

	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	for _, key := range []any{ed, ec} {
		signer, err := ssh.NewSignerFromKey(key)
		must(t, err)
		d.keys = append(d.keys, signer)
	}
	_, mine, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(mine, "")
	must(t, err)
	must(t, os.Mkdir(filepath.Join(d.home, ".ssh"), 0o700))
	must(t, os.WriteFile(filepath.Join(d.home, ".ssh", "id_ed25519"), pem.EncodeToMemory(block), 0o600))
	public, err := ssh.NewPublicKey(mine.Public())
	must(t, err)

	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		d.logins.Add(1)
		if string(key.Marshal()) != string(public.Marshal()) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	for _, key := range d.keys {
		config.AddHostKey(key)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close(); d.drop() })
	d.addr = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, conn)
			d.mu.Unlock()
			go d.serve(conn, config)
		}
	}()
	d.client = live.NewClient(d.home, "ops", "", "none")
	d.client.KnownHosts = d.client.KnownHosts[:1]
	return d
}

func machine(t *testing.T) string {
	out, err := exec.Command("uname", "-m").Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// knows records one of the server's keys, or any other, as known.
func (d *sshd) knows(key ssh.PublicKey) {
	d.t.Helper()
	line := knownhosts.Line([]string{d.addr}, key)
	must(d.t, os.WriteFile(filepath.Join(d.home, ".ssh", "known_hosts"), []byte(line+"\n"), 0o600))
}

// drop ends all connections.
func (d *sshd) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.Close()
	}
}

func (d *sshd) serve(conn net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				var command struct{ Line string }
				if r.Type != "exec" || ssh.Unmarshal(r.Payload, &command) != nil {
					_ = r.Reply(false, nil)
					continue
				}
				_ = r.Reply(true, nil)
				go d.exec(channel, command.Line)
			}
		}()
	}
}

// exec runs a command as sshd does without a terminal: when the connection is
// gone its input ends and its output goes nowhere.
func (d *sshd) exec(channel ssh.Channel, line string) {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env, cmd.Dir = d.env, d.home
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	if err := cmd.Start(); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(stdin, d.through(channel))
		stdin.Close()
	}()
	_ = cmd.Wait()
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
	channel.Close()
}

// clean fails when something of a check is left within a few seconds.
func (d *sshd) clean() {
	d.t.Helper()
	var left []os.DirEntry
	for range 100 {
		var err error
		left, err = os.ReadDir(d.tmp)
		must(d.t, err)
		if len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.t.Errorf("left on the server: %v", left)
}

// check connects and checks by the spec.
func (d *sshd) check(ctx context.Context, spec live.Spec) (*outcome, error) {
	d.t.Helper()
	host, err := d.client.Find("ssh://" + d.addr)
	must(d.t, err)
	s, err := d.client.Connect(ctx, host)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	self, err := os.Executable()
	must(d.t, err)
	r, err := live.Check(ctx, s, &live.Guest{File: self}, spec)
	return &outcome{s.Facts, r}, err
}

// image is the manifest of what the server was baked from.
func image(t *testing.T, rules integrity.Rules) integrity.Manifest {
	t.Helper()
	s := world()
	must(t, s.WriteFile("/etc/nginx.conf", strings.NewReader("shipped"), system.Attr{Mode: 0o644}))
	must(t, s.Remove("/var/lost+found"))
	a, err := agent.Manifest(context.Background(), s, &agent.Question{Rules: rules})
	must(t, err)
	m, err := integrity.ReadMtree(strings.NewReader(a.Manifest))
	must(t, err)
	return m
}
