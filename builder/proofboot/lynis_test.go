package proofboot_test

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/images/peertest"
)

// lynisWants is the hardening index that a server has at least; stock Debian 12
// has 53.
const lynisWants = 80

// TestLynis has an auditor that knows nothing of the benchmarks look at the
// running server: Debian's Lynis, unpacked where only root gets. On an emulated
// machine it takes a quarter of an hour and more: make lynis asks for it.
func TestLynis(t *testing.T) {
	if os.Getenv("IMGBUILD_TEST_LYNIS") == "" {
		t.Skip("it takes too long; make lynis runs it")
	}
	peertest.Need(t, "qemu-system-x86_64", "qemu-img", "ssh", "tar")
	reach(t, "bookworm")
	lynis := peertest.Unpack(t, "lynis")
	baked := bake(t, "debian-12-nginx")
	m := tryMachine(t, baked, launch.BIOS, &hypervisor{})
	m.running(t, "")
	packed := tool(t, "tar", "-C", lynis.Dir, "-c", "--owner=0", "--group=0", "etc/lynis", "usr/sbin/lynis", "usr/share/lynis")
	const unpack = `sudo sh -c 'umask 077; mkdir /root/lynis && cd /root/lynis && tar -x --no-same-permissions &&
mv usr/share/lynis/* usr/sbin/lynis etc/lynis/default.prf . && mkdir -p plugins'`
	if out, said, err := m.remote(unpack, bytes.NewReader(packed)); err != nil {
		t.Fatalf("%v\n%s%s", err, out, said)
	}
	out, said, err := m.remote("sudo sh -c 'cd /root/lynis && ./lynis audit system --quick --no-colors'", nil)
	index := regexp.MustCompile(`Hardening index : (\d+)`).FindStringSubmatch(out)
	if index == nil {
		t.Fatalf("Lynis gives no index: %v\n%s%s", err, out, said)
	}
	t.Logf("hardening index %s\n%s", index[1], out)
	if got, err := strconv.Atoi(index[1]); err != nil || got < lynisWants {
		t.Errorf("the hardening index is %s, at least %d is wanted", index[1], lynisWants)
	}
}
