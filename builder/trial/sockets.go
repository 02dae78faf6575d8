package trial

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// socket is one that answers others than its own machine.
type socket struct {
	// Protocol is "tcp" or "udp".
	Protocol string
	Address  netip.Addr
	Port     uint16
	// Inode is by which a process has it open.
	Inode string
}

func (s socket) String() string {
	return fmt.Sprintf("%s on %s", s.port(), s.Address)
}

// port is as recipes write it, "80/tcp".
func (s socket) port() string { return fmt.Sprintf("%d/%s", s.Port, s.Protocol) }

// tables are the files of /proc that list the sockets of a network.
var tables = []string{"net/tcp", "net/tcp6", "net/udp", "net/udp6"}

// readSockets reads one of these tables (the kernel's
// Documentation/networking/proc_net_tcp.rst; udp has the same columns) and
// returns what listens in it: TCP that waits for connections, and UDP that is
// not connected, on other than loopback addresses.
func readSockets(table, text string) ([]socket, error) {
	protocol := strings.TrimSuffix(strings.TrimPrefix(table, "net/"), "6")
	states := map[string]string{"tcp": "0A", "udp": "07"}
	var found []socket
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fields := strings.Fields(line)
		if i == 0 {
			if len(fields) < 2 || fields[0] != "sl" {
				return nil, fmt.Errorf("%s does not begin as a table of sockets: %.40q", table, line)
			}
			continue
		}
		if len(fields) < 10 {
			return nil, fmt.Errorf("%s: a line of %d columns: %.80q", table, len(fields), line)
		}
		if fields[3] != states[protocol] {
			continue
		}
		address, port, err := readAddress(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
		if !address.IsLoopback() {
			found = append(found, socket{Protocol: protocol, Address: address, Port: port, Inode: fields[9]})
		}
	}
	return found, nil
}

// readAddress reads 0100007F:0050: words of the address as a little-endian
// machine has them, which every architecture of an image is, and the port.
func readAddress(text string) (netip.Addr, uint16, error) {
	words, number, _ := strings.Cut(text, ":")
	port, portErr := strconv.ParseUint(number, 16, 16)
	raw, err := hex.DecodeString(words)
	if err != nil || portErr != nil || len(number) != 4 || len(raw) != 4 && len(raw) != 16 {
		return netip.Addr{}, 0, fmt.Errorf("%.60q is no address", text)
	}
	for at := 0; at < len(raw); at += 4 {
		binary.LittleEndian.PutUint32(raw[at:], binary.BigEndian.Uint32(raw[at:]))
	}
	address, _ := netip.AddrFromSlice(raw) // of 4 or 16 bytes it always is one
	return address.Unmap(), uint16(port), nil
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
		address, _, err := readAddress(fields[2] + ":0000")
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
