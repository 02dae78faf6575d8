package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imgbuild/builder/project"
)

// newSettingsTopic is a page of help, not a command.
func newSettingsTopic() *cobra.Command {
	var page strings.Builder
	page.WriteString("Settings come from flags, then IMGBUILD_* variables, then imgbuild.yaml, then this\nmachine's own apt. As a flag, archive.dir is --archive-dir.\n\n")
	for _, s := range project.Settings() {
		_, usage := pflag.UnquoteUsage(&pflag.Flag{Usage: s.Usage, Value: new(text)})
		fmt.Fprintf(&page, "  %s (%s)\n      %s\n", s.Key, s.Variable(), usage)
	}
	page.WriteString("\n  trust (only in imgbuild.yaml)\n      the public keys whose signatures count: name, key, catalog, for, not-after, withdrawn\n")
	fmt.Fprintf(&page, "\n  %s\n      the password of the signing key\n", project.PasswordVariable)
	return &cobra.Command{Use: "settings", Short: "Every setting, variable and flag", Long: page.String()}
}

// text is a flag value that only names its type to UnquoteUsage.
type text string

func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(s); return nil }
func (t *text) Type() string       { return "string" }
