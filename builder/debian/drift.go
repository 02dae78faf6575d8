package debian

import (
	"fmt"

	"imgbuild/builder/debian/deb822"
	"imgbuild/images/updates"
)

// Drift is what has moved between a lock and what would be locked today.
type Drift struct {
	// Moves are sorted as locks are.
	Moves []Move
}

// Move is one package that has moved.
type Move struct {
	updates.Change
	// Security says that the newer version comes from a security suite.
	Security bool
	// Older says that the version went down.
	Older bool
	// Why is one sentence: what moved, and why it matters.
	Why string
}

// Security returns the moves that bring security updates.
func (d Drift) Security() []Move {
	var moves []Move
	for _, move := range d.Moves {
		if move.Security {
			moves = append(moves, move)
		}
	}
	return moves
}

// Check compares a lock with a fresh one of the same request.
func Check(previous, fresh *updates.Lock) Drift {
	var drift Drift
	for _, change := range updates.Diff(previous, fresh) {
		move := Move{Change: change}
		switch {
		case change.Kind == updates.Moved:
			move.Why = moved(change)
		case change.Kind == updates.Replaced:
			move.Why = fmt.Sprintf("%s %s has become another file of the same version, which archives must not do",
				change.Name, change.New.Version)
		case change.Kind == updates.Added:
			move.Why = fmt.Sprintf("%s %s is now needed", change.Name, change.New.Version)
		case change.Kind == updates.Removed:
			move.Why = fmt.Sprintf("%s %s is no longer needed or no longer offered", change.Name, change.Old.Version)
		default:
			move.explainVersion(fresh.WithoutSecurity)
		}
		drift.Moves = append(drift.Moves, move)
	}
	return drift
}

// explainVersion says why the version differs; withoutSecurity that the new one was sought
// without the security suite.
func (m *Move) explainVersion(withoutSecurity bool) {
	from := m.New.Suite
	if from == "" {
		from = "a local file"
	}
	m.Older = deb822.CompareVersions(m.New.Version, m.Old.Version) < 0
	m.Security = !m.Older && m.New.Archive == ArchiveSecurity
	switch {
	case m.Older && withoutSecurity && m.Old.Archive == ArchiveSecurity:
		m.Why = fmt.Sprintf("%s goes back from %s to %s: the security suite is left out", m.Name, m.Old.Version, m.New.Version)
	case m.Older:
		m.Why = fmt.Sprintf("%s goes back from %s to %s: the later version is no longer offered", m.Name, m.Old.Version, m.New.Version)
	case m.Security:
		m.Why = fmt.Sprintf("%s %s is replaced by the security update %s of %s", m.Name, m.Old.Version, m.New.Version, from)
	default:
		m.Why = fmt.Sprintf("%s %s is replaced by %s of %s", m.Name, m.Old.Version, m.New.Version, from)
	}
}

// moved says what became of the same file: in another place of the image it is a new split,
// not a new package.
func moved(c updates.Change) string {
	was, is := place(c.Old), place(c.New)
	switch {
	case was != is:
		return fmt.Sprintf("%s goes from %s to %s", c.Name, was, is)
	case c.Old.Archive != c.New.Archive || c.Old.Suite != c.New.Suite || c.Old.Path != c.New.Path:
		return fmt.Sprintf("%s stays the same file, which is offered elsewhere", c.Name)
	}
	return fmt.Sprintf("%s stays the same file, of which something else is said", c.Name)
}

func place(p *updates.Package) string {
	if p.Layer == "" {
		return "the " + string(p.Set)
	}
	return "layer " + p.Layer
}
