package proofboot_test

import (
	"bufio"
	"bytes"
	"context"
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
	"imgbuild/images/peertest"
)

func TestTheApacheContainerAnswers(t *testing.T) {
	peertest.Need(t, "podman", "crun")
	reach(t, "bookworm")
	baked := bake(t, "debian-12-apache")
	layout := filepath.Join(scratch, "layout")
	imgbuild(t, "images", "export", baked.Version, layout, "--form", "oci")
	_, number, _ := strings.Cut(baked.Version, ":")
	c, err := launch.StartContainer(t.Context(), launch.ContainerSpec{Layout: layout, Reference: number, Dir: scratch, Ports: map[int]int{80: 0}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	body, err := c.WaitHTTP(ctx, 80, "/", http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), "debian-12-apache") {
		t.Errorf("the page is not the baseline's:\n%s", body)
	}
}

// patience is how long an emulated machine on a busy host may take.
const patience = 15 * time.Minute

// try boots a disk the way a user does: imgbuild run --vm, the line it prints
// for logging in, and Ctrl-C.
func try(t *testing.T, baked *image) {
	cmd := command(t, "run", baked.Version, "--vm", "--firmware", "uefi", "--console", "--patience", patience.String())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	screen := &screen{}
	cmd.Stderr = screen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill() // it has ended, unless the test failed
		if t.Failed() {
			t.Logf("the console's end:\n%s", tail(screen.String(), 6000))
		}
	}()
	start := time.Now()
	told := bufio.NewReader(stdout)
	var login, url string
	for login == "" {
		line, err := told.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended without a line for logging in: %v", err)
		}
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "http://"):
			url = line
			t.Logf("HTTP 200 after %.1f s", time.Since(start).Seconds())
		case strings.HasPrefix(line, "ssh "):
			login = line
		}
	}
	served(t, url)
	logIn(t, login)
	// A person at the serial port sees what happens and can log in there.
	for _, want := range []string{"GNU GRUB", "Linux version ", "Welcome to .*Debian GNU/Linux 12", "login:"} {
		if !regexp.MustCompile(want).MatchString(screen.String()) {
			t.Errorf("the console never showed %q", want)
		}
	}
	endTrial(t, cmd, told, login)
}

// served asks the web server.
func served(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Server") != "nginx" {
		t.Errorf("%s: got %s from %q", url, resp.Status, resp.Header.Get("Server"))
	}
}

// remote types the printed line with a command, and gives both its streams. It
// gives up on a machine that goes down and never hangs up.
func remote(line, command string) (stdout, stderr string, err error) {
	words := append(strings.Fields(line), "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=20", command)
	var out, said bytes.Buffer
	ssh := exec.Command(words[0], words[1:]...)
	ssh.Stdout, ssh.Stderr = &out, &said
	err = ssh.Run()
	return out.String(), said.String(), err
}

// logIn logs in to a machine that has booted. cloud-init may install the key
// after the web server answers.
func logIn(t *testing.T, line string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		out, said, err := remote(line, "id -un && sudo id -un && ls -d /sys/firmware/efi && systemctl is-system-running --wait")
		switch {
		case out == "debian\nroot\n/sys/firmware/efi\nrunning\n":
			return
		case strings.Contains(out, "degraded"):
			t.Fatal("a unit has failed")
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v\n%s%s", line, err, out, said)
		}
		time.Sleep(2 * time.Second)
	}
}

// endTrial presses Ctrl-C and sees that nothing is left, not even the directory
// of the key that the line for logging in names.
func endTrial(t *testing.T, cmd *exec.Cmd, told io.Reader, login string) {
	t.Helper()
	machines := children(t, cmd.Process.Pid)
	if len(machines) == 0 {
		t.Error("no machine runs")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	last, err := io.ReadAll(told)
	if err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
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
	words := strings.Fields(login)
	key := words[slices.Index(words, "-i")+1]
	if _, err := os.Stat(filepath.Dir(key)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left (%v)", filepath.Dir(key), err)
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
