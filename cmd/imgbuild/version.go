package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says which program this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show which imgbuild this is",
		Long:    "Show the version, the revision it was built from where that is known, and the Go\nthat built it.",
		Example: "  imgbuild version\n  imgbuild version --output json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, setting := range info.Settings {
					if setting.Key == "vcs.revision" {
						b.Revision = setting.Value
					}
				}
			}
			return env.answer(b, func(w io.Writer) {
				from := ""
				if b.Revision != "" {
					from = "revision " + b.Revision + ", "
				}
				fmt.Fprintf(w, "imgbuild %s (%s%s, %s)\n", b.Version, from, b.Go, b.Platform)
			}, env.command("doctor"))
		},
	}
}
