package disk_test

import (
	"fmt"
	"os"
	"testing"

	"imgbuild/builder/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
