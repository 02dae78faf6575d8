//go:build !linux

package main

import (
	"runtime"
	"syscall"

	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// hangup is the signal of a connection that is gone.
const hangup = syscall.SIGHUP

// open knows no live system but Linux yet.
func open(string) (system.System, func() error, error) {
	return nil, nil, fault.Failedf("imgbuild-guest cannot look at %s yet: it knows the files of Linux systems only", runtime.GOOS)
}
