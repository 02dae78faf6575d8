package baseline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
)

// Bytes is a size in bytes, written with a binary unit: 512MiB, 4GiB.
type Bytes int64

// UnmarshalNode reads a size.
func (b *Bytes) UnmarshalNode(n *node.Node) error {
	units := map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
	if n.Kind == node.String && len(n.Text) > 3 {
		unit, ok := units[n.Text[len(n.Text)-3:]]
		number, err := strconv.ParseInt(strings.TrimSpace(n.Text[:len(n.Text)-3]), 10, 32)
		if ok && err == nil && number > 0 && number <= (1<<50)/unit {
			*b = Bytes(number * unit)
			return nil
		}
	}
	return node.Errorf(n.Pos, "expected a size such as 512MiB or 4GiB, found %q", n.Text)
}

// Duration is a length of time, written as in Go: 90s, 2m.
type Duration time.Duration

// UnmarshalNode reads a length of time.
func (d *Duration) UnmarshalNode(n *node.Node) error {
	length, err := time.ParseDuration(n.Text)
	if n.Kind != node.String || err != nil || length <= 0 {
		return node.Errorf(n.Pos, "expected a length of time such as 90s or 2m, found %q", n.Text)
	}
	*d = Duration(length)
	return nil
}

// Port is a port and its protocol: 80/tcp.
type Port string

// UnmarshalNode reads 80, "80" or 80/tcp.
func (p *Port) UnmarshalNode(n *node.Node) error {
	number, protocol, given := strings.Cut(n.Text, "/")
	if !given {
		protocol = "tcp"
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if n.Kind != node.String && n.Kind != node.Int || err != nil || port == 0 ||
		protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return node.Errorf(n.Pos, "expected a port such as 80 or 53/udp, found %q", n.Text)
	}
	*p = Port(fmt.Sprintf("%d/%s", port, protocol))
	return nil
}

// UnmarshalNode takes the digests of a file or of all that a directory holds.
func (i *Input) UnmarshalNode(n *node.Node) error {
	file, err := node.ProjectFile(n)
	if err == nil {
		*i = Input{Name: n.Text, Entries: []node.TreeEntry{{Path: ".", File: file}}}
		return nil
	}
	entries, treeErr := node.ProjectTree(n, nil)
	if treeErr != nil {
		return err
	}
	*i = Input{Name: n.Text, Entries: entries}
	return nil
}

// canonical is JSON: struct fields stand in their order, map keys sorted, and
// nodes and files encode themselves.
func canonical(r *Recipe) ([]byte, error) {
	data, err := json.Marshal(struct {
		*Recipe
		// What only describes changes nothing.
		Description string `json:"description,omitempty"`
		Extends     string `json:"extends,omitempty"`
		Remove      string `json:"remove,omitempty"`
		Vars        string `json:"vars,omitempty"`

		Packages     []string  `json:"packages,omitempty"`
		Architecture string    `json:"architecture"`
		Values       node.Vars `json:"values,omitempty"`
	}{Recipe: r, Packages: slices.Sorted(slices.Values(r.Packages)), Architecture: r.Architecture, Values: r.values})
	if err != nil {
		return nil, fmt.Errorf("encoding recipe: %w", err)
	}
	return data, nil
}
