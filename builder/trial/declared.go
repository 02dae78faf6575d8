package trial

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/baseline"
)

// Declared are the ports that an output of a recipe has to listen on, and no
// others, sorted: those that it lists, those that its probes ask, and SSH of a
// machine. A machine that lists none has its container's.
func Declared(terms baseline.Terms, machine bool) []baseline.Port {
	declared := map[baseline.Port]bool{}
	note := func(ports []baseline.Port) {
		for _, p := range ports {
			declared[p] = true
		}
	}
	if c := terms.Outputs.Container; c != nil && (!machine || terms.Outputs.VM == nil || len(terms.Outputs.VM.Ports) == 0) {
		note(c.Ports)
	}
	if vm := terms.Outputs.VM; machine {
		declared[baseline.Port(fmt.Sprintf("%d/tcp", sshPort))] = true
		if vm != nil {
			note(vm.Ports)
		}
	}
	for _, p := range asked(terms.Probes, machine) {
		if number := port(p); number != 0 {
			declared[baseline.Port(fmt.Sprintf("%d/tcp", number))] = true
		}
	}
	// What the tables of readSockets do not list cannot be held to.
	maps.DeleteFunc(declared, func(p baseline.Port, _ bool) bool { return strings.HasSuffix(string(p), "/sctp") })
	return slices.Sorted(maps.Keys(declared))
}

// dhcp are the ports of DHCP's clients (RFC 2131, 8415), which a machine has.
var dhcp = []string{"68/udp", "546/udp"}

// undeclared are the sockets that nobody declared, and missing the declared
// ports on which nobody listens.
func undeclared(declared []baseline.Port, machine bool, sockets []socket) (surplus []socket, missing []string) {
	open := map[string]bool{}
	for _, s := range sockets {
		open[s.Name()] = true
		if !slices.Contains(declared, baseline.Port(s.Name())) && !(machine && slices.Contains(dhcp, s.Name())) {
			surplus = append(surplus, s)
		}
	}
	for _, p := range declared {
		if !open[string(p)] {
			missing = append(missing, string(p))
		}
	}
	return surplus, missing
}
