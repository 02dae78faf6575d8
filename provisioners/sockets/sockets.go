// Package sockets reads the kernel's tables of sockets. It opens nothing and asks
// no network.
package sockets

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Socket is one that waits for others.
type Socket struct {
	// Protocol is "tcp" or "udp".
	Protocol string
	Address  netip.Addr
	Port     uint16
	// Inode is by which a process has it open.
	Inode string
}

// Name is the port as recipes write it, "80/tcp".
func (s Socket) Name() string { return fmt.Sprintf("%d/%s", s.Port, s.Protocol) }

func (s Socket) String() string { return fmt.Sprintf("%s on %s", s.Name(), s.Address) }

// Read reads the text of a table below /proc/net, tcp, tcp6, udp or udp6 (the kernel's
// Documentation/networking/proc_net_tcp.rst; udp has the same columns) and
// returns what listens in it: TCP that waits for connections, and UDP that is
// not connected. A text that is no such table is an error.
func Read(table, text string) ([]Socket, error) {
	protocol := strings.TrimSuffix(table, "6")
	states := map[string]string{"tcp": "0A", "udp": "07"}
	var found []Socket
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
		address, port, err := Address(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
		found = append(found, Socket{Protocol: protocol, Address: address, Port: port, Inode: fields[9]})
	}
	return found, nil
}

// Address reads 0100007F:0050: words of the address as a little-endian machine
// has them, which every architecture of an image is, and the port.
func Address(text string) (netip.Addr, uint16, error) {
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
	return address, uint16(port), nil
}
