package live

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// Listed is one server of an inventory.
type Listed struct {
	// Name is what reports call it.
	Name string `json:"-"`
	// Address is as Client.Find reads it; the name when it is left out.
	Address string `json:"address,omitempty"`
	// Baseline holds it against a baseline, not against its own image.
	Baseline string `json:"baseline,omitempty"`
	// Customer and Fleet (CUSTOMER/FLEET) say whose it is: their waivers count.
	Customer string `json:"customer,omitempty"`
	Fleet    string `json:"fleet,omitempty"`
	// Identity is the file of a private key, relative to the inventory's.
	Identity string `json:"identity,omitempty"`
}

// For is whose server it is.
func (l Listed) For() (control.Scope, error) { return control.ParseScope(l.Customer, l.Fleet) }

// The limits of an inventory.
const (
	maxInventory = 1 << 20
	maxListed    = 10_000
)

// listedName may be part of a file's name.
var listedName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@:-]{0,252}$`)

// NameOf is what a server is called by its address: without scheme.
func NameOf(address string) string { return strings.TrimPrefix(address, "ssh://") }

// ReadInventory reads a YAML file: a list of addresses, or a map of servers by
// name. Errors are fault.Input and list every mistake with line and column.
func ReadInventory(file string) ([]Listed, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Inputf("there is no inventory %s", file).
			WithHint("write one: a list of servers, a line each, such as - ssh://admin@web1")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxInventory+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	root, err := node.Parse(file, nil, file, data)
	if err != nil {
		return nil, err
	}
	p := &node.Problems{}
	var list []Listed
	seen := map[string]node.Position{}
	add := func(l Listed, pos node.Position) {
		if !listedName.MatchString(l.Name) {
			p.Addf(pos, "%q is no name of a server: letters, digits, and . _ @ : - between", l.Name)
		} else if first, twice := seen[l.Name]; twice {
			p.Addf(pos, "the server %q is named already at %s", l.Name, first)
		}
		seen[l.Name] = pos
		if _, err := l.For(); err != nil {
			p.Addf(pos, "%v", err)
		}
		if l.Identity != "" && !filepath.IsAbs(l.Identity) {
			l.Identity = filepath.Join(filepath.Dir(file), l.Identity)
		}
		list = append(list, l)
	}
	if len(root.Items)+len(root.Entries) > maxListed {
		return nil, node.Errorf(root.Pos, "more than %d servers", maxListed)
	}
	switch root.Kind {
	case node.List:
		for _, item := range root.Items {
			if item.Kind != node.String {
				p.Addf(item.Pos, "expected the address of a server such as ssh://admin@web1, found %s", item.Kind)
				continue
			}
			add(Listed{Name: NameOf(item.Text), Address: item.Text}, item.Pos)
		}
	case node.Map:
		for _, e := range root.Entries {
			l := Listed{Name: e.Key, Address: e.Key}
			if e.Value.Kind == node.String {
				l.Address = e.Value.Text
			} else if e.Value.Kind != node.Null {
				p.Add(node.Decode(e.Value, &l))
			}
			add(l, e.Pos)
		}
	default:
		return nil, node.Errorf(root.Pos, "expected a list of servers or a map of them by name, found %s", root.Kind)
	}
	return list, p.Err()
}
