// Command imgbuild bakes server images from reviewed recipes and locked
// updates. This package only wires: each command's file reads its flags, calls
// the package that does the work and shows the result.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"imgbuild/builder/sandbox"
)

// version is set by the linker: -X main.version=1.2.3.
var version = "devel"

func main() {
	sandbox.Init()
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	go func() {
		<-ctx.Done()
		// A terminal and the process outside the sandbox both deliver one
		// Ctrl-C; only a later one is a second wish, and ends at once.
		time.Sleep(time.Second)
		stop()
	}()
	env := newEnvironment(os.Args[0], os.Stdin, os.Stdout, os.Stderr)
	return env.execute(ctx, os.Args[1:])
}
