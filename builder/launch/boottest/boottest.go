// Package boottest boots a finished disk of a web server the way a user would
// and says what is wrong with it: firmware, HTTP, systemd units, cloud-init's
// SSH key, a grown root file system, and an identity of its own. It is for tests,
// and knows nothing of how the disk was made.
package boottest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"imgbuild/builder/launch"
)

// commandLimit is how long a command in a guest may take, login included.
const commandLimit = 3 * time.Minute

// Guest is a booted machine that has answered HTTP and lets the tester in.
type Guest struct {
	VM *launch.VM
	// Options are those it was booted with, and the defaults of the others.
	Options Options
	signer  ssh.Signer
	log     *console
	// agent is the socket of the guest agent's port.
	agent string
}

// Options of a boot.
type Options struct {
	Disk     string
	Firmware launch.Firmware
	// VGA gives the machine a graphics adapter.
	VGA bool
	// Agent gives it the port that QEMU's guest agent is reached by.
	Agent bool
	// User is the default user of the image's cloud-init; "debian" when empty.
	User string
	// Patience is how long each wait may take; 15 minutes when 0: an emulated
	// guest on a busy machine is slow, and a wait ends when the guest answers.
	Patience time.Duration
}

// Boot boots the disk on a machine with a larger disk than the image, waits for
// HTTP 200 on port 80 and for a login with a key that only cloud-init's seed
// holds. The machine is gone when the test ends; the console is logged when the
// test failed.
func Boot(t testing.TB, o Options) *Guest {
	t.Helper()
	if o.User == "" {
		o.User = "debian"
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Minute
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Guest{Options: o, signer: signer, log: &console{panicked: cancel}, agent: filepath.Join(t.TempDir(), "agent")}
	g.VM, err = launch.StartVM(ctx, launch.VMSpec{
		Disk: o.Disk, Firmware: o.Firmware, Dir: t.TempDir(), Console: g.log, DiskSize: 9 << 30,
		SSHKeys:   []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))},
		Ports:     map[int]int{22: 0, 80: 0},
		Arguments: g.devices(),
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			g.keepConsole(t)
		}
		if err := g.VM.Close(); err != nil {
			t.Error(err)
		}
		cancel()
	})
	g.answers(t)
	return g
}

// devices are those that a machine has by its options alone.
func (g *Guest) devices() []string {
	var args []string
	if g.Options.VGA {
		args = append(args, "-device", "VGA")
	}
	if g.Options.Agent {
		args = append(args,
			"-chardev", "socket,id=agent,server=on,wait=off,path="+g.agent,
			"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
	}
	return args
}

func (g *Guest) keepConsole(t testing.TB) {
	path := filepath.Join(os.TempDir(), "imgbuild-console-"+strings.ReplaceAll(t.Name(), "/", "-")+".log")
	if err := os.WriteFile(path, []byte(g.log.String()), 0o600); err == nil {
		t.Logf("the whole console is in %s", path)
	}
	words := g.log.String()
	t.Logf("the console's end:\n%s", words[max(0, len(words)-6000):])
}

// answers waits until the guest answers HTTP, lets the tester in and has
// finished a boot.
func (g *Guest) answers(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), g.Options.Patience)
	defer cancel()
	start := time.Now()
	if _, err := g.VM.WaitHTTP(ctx, 80, "/", http.StatusOK); err != nil {
		t.Fatal(err)
	}
	answered := time.Since(start)
	if err := g.VM.WaitSSH(ctx, 22); err != nil {
		t.Fatal(err)
	}
	// cloud-init installs the key late in a boot, every vain login slows an
	// emulated guest down, and a busy one may need more time to answer than its
	// own programs wait.
	for {
		state, err := g.run("systemctl is-system-running --wait", g.Options.Patience)
		if state == "running" || state == "degraded" {
			t.Logf("HTTP 200 after %.1f s, %s after %.1f s (%s)", answered.Seconds(), state, time.Since(start).Seconds(), g.VM.Accelerator)
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("logging in as %s: %s: %v", g.Options.User, state, err)
		}
		time.Sleep(2 * time.Second)
	}
}

// Ask runs shell commands in the guest and gives the trimmed output of each, both
// streams together. It logs in once: an emulated guest takes seconds for that.
func (g *Guest) Ask(t testing.TB, commands ...string) []string {
	t.Helper()
	const mark = "=== "
	var script strings.Builder
	script.WriteString("export LC_ALL=C.UTF-8 SYSTEMD_PAGER= SYSTEMD_COLORS=0\n")
	for _, command := range commands {
		script.WriteString("echo '" + mark + "'\n(" + command + ") </dev/null 2>&1\n")
	}
	script.WriteString("true\n")
	out, err := g.run(script.String(), g.Options.Patience)
	answers := strings.Split(out, strings.TrimSpace(mark))
	if err != nil || len(answers) != len(commands)+1 {
		t.Fatalf("%d questions got %d answers (%v):\n%s", len(commands), len(answers)-1, err, out)
	}
	answers = answers[1:]
	for i, answer := range answers {
		answers[i] = strings.TrimSpace(answer)
	}
	return answers
}

// run runs a command over a connection of its own, which lives as long as limit.
func (g *Guest) run(command string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return launch.Login{Address: g.VM.Address(22), User: g.Options.User, Key: g.signer}.Run(ctx, command)
}

// console keeps what a guest wrote.
type console struct {
	mu  sync.Mutex
	buf bytes.Buffer
	// panicked is called when a kernel has stopped: nothing more will come.
	panicked func()
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := max(0, c.buf.Len()-100)
	c.buf.Write(p) // it never fails
	if bytes.Contains(c.buf.Bytes()[seen:], []byte("Kernel panic - not syncing")) {
		c.panicked()
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}
