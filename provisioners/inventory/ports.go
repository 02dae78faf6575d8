package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/sockets"
	"imgbuild/provisioners/system"
)

// Port is a socket that waits for others.
type Port struct {
	// Protocol is tcp or udp.
	Protocol string `json:"protocol"`
	Address  string `json:"address"`
	Port     int    `json:"port"`
	// Process is the program's name as the kernel has it, at most 15 bytes of
	// it, and Unit what systemd started it as; empty where nobody is known to
	// have the socket open.
	Process string `json:"process,omitempty"`
	Unit    string `json:"unit,omitempty"`
}

// The limits of what the kernel says: bytes of a table of sockets, processes, and
// files that all of them have open.
const (
	maxTable     = 64 << 20
	maxProcesses = 100_000
	maxOpen      = 2 << 20
)

// ports reads the listening sockets of the network that the reader's own process
// sees; a system that does not run has no table of them. UDP sockets in the
// range of ports that are given to clients are left out: they wait for an answer.
func ports(ctx context.Context, r system.Reader) (list []Port, running bool, err error) {
	list = []Port{}
	inodes := map[string]int{}
	low, high := clientPorts(r)
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, there, err := system.ReadText(r, "/proc/self/net/"+table, maxTable)
		if err != nil {
			return nil, false, fmt.Errorf("reading sockets: %w", err)
		}
		if !there {
			continue
		}
		running = true
		found, err := sockets.Read(table, text)
		if err != nil {
			return nil, false, fmt.Errorf("reading sockets: %w", err)
		}
		for _, s := range found {
			if s.Protocol == "udp" && int(s.Port) >= low && int(s.Port) <= high {
				continue
			}
			inodes[s.Inode] = len(list)
			list = append(list, Port{Protocol: s.Protocol, Address: s.Address.String(), Port: int(s.Port)})
		}
	}
	if len(inodes) > 0 {
		if err := owners(ctx, r, func(inode, process, unit string) {
			if i, ok := inodes[inode]; ok && list[i].Process == "" {
				list[i].Process, list[i].Unit = process, unit
			}
		}); err != nil {
			return nil, false, fmt.Errorf("reading who has sockets open: %w", err)
		}
	}
	slices.SortFunc(list, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Process, b.Process))
	})
	return slices.Compact(list), running, nil
}

// clientPorts is ip_local_port_range of ip(7), or what it is by itself.
func clientPorts(r system.Reader) (low, high int) {
	text, _, err := system.ReadText(r, "/proc/sys/net/ipv4/ip_local_port_range", 100)
	if _, scanErr := fmt.Sscan(text, &low, &high); err != nil || scanErr != nil {
		return 32768, 60999
	}
	return low, high
}

// owners tells of the sockets that processes have open, by proc(5). Processes end
// while they are looked at; what is gone has none.
func owners(ctx context.Context, r system.Reader, tell func(inode, process, unit string)) error {
	names, err := r.ReadDir("/proc")
	if err != nil {
		return err
	}
	processes, open := 0, 0
	for _, pid := range names {
		if strings.Trim(pid, "0123456789") != "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if processes++; processes > maxProcesses {
			return fmt.Errorf("more than %d processes", maxProcesses)
		}
		dir := path.Join("/proc", pid)
		files, err := r.ReadDir(path.Join(dir, "fd"))
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return err
			}
			continue
		}
		process, unit := "", ""
		for _, file := range files {
			if open++; open > maxOpen {
				return fmt.Errorf("more than %d open files", maxOpen)
			}
			target, err := r.Readlink(path.Join(dir, "fd", file))
			inode, socket := strings.CutPrefix(target, "socket:[")
			if err != nil || !socket {
				continue
			}
			if process == "" {
				process, unit = nameOf(r, dir), unitOf(r, dir)
			}
			tell(strings.TrimSuffix(inode, "]"), process, unit)
		}
	}
	return nil
}

func nameOf(r system.Reader, dir string) string {
	text, _, _ := system.ReadText(r, path.Join(dir, "comm"), 100) // it may be gone
	if text = strings.TrimSpace(text); text == "" {
		return path.Base(dir)
	}
	return text
}

// unitOf is the innermost unit of a process's control group (cgroups(7)).
func unitOf(r system.Reader, dir string) string {
	text, _, _ := system.ReadText(r, path.Join(dir, "cgroup"), 64<<10) // it may be gone
	unit := ""
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || fields[1] != "" && fields[1] != "name=systemd" {
			continue
		}
		for _, part := range strings.Split(fields[2], "/") {
			if kind := path.Ext(part); kind == ".service" || kind == ".scope" {
				unit = part
			}
		}
	}
	return unit
}
