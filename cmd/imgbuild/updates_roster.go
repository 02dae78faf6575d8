package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/updates/life"
	"imgbuild/images/updates/roster"
)

func newUpdatesRosterCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "roster",
		Short: "List who may approve updates, with their keys",
		Long: `List those whose records count: the people and machines of approvers.yaml, and the
project's own keys. Without that file, whoever has the project's key decides.

For each key a record is shown that stands on what it signed before, and how much it
does not stand on, as when the key was used on two machines at once. When a key goes,
enter that record as last: beside its until:, so that nothing which is signed with it
later can be dated back. Look at the record before: whoever had the key may have
signed it.`,
		Example: "  imgbuild updates roster\n  imgbuild updates roster --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := env.ledger(cmd.Context())
			if err != nil {
				return err
			}
			records, err := l.store.Load(cmd.Context())
			if err != nil {
				return err
			}
			d := describeRoster(l, records)
			return env.answer(d, d.write, env.command("updates", "list"))
		},
	}
}

// rosterDocument is the answer of updates roster as JSON.
type rosterDocument struct {
	// File is the roster's, empty where there is none.
	File    string         `json:"file,omitempty"`
	Members []rosterMember `json:"members"`
}

type rosterMember struct {
	Handle string      `json:"handle"`
	Name   string      `json:"name,omitempty"`
	Role   life.Role   `json:"role"`
	Keys   []rosterKey `json:"keys"`
}

type rosterKey struct {
	ID string `json:"id"`
	// Counts says whether what is signed with it now counts; else Why says why not.
	Counts bool   `json:"counts"`
	Why    string `json:"why,omitempty"`
	// Records counts what it signed. Last is the record of it that stands on the most
	// of that, of the time Newest by its own word; Beside counts what it does not
	// stand on, which would not count any more.
	Records int       `json:"records"`
	Last    string    `json:"last,omitempty"`
	Newest  time.Time `json:"newest,omitzero"`
	Beside  int       `json:"beside,omitempty"`
	// Ahead says that the time has not come yet.
	Ahead bool `json:"ahead,omitempty"`
}

func describeRoster(l *ledger, records []life.Signed) rosterDocument {
	d := rosterDocument{Members: []rosterMember{}}
	if l.store.Roster.Written {
		d.File = l.project.RosterFile()
	}
	for _, m := range l.store.Roster.Members() {
		member := rosterMember{Handle: m.Handle, Name: m.Name, Role: m.Role}
		for _, k := range m.Keys {
			member.Keys = append(member.Keys, describeRosterKey(l, k, records))
		}
		d.Members = append(d.Members, member)
	}
	return d
}

func describeRosterKey(l *ledger, k *roster.Key, records []life.Signed) rosterKey {
	out := rosterKey{ID: k.ID()}
	_, out.Why = l.store.Roster.SignerOf(k.ID(), l.now)
	out.Counts = out.Why == ""
	var own []life.Signed
	for _, r := range records {
		if r.By.Key == k.ID() && r.Void == "" {
			own = append(own, r)
		}
	}
	out.Records = len(own)
	if len(own) > 0 {
		last, known := roster.Last(records, own)
		out.Last, out.Newest, out.Beside = last.Digest, last.Record.When, len(own)-known
		out.Ahead = last.Record.When.After(l.now)
	}
	return out
}

func (d rosterDocument) write(w io.Writer) {
	if d.File == "" {
		fmt.Fprintf(w, "there is no %s: whoever has the project's key decides\n", roster.FileName)
	}
	for _, m := range d.Members {
		fmt.Fprintf(w, "%-20s %-9s %s\n", m.Handle, m.Role, m.Name)
		for _, k := range m.Keys {
			fmt.Fprintf(w, "  key   %s\n", k.ID)
			if !k.Counts {
				fmt.Fprintf(w, "        counts no more: %s\n", harmless(k.Why))
			}
			if k.Records > 0 {
				fmt.Fprintf(w, "  last  %s  (of %d, %s)\n", k.Last, k.Records, k.Newest.Format(time.RFC3339))
			}
			if k.Beside > 0 {
				fmt.Fprintf(w, "        it does not stand on %d others of this key, which would then count no more: see whether a later record stands on all\n", k.Beside)
			}
			if k.Ahead {
				fmt.Fprintln(w, "        its time has not come yet: look at who made it before you enter it")
			}
		}
	}
}
