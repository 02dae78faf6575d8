// Command dpkg stands for /bin/sh in the small Debian of the scripts: whatever it is
// told to run, all packages are configured then.
package main

import (
	"bytes"
	"fmt"
	"os"
)

func main() {
	const status = "/var/lib/dpkg/status"
	data, err := os.ReadFile(status)
	if err == nil {
		err = os.WriteFile(status, bytes.ReplaceAll(data, []byte("install ok unpacked"), []byte("install ok installed")), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
