package launch

// Network is what a running container reaches. A machine is always on an
// isolated one.
type Network string

// The networks.
const (
	// Open lets it reach whatever this machine reaches; its ports are published
	// on this machine.
	Open Network = "open"
	// Isolated is a network of its own without a way out or in; Dial reaches it.
	Isolated Network = "isolated"
)
