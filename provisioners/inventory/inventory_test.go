package inventory_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/inventory"
	"imgbuild/provisioners/system"
)

// machine is a system of files; those that end with "@" are links.
func machine(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		must(t, system.MkdirAll(s, path.Dir(name)))
		if link, ok := strings.CutSuffix(name, "@"); ok {
			must(t, s.Symlink(text, link))
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		must(t, s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: mode}))
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestJobsAreToldWithoutTheirArguments(t *testing.T) {
	i, err := inventory.Take(context.Background(), machine(t, map[string]string{
		"/etc/crontab":                     "SHELL=/bin/sh\n# m h\n17 *\t* * *\troot\tcd / && run-parts /etc/cron.hourly\n",
		"/etc/cron.d/backup":               "*/5 1-3 * * 1 ops PASS=hunter2 /opt/dump --password=hunter2\n@reboot root /opt/up\nMAILTO = x\n",
		"/etc/cron.d/back.dpkg-old":        "* * * * * root /opt/never\n",
		"/etc/cron.d/broken":               "every day root x\n",
		"/etc/cron.daily/rotate":           "#!/bin/sh\n",
		"/etc/cron.daily/README":           "no script",
		"/var/spool/cron/crontabs/ops":     "0 4 * * * mysqldump -phunter2 all\n",
		"/var/spool/cron/crontabs/other":   "0 4 * * * KEY=hunter2/x=y\n",
		"/var/lib/dpkg/alternatives/pager": "manual\n/usr/bin/pager\n",
		"/var/lib/dpkg/alternatives/awk":   "auto\n/usr/bin/awk\n",
	}))
	must(t, err)
	var got [][4]string
	for _, j := range i.Jobs {
		got = append(got, [4]string{j.File, j.User, j.When, j.Program})
	}
	want := [][4]string{
		{"etc/cron.d/backup", "ops", "*/5 1-3 * * 1", "/opt/dump"},
		{"etc/cron.d/backup", "root", "@reboot", "/opt/up"},
		{"etc/cron.d/broken", "", "", ""},
		{"etc/cron.daily/rotate", "root", "daily", "/etc/cron.daily/rotate"},
		{"etc/crontab", "root", "17 * * * *", "cd"},
		{"var/spool/cron/crontabs/ops", "ops", "0 4 * * *", "mysqldump"},
		{"var/spool/cron/crontabs/other", "other", "0 4 * * *", "KEY="},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Equal(i.Chosen, []string{"pager"}) || i.Running {
		t.Errorf("chosen %v, running %v", i.Chosen, i.Running)
	}
	text, err := json.Marshal(i)
	must(t, err)
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("a secret is told: %s", text)
	}
}

// TestPortsAreThoseOfTheKernel listens itself and finds itself.
func TestPortsAreThoseOfTheKernel(t *testing.T) {
	if _, err := os.Stat("/proc/self/net/tcp"); err != nil {
		t.Skip("no /proc here")
	}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		l, err := net.Listen(network, address)
		if err != nil {
			if network == "tcp6" {
				continue // a machine without IPv6
			}
			t.Fatal(err)
		}
		defer l.Close()
		packets, err := net.ListenPacket("udp", "127.0.0.1:0") // of a client's range: not told
		must(t, err)
		defer packets.Close()
		at := l.Addr().(*net.TCPAddr)
		comm, err := os.ReadFile("/proc/self/comm")
		must(t, err)
		ports := proc(t)
		has := slices.IndexFunc(ports, func(p inventory.Port) bool {
			return p.Protocol == "tcp" && p.Port == at.Port && p.Address == at.IP.String()
		})
		if has < 0 || ports[has].Process != strings.TrimSpace(string(comm)) {
			t.Errorf("%s: not among %+v", at, ports)
		}
		if slices.ContainsFunc(ports, func(p inventory.Port) bool {
			return p.Protocol == "udp" && p.Port == packets.LocalAddr().(*net.UDPAddr).Port
		}) {
			t.Error("a client's socket is told")
		}
	}
}

// proc are the ports of a root that has nothing but this machine's /proc.
func proc(t *testing.T) []inventory.Port {
	t.Helper()
	r, err := system.OpenRoot("/")
	must(t, err)
	defer r.Close()
	i, err := inventory.Take(context.Background(), only{r, "/proc"})
	must(t, err)
	if !i.Running {
		t.Error("this machine does not run")
	}
	return i.Ports
}

// only shows one directory of a system.
type only struct {
	system.Reader
	dir string
}

func (o only) hides(name string) error {
	if name != o.dir && !strings.HasPrefix(name, o.dir+"/") {
		return &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return nil
}

func (o only) Lstat(name string) (system.Info, error) {
	if err := o.hides(name); err != nil {
		return system.Info{}, err
	}
	return o.Reader.Lstat(name)
}

func (o only) Stat(name string) (system.Info, error) {
	if err := o.hides(name); err != nil {
		return system.Info{}, err
	}
	return o.Reader.Stat(name)
}

func (o only) ReadDir(name string) ([]string, error) {
	if err := o.hides(name); err != nil {
		return nil, err
	}
	return o.Reader.ReadDir(name)
}

func TestPortsHaveUnits(t *testing.T) {
	const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	i, err := inventory.Take(context.Background(), machine(t, map[string]string{
		"/proc/self/net/tcp": heading +
			"   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 100 1\n" +
			"   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 101 1\n" +
			"   2: 0100007F:8000 0100007F:0019 01 00000000:00000000 00:00000000 00000000 0 0 102 1\n",
		"/proc/self/net/tcp6": heading + "   0: 000080FE00000000FF005450B6AD1DFE:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 103 1\n",
		"/proc/self/net/udp":  heading + "   0: 00000000:0044 00000000:0000 07 0:0 0:0 0 0 0 104 1\n   1: 00000000:9000 00000000:0000 07 0:0 0:0 0 0 0 105 1\n",
		"/proc/7/comm":        "sshd\n", "/proc/7/cgroup": "0::/system.slice/ssh.service\n", "/proc/7/fd/3@": "socket:[101]", "/proc/7/fd/4@": "socket:[103]", "/proc/7/fd/5@": "/dev/null",
		"/proc/8/comm": "dhclient\n", "/proc/8/cgroup": "12:cpu:/x.service\n1:name=systemd:/user.slice/session-1.scope\n", "/proc/8/fd/3@": "socket:[104]",
	}))
	must(t, err)
	want := []inventory.Port{
		{Protocol: "tcp", Address: "0.0.0.0", Port: 22, Process: "sshd", Unit: "ssh.service"},
		{Protocol: "tcp", Address: "fe80::5054:ff:fe1d:adb6", Port: 22, Process: "sshd", Unit: "ssh.service"},
		{Protocol: "tcp", Address: "127.0.0.1", Port: 25},
		{Protocol: "udp", Address: "0.0.0.0", Port: 68, Process: "dhclient", Unit: "session-1.scope"},
	}
	if diff := cmp.Diff(want, i.Ports); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := inventory.Take(context.Background(), machine(t, map[string]string{"/proc/self/net/tcp": heading + "0: xyz:0 0:0 0A 0 0 0 0 0 1\n"})); err == nil {
		t.Error("an address that is none is no error")
	}
}

func TestWhatNoSystemHasIsRefused(t *testing.T) {
	i := &inventory.Inventory{Packages: make([]dpkg.Installed, 200_001)}
	if err := i.Check(); err == nil || !strings.Contains(err.Error(), "200001 packages") {
		t.Errorf("got %v", err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := inventory.Take(ended, machine(t, map[string]string{"/etc/passwd": ""})); err == nil {
		t.Error("it outlived its context")
	}
}

func FuzzTake(f *testing.F) {
	f.Add("17 * * * * root cd /\n@daily root x\n", "h\n0: 0100007F:0019 0:0 0A 0:0 0:0 0 0 0 100 1\n", "root:x:0:0::/root:/bin/sh\n", "[Install]\nWantedBy=x.target\n")
	f.Fuzz(func(t *testing.T, crontab, sockets, passwd, unit string) {
		i, err := inventory.Take(context.Background(), machine(t, map[string]string{
			"/etc/crontab": crontab, "/proc/self/net/tcp": sockets, "/proc/self/net/udp6": sockets, "/etc/passwd": passwd,
			"/etc/systemd/system/x.service": unit, filepath.Join("/proc/1/fd", "3@"): "socket:[100]",
		}))
		if err == nil && (len(i.Jobs) > strings.Count(crontab, "\n")+1 || len(i.Ports) > 2*strings.Count(sockets, "\n")+2) {
			t.Errorf("more than was said: %+v", i)
		}
	})
}
