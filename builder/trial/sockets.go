package trial

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"imgbuild/provisioners/sockets"
)

// socket is one that answers others than its own machine.
type socket = sockets.Socket

// tables are the files of /proc that list the sockets of a network.
var tables = []string{"net/tcp", "net/tcp6", "net/udp", "net/udp6"}

// readSockets reads one of these tables and returns what listens in it on other
// than loopback addresses.
func readSockets(table, text string) ([]socket, error) {
	all, err := sockets.Read(strings.TrimPrefix(table, "net/"), text)
	var found []socket
	for _, s := range all {
		if s.Address = s.Address.Unmap(); !s.Address.IsLoopback() {
			found = append(found, s)
		}
	}
	return found, err
}

// readGateways reads /proc/net/route and returns the gateways in it.
func readGateways(text string) ([]netip.Addr, error) {
	const isGateway = 0x2 // RTF_GATEWAY of <linux/route.h>
	var found []netip.Addr
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) == 0 {
			continue
		}
		if len(fields) < 4 {
			return nil, fmt.Errorf("net/route: a line of %d columns: %.80q", len(fields), line)
		}
		flags, err := strconv.ParseUint(fields[3], 16, 32)
		if err != nil {
			return nil, fmt.Errorf("net/route: %.20q are no flags", fields[3])
		}
		if flags&isGateway == 0 {
			continue
		}
		address, _, err := sockets.Address(fields[2] + ":0000")
		if err != nil {
			return nil, fmt.Errorf("net/route: %w", err)
		}
		found = append(found, address)
	}
	return found, nil
}

// readNameServers reads the servers of a resolv.conf(5), without those on
// loopback addresses.
func readNameServers(text string) []netip.Addr {
	var found []netip.Addr
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil && !a.IsLoopback() {
			found = append(found, a.WithZone(""))
		}
	}
	return found
}
