package openscap_test

import (
	"fmt"
	"os"
	"testing"

	"imgbuild/builder/sandbox"
)

// TestMain moves the tests into the namespaces that a scan with a second opinion
// runs in, for root and for an ordinary user alike.
func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
