package launch

import (
	"fmt"
	"net"
)

// loopback is where ports of a guest appear, and nowhere else.
const loopback = "127.0.0.1"

// publish chooses free host ports for guest ports whose host port is 0.
func publish(ports map[int]int) (map[int]int, error) {
	out := map[int]int{}
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close() // it only kept others from taking the port
		}
	}()
	for guest, host := range ports {
		if guest < 1 || guest > 65535 || host < 0 || host > 65535 {
			return nil, fmt.Errorf("publishing port %d as %d: no such port", guest, host)
		}
		l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", loopback, host))
		if err != nil {
			return nil, fmt.Errorf("publishing port %d: %w", guest, err)
		}
		open = append(open, l)
		out[guest] = l.Addr().(*net.TCPAddr).Port
	}
	return out, nil
}
