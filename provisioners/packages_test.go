package provisioners_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners"
)

// TestPackagesThatResourcesWant is what a planner asks before anything is
// locked.
func TestPackagesThatResourcesWant(t *testing.T) {
	resources, err := decode(t, "packages:\n  telnetd: absent\n  chrony: {present: true, or: [systemd-timesyncd]}\n  auditd: present\n  nis: {absent: true}\nservices: {x: masked}")
	if err != nil {
		t.Fatal(err)
	}
	present, absent := provisioners.Packages(resources)
	if diff := cmp.Diff([][]string{{"auditd"}, {"chrony", "systemd-timesyncd"}}, present); diff != "" {
		t.Errorf("present (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"nis", "telnetd"}, absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
}
