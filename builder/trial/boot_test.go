package trial_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/launch"
	"imgbuild/builder/progress"
	"imgbuild/builder/trial"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/report"
)

// fake is an image that answers as its fields say.
type fake struct {
	address   string // of its web server
	standing  []report.Answer
	sockets   []trial.Socket
	integrity []report.Answer
	settle    error
	restart   error
	escape    []report.Answer
	restarts  int
	ended     chan struct{}
}

func (f *fake) Ended() <-chan struct{} { return f.ended }
func (f *fake) Address(int) string     { return f.address }
func (f *fake) Dial(ctx context.Context, _ int) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", f.address)
}
func (f *fake) Explain(err error) error                               { return err }
func (f *fake) Run(context.Context, []string) error                   { return nil }
func (f *fake) Listens(context.Context, int) error                    { return nil }
func (f *fake) Close() error                                          { return nil }
func (f *fake) Started(context.Context) error                         { return nil }
func (f *fake) Settle(context.Context) error                          { return f.settle }
func (f *fake) Standing(context.Context) []report.Answer              { return f.standing }
func (f *fake) Integrity(context.Context) []report.Answer             { return f.integrity }
func (f *fake) Sockets(context.Context) ([]trial.Socket, error)       { return f.sockets, nil }
func (f *fake) Owner(context.Context, trial.Socket) string            { return "intruder" }
func (f *fake) Escape(context.Context, *trial.Beacon) []report.Answer { return f.escape }
func (f *fake) Journal(context.Context) (string, error)               { return "the journal\n", nil }
func (f *fake) Restart(context.Context) error {
	f.restarts++
	return f.restart
}

func newFake(t *testing.T) *fake {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }))
	t.Cleanup(server.Close)
	return &fake{
		address: server.Listener.Addr().String(), ended: make(chan struct{}),
		standing: []report.Answer{{Name: "units", Asked: "no unit has failed"}},
		sockets:  []trial.Socket{trial.NewSocket("tcp", "0.0.0.0", 22), trial.NewSocket("tcp", "::", 80)},
		escape:   []report.Answer{{Name: "metadata service", Asked: "169.254.169.254 port 80/tcp"}},
	}
}

func spec(t *testing.T, probes map[string]baseline.Probe) trial.BootSpec {
	return trial.BootSpec{
		Spec: trial.Spec{
			Version: &catalog.Version{Baseline: "web", Number: "1"}, Probes: probes, Machine: true, Patience: 2 * time.Second, Report: progress.Discard,
		},
		Ports: []baseline.Port{"22/tcp", "80/tcp"}, Settling: time.Second, Logs: filepath.Join(t.TempDir(), "logs"),
	}
}

// TestWhatIsWrongIsFound changes one thing of an image that is as it should be.
func TestWhatIsWrongIsFound(t *testing.T) {
	web := baseline.Probe{HTTP: &baseline.HTTPProbe{Port: 80, Contains: "hello"}, Within: baseline.Duration(time.Second)}
	for name, c := range map[string]struct {
		change   func(*fake, map[string]baseline.Probe)
		want     []string
		restarts int
	}{
		"nothing": {func(*fake, map[string]baseline.Probe) {}, nil, 1},
		"a unit": {func(f *fake, _ map[string]baseline.Probe) { f.standing[0].Error = "failed: x.service" },
			[]string{"start 1: units (no unit has failed): failed: x.service"}, 0},
		"the start": {func(f *fake, _ map[string]baseline.Probe) {
			f.settle = errors.Join(context.DeadlineExceeded, errors.New("nobody lets us in"))
		}, []string{
			"isolation: isolation (what leads out): it was not tried: the image did not start",
			"start 1: start (it finishes starting): not within 0 s: nobody lets us in",
		}, 0},
		"a secret": {func(f *fake, _ map[string]baseline.Probe) {
			f.standing[0].Error = "password=hunter2hunter2 " + strings.Repeat("x", 2000)
		},
			[]string{"start 1: units (no unit has failed): password=(not shown) " + strings.Repeat("x", 1000-len("password=(not shown) ")) + " …"}, 0},
		"a file": {func(f *fake, _ map[string]baseline.Probe) {
			f.integrity = []report.Answer{{Name: "aide", Asked: "aide --check", Error: "/etc/hosts"}}
		},
			[]string{"start 2: aide (aide --check): /etc/hosts"}, 1},
		"a probe": {func(_ *fake, p map[string]baseline.Probe) {
			p["web"] = baseline.Probe{HTTP: &baseline.HTTPProbe{Port: 80, Status: 404}, Within: baseline.Duration(time.Second)}
		}, []string{"start 1: web (GET /, port 80): not within 1 s: the answer is 200 OK, not 404"}, 0},
		"the network": {func(f *fake, _ map[string]baseline.Probe) { f.escape[0].Error = "it answers" },
			[]string{"isolation: metadata service (169.254.169.254 port 80/tcp): it answers"}, 0},
		"the ports": {func(f *fake, _ map[string]baseline.Probe) { f.sockets[1].Port = 8080 },
			[]string{"start 1: ports (it listens on 22/tcp, 80/tcp alone): 8080/tcp on :: by intruder is not declared; nobody listens on 80/tcp"}, 0},
		"no network": {func(f *fake, _ map[string]baseline.Probe) { f.escape = nil }, []string{"isolation: nothing was asked"}, 0},
		"the restart": {func(f *fake, _ map[string]baseline.Probe) { f.restart = errors.New("it hangs") },
			[]string{"start 2: restart (it stops and starts again): it hangs"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, probes := newFake(t), map[string]baseline.Probe{"web": web}
			c.change(f, probes)
			s := spec(t, probes)
			found, err := trial.NewTrial(f, s).Prove(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, found.Failed()); d != "" {
				t.Error(d)
			}
			if f.restarts != c.restarts {
				t.Errorf("it was restarted %d times", f.restarts)
			}
			for what, text := range map[string]string{"journal": "the journal\n", "console": "the console\n"} {
				kept, err := os.ReadFile(filepath.Join(s.Logs, "web-1-vm-"+what+".log"))
				if c.want != nil && (err != nil || string(kept) != text) || c.want == nil && !os.IsNotExist(err) {
					t.Errorf("the %s is %q, %v", what, kept, err)
				}
			}
		})
	}
}

// layoutOf makes an OCI layout with an image of busybox that runs a command.
func layoutOf(t *testing.T, command ...string) string {
	t.Helper()
	for _, tool := range []string{"podman", "umoci", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	config := []string{"umoci", "config", "--image", "layout:web"}
	for _, word := range command {
		config = append(config, "--config.cmd", word)
	}
	for _, args := range [][]string{
		{"umoci", "init", "--layout", "layout"},
		{"umoci", "new", "--image", "layout:web"},
		{"umoci", "unpack", "--image", "layout:web", "bundle"},
		{"mkdir", "-p", "bundle/rootfs/bin", "bundle/rootfs/www"},
		{"sh", "-c", "cp $(command -v busybox) bundle/rootfs/bin/busybox && echo hello > bundle/rootfs/www/index.html"},
		{"umoci", "repack", "--image", "layout:web", "bundle"},
		config,
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return filepath.Join(dir, "layout")
}

// TestAContainerThatCannotStartIsFound runs a program that the image lacks.
func TestAContainerThatCannotStartIsFound(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("an isolated container takes uid 0")
	}
	c, err := launch.StartContainer(t.Context(), launch.ContainerSpec{Layout: layoutOf(t, "/no/such/program"), Reference: "web", Dir: t.TempDir(), Network: launch.Isolated})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := spec(t, nil)
	s.Machine, s.Patience = false, time.Minute
	found, err := trial.NewTrial(trial.ContainerSubject(c), s).Prove(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := strings.Join(found.Failed(), "\n"); !strings.Contains(wrong, "start 1: start (it starts): ") || !strings.Contains(wrong, "/no/such/program") {
		t.Errorf("got %s", wrong)
	}
}

// TestARealContainer puts one through all that serves on two ports: it is as it
// should be when both are declared, and else not.
func TestARealContainer(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("an isolated container takes uid 0")
	}
	layout := layoutOf(t, "/bin/busybox", "sh", "-c", "busybox httpd -p 8081 -h /www && exec busybox httpd -f -h /www")
	c, err := launch.StartContainer(t.Context(), launch.ContainerSpec{Layout: layout, Reference: "web", Dir: t.TempDir(), Network: launch.Isolated})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.WaitStarted(t.Context()); err != nil {
		t.Fatal(err)
	}
	probes := map[string]baseline.Probe{
		"web":     {HTTP: &baseline.HTTPProbe{Port: 80, Contains: "hello"}},
		"port":    {TCP: &baseline.TCPProbe{Port: 80}},
		"command": {Command: []string{"/bin/busybox", "test", "-e", "/www/index.html"}},
	}
	s := spec(t, probes)
	s.Machine, s.Patience, s.Ports = false, time.Minute, []baseline.Port{"80/tcp", "8081/tcp"}
	found, err := trial.NewTrial(trial.ContainerSubject(c), s).Prove(t.Context(), s)
	if err != nil || len(found.Failed()) > 0 || len(found.Starts) != 2 {
		t.Fatalf("%v, %v", err, found)
	}
	for i, start := range found.Starts {
		if len(start.Answers) != len(probes)+3 || start.Ready <= 0 {
			t.Errorf("start %d: %+v", i+1, start)
		}
	}
	s.Ports = []baseline.Port{"80/tcp", "90/tcp"}
	found, err = trial.NewTrial(trial.ContainerSubject(c), s).Prove(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Join(found.Failed(), "\n")
	for _, want := range []string{"8081/tcp on :: by busybox is not declared", "nobody listens on 90/tcp"} {
		if !strings.Contains(wrong, want) {
			t.Errorf("it does not say %q:\n%s", want, wrong)
		}
	}
}
