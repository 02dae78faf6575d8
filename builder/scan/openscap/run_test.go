package openscap_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/builder/scan/openscap"
)

// noted counts what a reporter is told beside its tasks.
type noted struct {
	progress.Reporter
	notes []string
}

func (n *noted) Note(format string, args ...any) {
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
}

// TestAProgramThatStandsStillIsStartedAgain as one does whose threads wait for
// each other.
func TestAProgramThatStandsStillIsStartedAgain(t *testing.T) {
	report := &noted{Reporter: progress.Discard}
	err := openscap.RunInstead(t.Context(), t.TempDir(), time.Second, report, "sh", "-c", "echo rule:pass; exec sleep 1000")
	if err == nil || !strings.Contains(err.Error(), "stood still") || len(report.notes) != 2 || !strings.Contains(report.notes[0], "after 1 rules") {
		t.Errorf("%v, %q", err, report.notes)
	}
}

// TestWorkIsSeenByTheProcessorsTime of a program's own programs.
func TestWorkIsSeenByTheProcessorsTime(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "sh -c 'while :; do :; done'; :")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, _ := openscap.ProcessorTime(os.Getpid())
	for used, programs := first, 0; used <= first || programs < 2; time.Sleep(10 * time.Millisecond) {
		used, programs = openscap.ProcessorTime(os.Getpid())
	}
	if err := cmd.Cancel(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed
	if _, programs := openscap.ProcessorTime(os.Getpid()); programs != 0 {
		t.Errorf("%d programs are left", programs)
	}
}

// TestWhatRunsSeesNothingElse: oscap reads what guests wrote, and may be made to
// do what it likes.
func TestWhatRunsSeesNothingElse(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it reached the network") }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	script := "cd /; for f in " + secret + " /etc/shadow /root /home; do [ ! -e $f ] || echo sees $f; done >&2;" +
		"! touch /tree/x /stream.xml /usr/x 2>/dev/null || echo writes >&2;" +
		"! curl -s -m 2 http://127.0.0.1:" + port + " || echo reaches >&2;" +
		"[ \"$(env | grep -c =)\" -le 10 ] || env >&2; echo done >&2"
	err = openscap.RunInstead(t.Context(), t.TempDir(), time.Minute, progress.Discard, "sh", "-c", script+"; exit 3")
	if err == nil || !strings.HasSuffix(err.Error(), "status 3 and no results: done") {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsSaidLastIsHeard after more than is kept of it.
func TestWhatIsSaidLastIsHeard(t *testing.T) {
	script := "yes W: a warning | head -c 2000000 >&2; printf 'dpkginfo_init has ' >&2; sleep 0.1; echo failed >&2; echo > results.xml"
	err := openscap.RunInstead(t.Context(), t.TempDir(), time.Minute, progress.Discard, "sh", "-c", script)
	if err == nil || !strings.Contains(err.Error(), "could not read the packages") {
		t.Errorf("got %v", err)
	}
}

// TestResultsThatLeadElsewhereAreNotRead where oscap was made to leave a link or
// a pipe instead of a file.
func TestResultsThatLeadElsewhereAreNotRead(t *testing.T) {
	data, err := filepath.Abs("testdata/results.xml")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"a link": "ln -s " + data + " results.xml", "a link up": "ln -s ../stream.xml results.xml", "a pipe": "mkfifo results.xml", "a directory": "mkdir results.xml",
		"nothing": "true", "an empty one": ": > results.xml",
	} {
		err := openscap.RunInstead(t.Context(), t.TempDir(), time.Minute, progress.Discard, "sh", "-c", script)
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
