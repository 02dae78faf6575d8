package trial

import (
	"context"
	"net/netip"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/report"
)

// What the tests need of the insides.
type (
	Socket  = socket
	Subject = subject
	Beacon  = beacon
	Target  = target
)

var (
	ReadSockets  = readSockets
	ReadGateways = readGateways
	ReadAttempts = readAttempts
	NewBeacon    = newBeacon
	Attempt      = attempt
	TLSConfig    = tlsConfig
	Changes      = changes
	MaxChanges   = maxChanges
)

// Targets are those of a host without surroundings.
func Targets(b *Beacon) []Target { return targets(b, surroundings{}) }

// Script tries them by bash.
func Script(list []Target) string { return attemptScript(list) }

// Undeclared tells surplus sockets and missing ports.
var Undeclared = undeclared

// NewTrial is a trial of a guest that runs.
func NewTrial(g Subject, s BootSpec) *Trial {
	return &Trial{Form: "guest", probes: asked(s.Probes, s.Machine), guest: g, began: time.Now()}
}

// ContainerSubject makes a container a subject.
func ContainerSubject(c *launch.Container) Subject { return container{c} }

// Prove puts it through a boot trial, and keeps what it said if it failed.
func (t *Trial) Prove(ctx context.Context, s BootSpec) (*report.Trial, error) {
	found, err := t.prove(ctx, s)
	if err == nil {
		soften(found)
	}
	if err == nil && len(found.Failed()) > 0 {
		t.keep(ctx, s, &ending{text: []byte("the console\n")})
	}
	return found, err
}

// NewSocket makes one.
func NewSocket(protocol, address string, port uint16) Socket {
	return Socket{Protocol: protocol, Address: netip.MustParseAddr(address), Port: port}
}
