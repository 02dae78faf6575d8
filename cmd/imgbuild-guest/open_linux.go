package main

import (
	"syscall"

	"imgbuild/provisioners/system"
)

// hangup ends the program when the connection that started it is gone.
const hangup = syscall.SIGHUP

// open opens the system that is asked about. "/" has what the kernel says of
// itself below /proc and /sys.
func open(root string) (system.System, func() error, error) {
	s, err := system.OpenRoot(root)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}
