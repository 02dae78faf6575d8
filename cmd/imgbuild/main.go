// Command imgbuild bakes server images from reviewed recipes and locked
// updates. This package only wires: each command's file reads its flags, calls
// the package that does the work and shows the result.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
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
	// Little of what is allocated lives long, so collecting it less often costs
	// little memory; the environment (GOGC, GOMEMLIMIT) has the last word.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(256 << 20)
	}
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
