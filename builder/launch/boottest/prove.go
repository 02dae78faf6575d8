package boottest

import (
	"sync"
	"testing"

	"imgbuild/builder/launch"
)

// Prove boots copies of an amd64 disk under each of the firmwares, side by side,
// and asks of each what must hold, and what inspect asks; the last is rebooted
// too. No two of them may have anything of an identity in common.
func Prove(t *testing.T, disk string, firmwares []launch.Firmware, inspect func(*testing.T, *Guest)) {
	var mu sync.Mutex
	seen := map[string]launch.Firmware{}
	for i, firmware := range firmwares {
		t.Run(string(firmware), func(t *testing.T) {
			t.Parallel()
			g := Boot(t, Options{Disk: disk, Firmware: firmware})
			g.Check(t, firmware)
			inspect(t, g)
			id := g.Identity(t)
			mu.Lock()
			for _, part := range []string{id.MachineID, id.HostKeys} {
				if other, ok := seen[part]; ok {
					t.Errorf("the copies booted under %s and %s share %q", other, firmware, part)
				}
				seen[part] = firmware
			}
			mu.Unlock()
			if i < len(firmwares)-1 {
				return
			}
			g.Reboot(t)
			g.Check(t, firmware)
			if again := g.Identity(t); again != id {
				t.Errorf("a reboot changed the identity from %+v to %+v", id, again)
			}
		})
	}
}
