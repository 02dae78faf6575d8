package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imgbuild/builder/launch"
	"imgbuild/images/report"
)

// apart stands before each part of an answer.
const apart = "--imgbuild--"

// settled are the answers of systemctl is-system-running when a boot is over,
// with failed units or without.
var settled = []string{"running", "degraded"}

// Started returns at once: QEMU runs.
func (m machine) Started(context.Context) error { return nil }

func (m machine) Settle(ctx context.Context) error {
	return launch.Until(ctx, m.Ended(), func() error {
		out, err := m.shell.run(ctx, "systemctl is-system-running --wait")
		if slices.Contains(settled, out) {
			return nil
		}
		if err == nil {
			err = errors.New("it is not running")
		}
		return withWords(err, out)
	})
}

// Standing asks for failed units.
func (m machine) Standing(ctx context.Context) []report.Answer {
	units := report.Answer{Name: "units", Asked: "no unit has failed"}
	out, err := m.shell.run(ctx, "systemctl list-units --failed --plain --no-legend --all --no-pager")
	switch {
	case err != nil:
		units.Error = oneLine(withWords(err, out))
	case out != "":
		var failed []string
		for line := range strings.Lines(out) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			failed = append(failed, name)
		}
		units.Error = "failed: " + strings.Join(failed, ", ")
	}
	return []report.Answer{units}
}

// Integrity asks AIDE where it is installed with a database.
func (m machine) Integrity(ctx context.Context) []report.Answer {
	if _, err := m.shell.run(ctx, `sudo -n sh -c 'command -v aide && test -s /var/lib/aide/aide.db'`); err != nil {
		return nil // it has none
	}
	aide := report.Answer{Name: "aide", Asked: "aide --check"}
	if out, err := m.shell.run(ctx, "sudo -n aide --check --config /etc/aide/aide.conf"); err != nil {
		aide.Error = fmt.Sprintf("%v: %s", err, changes(out))
	}
	return []report.Answer{aide}
}

// maxChanges is how many files of a report of AIDE are told.
const maxChanges = 10

// changes are the files that AIDE's report lists as added, removed or changed,
// or its first words when there are none.
func changes(text string) string {
	var found []string
	for line := range strings.Lines(text) {
		// "f   ...    .C... : /etc/hosts", and with plus or minus signs what came
		// or went (aide.conf(5), SUMMARIZE_CHANGES).
		if what, path, ok := strings.Cut(strings.TrimSpace(line), ": /"); ok && what != "" && strings.ContainsRune("fdlpbcDs", rune(what[0])) && !strings.HasPrefix(what, "file") {
			found = append(found, "/"+path)
		}
	}
	if len(found) == 0 {
		return fmt.Sprintf("%.300s", strings.Join(strings.Fields(text), " "))
	}
	if more := len(found) - maxChanges; more > 0 {
		found = append(found[:maxChanges], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(found, ", ")
}

// read gives the parts of a file each of the machine, in the order of names.
func (m machine) read(ctx context.Context, names ...string) ([]string, error) {
	out, err := m.shell.run(ctx, "for f in "+launch.Quote(names)+"; do echo "+apart+"; cat -- $f 2>/dev/null; done; true")
	if err != nil {
		return nil, withWords(err, out)
	}
	parts := strings.Split(out, apart)[1:]
	if len(parts) != len(names) {
		return nil, fmt.Errorf("it was asked for %d files and gave %d", len(names), len(parts))
	}
	return parts, nil
}

func (m machine) Sockets(ctx context.Context) ([]socket, error) {
	var names []string
	for _, t := range tables {
		names = append(names, "/proc/"+t)
	}
	parts, err := m.read(ctx, names...)
	if err != nil {
		return nil, err
	}
	return gather(func(i int) (string, error) { return parts[i], nil })
}

// gather reads all tables; those of IPv6 are missing where it is switched off.
func gather(text func(i int) (string, error)) ([]socket, error) {
	var all []socket
	for i, t := range tables {
		content, err := text(i)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(content) == "" && strings.HasSuffix(t, "6") {
			continue
		}
		found, err := readSockets(t, content)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (m machine) Owner(ctx context.Context, s socket) string {
	out, err := m.shell.run(ctx, `sudo -n sh -c 'for d in $(find /proc -mindepth 3 -maxdepth 3 -path "/proc/[0-9]*/fd/*" -lname "socket:\[`+s.Inode+
		`\]" 2>/dev/null | head -n 3); do cat "${d%/fd/*}/comm"; done'`)
	if err != nil {
		return ""
	}
	names := strings.Fields(out)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// Escape takes the machine's own firewall down first: what is tried is the
// network that it is on. The restart brings the firewall back.
func (m machine) Escape(ctx context.Context, b *beacon) []report.Answer {
	parts, err := m.read(ctx, "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/proc/net/route")
	var around surroundings
	if err == nil {
		around, err = readSurroundings(parts[0]+"\n"+parts[1], parts[2])
	}
	list := targets(b, around)
	if err != nil {
		return untried(list, err)
	}
	const down = "sudo -n nft flush ruleset >/dev/null 2>&1; " // where there is none, nothing is in the way
	out, err := m.shell.run(ctx, down+launch.Quote([]string{"bash", "-c", attemptScript(list)}))
	if err != nil {
		return untried(list, withWords(err, out))
	}
	return readAttempts(list, out)
}

// bootID is a file that the kernel makes anew for each boot (random(4)).
const bootID = "/proc/sys/kernel/random/boot_id"

func (m machine) Restart(ctx context.Context) error {
	before, err := m.read(ctx, bootID)
	if err != nil {
		return err
	}
	if _, err := m.shell.run(ctx, "sudo -n systemctl reboot"); err != nil && ctx.Err() != nil {
		return ctx.Err() // else the connection ended with the boot
	}
	err = launch.Until(ctx, m.Ended(), func() error {
		ctx, cancel := context.WithTimeout(ctx, tryLimit)
		defer cancel()
		now, err := m.read(ctx, bootID)
		if err == nil && now[0] == before[0] {
			m.shell.close()
			err = errors.New("it is still the same boot")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("rebooting: %w", err)
	}
	return nil
}

func (m machine) Journal(ctx context.Context) (string, error) {
	return m.shell.run(ctx, "sudo -n journalctl --no-pager --output short-precise --lines 8000")
}
