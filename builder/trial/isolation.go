package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"imgbuild/images/report"
)

// target is something outside that is tried from inside.
type target struct {
	Name string
	// Network is "tcp" or "udp".
	Network string
	Address netip.Addr
	Port    uint16
}

func (t target) String() string { return fmt.Sprintf("%s port %d/%s", t.Address, t.Port, t.Network) }

func (t target) hostPort() string {
	return net.JoinHostPort(t.Address.String(), strconv.Itoa(int(t.Port)))
}

// Where QEMU's user network and slirp4netns have their gateway, behind which
// this host's loopback addresses lie, and their name server (QEMU's
// documentation, "Network emulation"; slirp4netns(1)).
var (
	userGateways   = []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fec0::2")}
	userNameServer = netip.MustParseAddr("10.0.2.3")
	loopback       = netip.MustParseAddr("127.0.0.1")
	// metadata is where clouds answer who a machine is, and with what keys.
	metadata = netip.MustParseAddr("169.254.169.254")
)

// question is a DNS query for the address of example.com (RFC 1035, 4.1).
const question = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"

// surroundings are what an image sees of its network.
type surroundings struct {
	nameServers, gateways []netip.Addr
}

// readSurroundings reads them out of the image's resolv.conf(5) and
// /proc/net/route.
func readSurroundings(resolvConf, route string) (surroundings, error) {
	gateways, err := readGateways(route)
	return surroundings{nameServers: readNameServers(resolvConf), gateways: gateways}, err
}

// maxTargets bounds what is tried: an image says what its name servers are.
const maxTargets = 128

// targets are what is tried: the name servers of the image and of this host,
// this host behind every gateway and by each of its own addresses, where the
// beacon does answer, and the metadata service.
func targets(b *beacon, s surroundings) []target {
	var list []target
	try := func(t target) {
		known := slices.ContainsFunc(list, func(o target) bool { return o.String() == t.String() })
		if !known && len(list) < maxTargets {
			list = append(list, t)
		}
	}
	for _, a := range slices.Concat([]netip.Addr{userNameServer}, b.nameServers, s.nameServers) {
		try(target{"name server", "udp", a, 53})
		try(target{"name server", "tcp", a, 53})
	}
	host := func(name string, a netip.Addr) {
		try(target{name, "tcp", a, b.tcpPort})
		try(target{name, "udp", a, b.udpPort})
	}
	for _, a := range slices.Concat(userGateways, s.gateways) {
		host("gateway", a)
	}
	host("this host's loopback", loopback)
	for _, a := range b.addresses {
		host("this host", a)
	}
	try(target{"metadata service", "tcp", metadata, 80})
	return list
}

// beacon answers on this host, by TCP and by UDP, so that silence inside means
// that nothing leads here.
type beacon struct {
	tcp              net.Listener
	udp              net.PacketConn
	tcpPort, udpPort uint16
	// addresses are those of this host at which it does answer.
	addresses   []netip.Addr
	nameServers []netip.Addr
	group       sync.WaitGroup
}

func newBeacon(ctx context.Context) (b *beacon, err error) {
	b = &beacon{}
	if b.tcp, err = net.Listen("tcp", ":0"); err != nil {
		return nil, fmt.Errorf("listening on this host: %w", err)
	}
	if b.udp, err = net.ListenPacket("udp", ":0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listening on this host: %w", err), b.tcp.Close())
	}
	b.tcpPort, b.udpPort = portOf(b.tcp.Addr().String()), portOf(b.udp.LocalAddr().String())
	b.group.Go(func() {
		for {
			conn, err := b.tcp.Accept()
			if err != nil {
				return // it was closed
			}
			conn.Close() // that it was accepted is the answer
		}
	})
	b.group.Go(func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := b.udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			b.udp.WriteTo(buffer[:n], from) // who does not hear it has not reached this host
		}
	})
	if text, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		b.nameServers = readNameServers(string(text))
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listing this host's addresses: %w", err), b.Close())
	}
	if words := b.reach(ctx, loopback); words == "" {
		return nil, errors.Join(errors.New("this host does not reach itself: nothing can be shown of its networks"), b.Close())
	}
	for _, o := range own {
		prefix, err := netip.ParsePrefix(o.String())
		if err != nil || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		if b.reach(ctx, prefix.Addr()) != "" {
			b.addresses = append(b.addresses, prefix.Addr())
		}
	}
	return b, ctx.Err()
}

// reach says how the beacon answers at an address, "" for not at all.
func (b *beacon) reach(ctx context.Context, a netip.Addr) string {
	words, err := attempt(ctx, target{Network: "tcp", Address: a, Port: b.tcpPort})
	if err != nil {
		return ""
	}
	return words
}

// Close stops to listen.
func (b *beacon) Close() error {
	err := errors.Join(b.tcp.Close(), b.udp.Close())
	b.group.Wait()
	return err
}

func portOf(address string) uint16 {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0
	}
	return at.Port()
}

// attemptLimit is how long an answer may take.
const attemptLimit = 5 * time.Second

// attempt tries a target from the network that the thread is in and says how it
// answers, "" when nothing does. An error means that it could not be tried.
func attempt(ctx context.Context, t target) (words string, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, t.Network, t.hostPort())
	if err != nil {
		return judgeAttempt(t, err)
	}
	defer conn.Close()
	if t.Network == "tcp" {
		return "it lets itself be connected to", nil
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, question); err != nil {
		return judgeAttempt(t, err)
	}
	if _, err := conn.Read(make([]byte, 512)); err != nil {
		return judgeAttempt(t, err)
	}
	return "it answers", nil
}

// judgeAttempt tells silence from an answer: a refusal is one, too, unless by
// the image's own loopback device.
func judgeAttempt(t target, err error) (string, error) {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		if t.Address.IsLoopback() {
			return "", nil
		}
		return "it refuses the connection, so that it is reached", nil
	case errors.As(err, &timeout) && timeout.Timeout():
		return "", nil
	}
	for _, vain := range []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EPERM, syscall.EACCES, syscall.EAFNOSUPPORT} {
		if errors.Is(err, vain) {
			return "", nil
		}
	}
	return "", err
}

// isolation makes an answer of each target and of what came of trying it.
func isolation(list []target, words []string, errs []error) []report.Answer {
	answers := make([]report.Answer, len(list))
	for i, t := range list {
		answers[i] = report.Answer{Name: t.Name, Asked: t.String(), Error: words[i]}
		if errs[i] != nil {
			answers[i].Error = "it could not be tried: " + errs[i].Error()
		}
	}
	return answers
}

// attemptScript is for bash: it tries all targets at once and says of each, in
// lines that begin with its number, that it began, that it was answered, and
// what bash complains of. The number behind theirs is the resolver's.
func attemptScript(list []target) string {
	var b strings.Builder
	fmt.Fprintf(&b, `export LC_ALL=C
begin() { BASH_ARGV0="$1 said"; exec 2>&1; echo "$1 began"; }
tcp() { ( begin "$1"; exec 3<>"/dev/tcp/$2/$3" && echo "$1 answered" ) & }
udp() { ( begin "$1"; exec 3<>"/dev/udp/$2/$3" && printf %%b '%s' >&3 && IFS= read -r -d '' -n 1 _ <&3 && echo "$1 answered" ) & }
`, escaped(question))
	for i, t := range list {
		fmt.Fprintf(&b, "%s %d %s %d\n", t.Network, i, t.Address, t.Port)
	}
	fmt.Fprintf(&b, `( begin %d; getent ahosts example.com && echo "%[1]d answered" ) &
for _ in {1..%d}; do sleep 1; [ "$(jobs -pr)" ] || break; done
kill $(jobs -pr) 2>/dev/null
echo end
`, len(list), int(attemptLimit.Seconds()))
	return b.String()
}

// escaped are bytes as printf %b reads them, each in octal.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, `\0%03o`, c)
	}
	return b.String()
}

// readAttempts reads what attemptScript wrote. What did not begin, or ended with
// a complaint that nobody understands, could not be tried.
func readAttempts(list []target, text string) []report.Answer {
	began, answered, said := make([]bool, len(list)+1), make([]bool, len(list)+1), make([]string, len(list)+1)
	ended := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		number, rest, _ := strings.Cut(line, " ")
		i, err := strconv.Atoi(number)
		switch {
		case line == "end":
			ended = true
		case err != nil || i < 0 || i > len(list):
		case rest == "began":
			began[i] = true
		case rest == "answered":
			answered[i] = true
		default:
			said[i] += rest + " "
		}
	}
	words, errs := make([]string, len(list)), make([]error, len(list))
	for i, t := range list {
		switch {
		case answered[i] && t.Network == "tcp":
			words[i] = "it lets itself be connected to"
		case answered[i]:
			words[i] = "it answers"
		case !began[i] || !ended:
			errs[i] = errors.New("the image did not say what came of it")
		case said[i] != "":
			words[i], errs[i] = judgeWords(t, said[i])
		}
	}
	resolver := report.Answer{Name: "name resolution", Asked: "getent ahosts example.com"}
	switch i := len(list); {
	case answered[i]:
		resolver.Error = "it resolves a name"
	case !began[i] || !ended || said[i] != "":
		resolver.Error = fmt.Sprintf("it could not be tried: %.100q", said[i])
	}
	return append(isolation(list, words, errs), resolver)
}

// judgeWords judges by what bash makes of errors, in the words of strerror(3).
func judgeWords(t target, said string) (string, error) {
	for text, errno := range map[string]syscall.Errno{
		"Connection refused": syscall.ECONNREFUSED, "Network is unreachable": syscall.ENETUNREACH, "No route to host": syscall.EHOSTUNREACH,
		"Cannot assign requested address": syscall.EADDRNOTAVAIL, "Operation not permitted": syscall.EPERM, "Permission denied": syscall.EACCES,
		"Connection timed out": syscall.ETIMEDOUT, "Address family not supported by protocol": syscall.EAFNOSUPPORT,
	} {
		if strings.Contains(said, text) {
			return judgeAttempt(t, errno)
		}
	}
	return "", fmt.Errorf("%.100q", said)
}
