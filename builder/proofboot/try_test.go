package proofboot_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imgbuild/builder/launch"
)

// patience is how long an emulated machine on a busy host may take.
const patience = 15 * time.Minute

// tried is a machine as a user tries it: imgbuild run --vm in a terminal.
type tried struct {
	cmd    *exec.Cmd
	told   *bufio.Reader
	screen *screen
	// on is what it runs on.
	on *hypervisor
	// url is where the web server answered, and login the line that logs in.
	url, login string
}

// tryMachine boots the disk of an image and returns when all probes of its recipe
// are answered. The machine is gone when the test ends.
func tryMachine(t *testing.T, baked *image, firmware launch.Firmware, on *hypervisor) *tried {
	t.Helper()
	m := &tried{screen: &screen{}, on: on}
	m.cmd = command(t, "run", baked.Version, "--vm", "--firmware", string(firmware), "--console", "--patience", patience.String())
	m.cmd.Args = append(m.cmd.Args, baked.flags...)
	m.cmd.Env = append(m.cmd.Env, "PATH="+on.path(t))
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = m.screen
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.cmd.Process.Signal(syscall.SIGINT) // it has ended, unless the test failed
		m.cmd.Wait()
		if t.Failed() {
			t.Logf("the console's end:\n%s", tail(m.screen.String(), 6000))
		}
	})
	m.told = bufio.NewReader(stdout)
	start := time.Now()
	for m.login == "" {
		line, err := m.told.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended without a line for logging in: %v", err)
		}
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "http://"):
			m.url = line
		case strings.HasPrefix(line, "ssh "):
			m.login = line
		}
	}
	t.Logf("all probes are answered after %.1f s", time.Since(start).Seconds())
	return m
}

// option is the word after a flag of the line that logs in.
func (m *tried) option(flag string) string {
	words := strings.Fields(m.login)
	return words[slices.Index(words, flag)+1]
}

// remote types the printed line with a command, and gives both its streams. It
// gives up on a machine that goes down and never hangs up.
func (m *tried) remote(command string, stdin io.Reader) (stdout, stderr string, err error) {
	words := append(strings.Fields(m.login), "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=20", command)
	var out, said bytes.Buffer
	ssh := exec.Command(words[0], words[1:]...)
	ssh.Stdin, ssh.Stdout, ssh.Stderr = stdin, &out, &said
	err = ssh.Run()
	return out.String(), said.String(), err
}

// ask runs a command in the machine that must succeed.
func (m *tried) ask(t *testing.T, command string) string {
	t.Helper()
	out, said, err := m.remote(command, nil)
	if err != nil {
		t.Errorf("%s: %v\n%s%s", command, err, out, said)
	}
	return strings.TrimSpace(out)
}

// served asks the web server.
func (m *tried) served(t *testing.T) {
	t.Helper()
	resp, err := http.Get(m.url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Server") != "nginx" {
		t.Errorf("%s: got %s from %q", m.url, resp.Status, resp.Header.Get("Server"))
	}
}

// running waits until the machine has finished a start that is another one than
// before, and returns the kernel's id of it. cloud-init may install the key after
// the web server answers, and a machine that goes down answers until it does.
func (m *tried) running(t *testing.T, before string) string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		out, said, err := m.remote("cat /proc/sys/kernel/random/boot_id && systemctl is-system-running --wait", nil)
		boot, state, _ := strings.Cut(strings.TrimSpace(out), "\n")
		switch {
		case boot == before:
		case state == "running":
			return boot
		case state == "degraded":
			failed, _, _ := m.remote("systemctl list-units --failed --plain --no-legend --all", nil)
			t.Fatalf("a unit has failed: %s", failed)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v\n%s%s", m.login, err, out, said)
		}
		time.Sleep(2 * time.Second)
	}
}

// end presses Ctrl-C and sees that nothing is left, not even the directory of the
// key that the line for logging in names.
func (m *tried) end(t *testing.T) {
	t.Helper()
	machines := children(t, m.cmd.Process.Pid)
	if len(machines) == 0 {
		t.Error("no machine runs")
	}
	if err := m.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	last, err := io.ReadAll(m.told)
	if err != nil {
		t.Error(err)
	}
	if err := m.cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	if !strings.Contains(string(last), "removed") {
		t.Errorf("it said %q", last)
	}
	for _, pid := range machines {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s is left", pid)
		}
	}
	dir := filepath.Dir(m.option("-i"))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left (%v)", dir, err)
	}
}

// showed looks for what a person at the serial port sees: what happens, and that
// he can log in there.
func (m *tried) showed(t *testing.T, release string) {
	t.Helper()
	for _, want := range []string{"GNU GRUB", "Linux version ", "Welcome to .*Debian GNU/Linux " + release, "login:"} {
		if !regexp.MustCompile(want).MatchString(m.screen.String()) {
			t.Errorf("the console never showed %q", want)
		}
	}
}

// children lists the processes that a process started.
func children(t *testing.T, pid int) []string {
	t.Helper()
	out, err := exec.Command("ps", "--no-headers", "-o", "pid", "--ppid", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// screen keeps what a console wrote.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}
