package kernel_test

import (
	"os"
	"strings"
	"testing"

	"imgbuild/provisioners/system"
)

// TestThisMachine reads what the kernel that runs the test says of itself. What
// this machine configures is its own affair.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/sys/kernel/ostype"); err != nil {
		t.Skip("there is no /proc")
	}
	root, err := system.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for value, want := range map[string]bool{"Linux": false, "Hurd": true} {
		said := strings.Join(said(t, sysctl(t, "kernel.ostype", value), root), "\n")
		if got := strings.Contains(said, "/proc/sys/kernel/ostype is Linux, should be "+value); got != want {
			t.Errorf("%s: %s", value, said)
		}
	}
	resources := []resource{argument(t, "no_such_argument", "{}")}
	if _, err := os.Stat("/proc/modules"); err == nil { // some kernels have none
		resources = append(resources, module(t, "no_such_module", "loaded"))
	}
	for _, r := range resources {
		if list := said(t, r, root); len(list) == 0 || !strings.Contains(list[len(list)-1], "/proc/") {
			t.Errorf("%v", list)
		}
	}
}
