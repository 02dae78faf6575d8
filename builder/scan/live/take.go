package live

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/agent"
	"imgbuild/provisioners/inventory"
)

// Stock is what a server has.
type Stock struct {
	Inventory *inventory.Inventory
	// Manifest is of its local files that are not variable; nil when it was not
	// asked for.
	Manifest integrity.Manifest
}

// Take asks a server what it has: its inventory and, by rules that class its
// paths, its files; without any rule the files are not asked for.
func Take(ctx context.Context, s *Server, guest *Guest, rules integrity.Rules) (*Stock, error) {
	stock, err := take(ctx, s, guest, rules)
	if err != nil {
		return nil, fmt.Errorf("taking the inventory of %s: %w", s.Host, err)
	}
	return stock, nil
}

func take(ctx context.Context, s *Server, guest *Guest, rules integrity.Rules) (*Stock, error) {
	commands := []string{"inventory"}
	if len(rules) > 0 {
		commands = append(commands, "manifest")
	}
	answers, err := s.ask(ctx, guest, &agent.Question{Format: agent.Format, Rules: rules}, commands)
	if err != nil {
		return nil, err
	}
	stock := &Stock{Inventory: answers[0].Inventory}
	if stock.Inventory == nil {
		return nil, errors.New("the server does not answer what it has")
	}
	if err := stock.Inventory.Check(); err != nil {
		return nil, err
	}
	if len(rules) == 0 {
		return stock, nil
	}
	if stock.Manifest, err = integrity.ReadMtree(strings.NewReader(answers[1].Manifest)); err != nil {
		return nil, fmt.Errorf("reading the server's manifest: %w", err)
	}
	if len(stock.Manifest) == 0 {
		return nil, errors.New("the server's manifest is empty")
	}
	return stock, nil
}
