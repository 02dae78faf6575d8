package trial_test

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/trial"
	"imgbuild/images/baseline"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestSocketsOfOneTable(t *testing.T) {
	for name, c := range map[string]struct {
		table, rows string
		want        []string
	}{
		"every address": {"net/tcp", "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100 0 0 10 0\n", []string{"80/tcp on 0.0.0.0"}},
		"one address":   {"net/tcp", "   0: 0F02000A:0016 00000000:0000 0A 0:0 00:0 0 0 0 17 1\n", []string{"22/tcp on 10.0.2.15"}},
		"loopback":      {"net/tcp", "   0: 0100007F:0050 00000000:0000 0A 0:0 00:0 0 0 0 17 1\n   1: 3500007F:0035 00000000:0000 0A 0:0 00:0 0 0 0 17 1\n", nil},
		"connected":     {"net/tcp", "   0: 0F02000A:0016 0202000A:9C40 01 0:0 00:0 0 0 0 17 1\n", nil},
		"six":           {"net/tcp6", "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 17 1\n", []string{"8080/tcp on ::"}},
		"six loopback":  {"net/tcp6", "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 17 1\n", nil},
		"four in six":   {"net/tcp6", "   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 17 1\n", nil},
		"udp":           {"net/udp", "  12: 00000000:0035 00000000:0000 07 0:0 00:0 0 0 0 17 2 0 0\n  13: 0F02000A:A0A0 0302000A:0035 01 0:0 00:0 0 0 0 17 2 0 0\n", []string{"53/udp on 0.0.0.0"}},
		"local link":    {"net/udp6", "  12: 000080FE00000000005452FF12005634:0222 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 17 2 0 0\n", []string{"546/udp on fe80::ff:5254:3456:12"}},
		"none":          {"net/udp6", "", nil},
	} {
		sockets, err := trial.ReadSockets(c.table, header+c.rows)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, s := range sockets {
			got = append(got, s.String())
		}
		if name == "local link" { // the words are little-endian, the address is not of interest
			if len(got) != 1 || !strings.HasPrefix(got[0], "546/udp on fe80::") {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestWhatIsNoTableIsAnError(t *testing.T) {
	for _, text := range []string{"", "cat: /proc/net/tcp: No such file", header + "0: zz:0050 0:0 0A 0:0 00:0 0 0 0 17 1", header + "0: 00000000:00500 0:0 0A 0:0 00:0 0 0 0 17",
		header + "0: 0000000000:0050 0:0 0A 0:0 00:0 0 0 0 17", header + "0: 00000000:0050"} {
		if got, err := trial.ReadSockets("net/tcp", text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestTheKernelsOwnTables finds sockets of this test.
func TestTheKernelsOwnTables(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for table, port := range map[string]int{"net/tcp": l.Addr().(*net.TCPAddr).Port, "net/udp": u.LocalAddr().(*net.UDPAddr).Port} {
		text, err := os.ReadFile("/proc/self/" + table)
		if err != nil {
			t.Fatal(err)
		}
		sockets, err := trial.ReadSockets(table, string(text))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(sockets, func(s trial.Socket) bool { return int(s.Port) == port && s.Inode != "" }) {
			t.Errorf("port %d is not among %v", port, sockets)
		}
	}
}

func TestGateways(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	got, err := trial.ReadGateways(head + "eth0\t00000000\t0202000A\t0003\t0\t0\t1024\t00000000\t0\t0\t0\neth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
	if err != nil || len(got) != 1 || got[0].String() != "10.0.2.2" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := trial.ReadGateways(head + "eth0\t00000000\t02\t0003"); err == nil {
		t.Errorf("a gateway of one byte is %v", got)
	}
}

func TestDeclaredPorts(t *testing.T) {
	terms := baseline.Terms{
		Outputs: baseline.Outputs{Container: &baseline.Container{Ports: []baseline.Port{"80/tcp", "53/udp", "5/sctp"}}, VM: &baseline.VM{}},
		Probes: map[string]baseline.Probe{
			"tls":   {HTTP: &baseline.HTTPProbe{Port: 443}},
			"admin": {TCP: &baseline.TCPProbe{Port: 9000}, Outputs: []string{"vm"}},
			"unit":  {Unit: "x.service"},
		},
	}
	for _, c := range []struct {
		machine bool
		own     []baseline.Port
		want    []baseline.Port
	}{
		{false, nil, []baseline.Port{"443/tcp", "53/udp", "80/tcp"}},
		{true, nil, []baseline.Port{"22/tcp", "443/tcp", "53/udp", "80/tcp", "9000/tcp"}},
		{true, []baseline.Port{"8080/tcp"}, []baseline.Port{"22/tcp", "443/tcp", "8080/tcp", "9000/tcp"}},
		{false, []baseline.Port{"8080/tcp"}, []baseline.Port{"443/tcp", "53/udp", "80/tcp"}},
	} {
		terms.Outputs.VM.Ports = c.own
		if d := cmp.Diff(c.want, trial.Declared(terms, c.machine)); d != "" {
			t.Errorf("machine %v, own %v: %s", c.machine, c.own, d)
		}
	}
}

func TestPortsExactlyAsDeclared(t *testing.T) {
	ssh, dhcp := trial.NewSocket("tcp", "::", 22), trial.NewSocket("udp", "10.0.2.15", 68)
	surplus, missing := trial.Undeclared([]baseline.Port{"22/tcp", "80/tcp"}, true, []trial.Socket{ssh, dhcp, trial.NewSocket("udp", "0.0.0.0", 22)})
	if len(surplus) != 1 || surplus[0].String() != "22/udp on 0.0.0.0" || !slices.Equal(missing, []string{"80/tcp"}) {
		t.Errorf("surplus %v, missing %v", surplus, missing)
	}
	if surplus, _ := trial.Undeclared(nil, false, []trial.Socket{dhcp}); len(surplus) != 1 {
		t.Error("a container has no DHCP client")
	}
}

func FuzzSockets(f *testing.F) {
	f.Add("net/tcp", header+"   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1\n")
	f.Add("net/udp6", header+"  12: 000080FE00000000005452FF12005634:0222 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 17 2 0 0\n")
	f.Add("net/tcp", "")
	f.Fuzz(func(t *testing.T, table, text string) {
		sockets, err := trial.ReadSockets(table, text)
		if err != nil {
			return
		}
		for _, s := range sockets {
			if !s.Address.IsValid() || s.Address.IsLoopback() || !strings.Contains(strings.ToLower(text), strings.ToLower(":"+pad(s.Port))) {
				t.Errorf("%v of %q", s, text)
			}
		}
	})
}

func pad(port uint16) string {
	text := strconv.FormatUint(uint64(port), 16)
	return strings.Repeat("0", max(0, 4-len(text))) + text
}
