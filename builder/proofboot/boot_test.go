package proofboot_test

import (
	"strings"
	"sync"
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/images/peertest"
)

// An emulated machine has one processor: as many of these tests run side by side
// as there are. Debian 12 boots by BIOS in the trials of the server with Apache and
// of the broken one.

// TestTheDebian12ServerBoots boots the shipped server as a user who tries it,
// under Secure Boot, with a larger disk than its image and the devices of a
// hypervisor that others lack.
func TestTheDebian12ServerBoots(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "qemu-system-x86_64", "qemu-img", "ssh")
	reach(t, "bookworm")
	baked := bake(t, "debian-12-nginx")
	t.Run("disk", func(t *testing.T) { holdToManifest(t, baked, baked.disk(t)) })
	t.Run("scan", func(t *testing.T) { holdToScan(t, baked) })
	t.Run("machine", func(t *testing.T) { holdsAfterBothStarts(t, baked) })
}

// TestTheDebian13ServerBoots boots a child of the shipped baseline, which has
// what only a first boot can finish. What a first boot writes is known only by
// asking for every file.
func TestTheDebian13ServerBoots(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "qemu-system-x86_64", "qemu-img", "ssh")
	reach(t, "trixie")
	baked := bake(t, "proof-data", project(t)...)
	t.Run("disk", func(t *testing.T) { holdToManifest(t, baked, baked.disk(t)) })
	t.Run("scan", func(t *testing.T) { holdToScan(t, baked) })
	m := tryMachine(t, baked, launch.SecureBoot, &hypervisor{})
	m.running(t, "")
	m.showed(t, "13")
	// All files take an emulated machine minutes; the one with Debian 12 is asked.
	configuration := question{"configuration", `sudo aide --check --config=/etc/aide/aide.conf --limit=/etc >/home/debian/aide 2>&1 || head -n 30 /home/debian/aide`, is("")}
	m.inspect(t, append(append(m.questions(baked), ofFirstBoot()...), configuration))
	m.identity(t).own(t)
	m.end(t)
}

// identity is what no other machine may have: its machine id, and its host keys as
// they are written down everywhere, type and key.
type identity struct {
	machine string
	keys    []string
}

// owners are the tests whose machines have a machine id or a host key.
var owners = struct {
	sync.Mutex
	of map[string]string
}{of: map[string]string{}}

// own says that the identity is that of the test's machine, and fails the test if
// anything of it is another's.
func (i identity) own(t *testing.T) {
	t.Helper()
	owners.Lock()
	defer owners.Unlock()
	for _, part := range append(i.keys, i.machine) {
		if other, taken := owners.of[part]; taken && part != "" {
			t.Errorf("the machine of %s has %q, too", other, part)
		}
		owners.of[part] = t.Name()
	}
}

// keysOf reads host keys, one a line, and leaves out who made them.
func keysOf(text string) (keys []string) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 {
			keys = append(keys, f[0]+" "+f[1])
		}
	}
	return keys
}
