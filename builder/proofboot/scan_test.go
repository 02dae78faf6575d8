package proofboot_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"imgbuild/images/report"
)

// holdToScan scans the finished outputs of a version: every file is what its
// signed manifest says, nothing lies in them that must not, and all of them is
// looked at. What the controls say is no matter here.
func holdToScan(t *testing.T, baked *image) {
	for _, form := range []string{"vm", "container"} {
		args := append([]string{"scan", baked.Version, "--form", form, "--output", "json"}, baked.flags...)
		var said bytes.Buffer
		cmd := command(t, args...)
		cmd.Stderr = &said
		out, err := cmd.Output()
		var found report.Report
		if jsonErr := json.Unmarshal(out, &found); jsonErr != nil {
			t.Fatalf("scan of the %s: %v, %v\n%s", form, err, jsonErr, said.Bytes())
		}
		if !found.Compared || found.Report == nil || len(found.Findings) == 0 || found.Files < 5000 {
			t.Errorf("scan of the %s: %d files, compared %v", form, found.Files, found.Compared)
		}
		for _, d := range found.Drift {
			t.Errorf("scan of the %s: %s", form, d)
		}
		for _, s := range found.Strays {
			t.Errorf("scan of the %s: %s", form, s)
		}
		for _, u := range found.Unseen {
			t.Errorf("scan of the %s: %s was not looked at", form, u)
		}
	}
}
