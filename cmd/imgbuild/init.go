package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
)

func newInitCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a project: settings, keys and an example baseline of your own",
		Long: `Make a project in DIR (default: here): imgbuild.yaml, baselines/ with an example of
your own, locks/, and keys/ with a signing key (ECDSA P-256) and an OpenPGP key.

Both private keys are encrypted. The password is IMGBUILD_KEY_PASSWORD, or is read
from --key-password-file, or asked for; without a terminal a random one is made
and kept outside the project, readable by you alone. Nothing that is there
already is replaced.`,
		Example: "  imgbuild init acme\n  IMGBUILD_KEY_PASSWORD=… imgbuild init acme",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			created, err := project.Init(dir, env.projectOptions(), env.ask())
			if err != nil {
				return err
			}
			next := "imgbuild doctor"
			if dir != "." {
				next = "cd " + filepath.Clean(dir) + " && " + next
			}
			return env.answer(created, func(w io.Writer) { writeCreated(w, created) }, next)
		},
	}
}

func writeCreated(w io.Writer, c *project.Created) {
	fmt.Fprintf(w, "made a project in %s\n", c.Dir)
	for _, file := range c.Files {
		fmt.Fprintf(w, "  %s\n", file)
	}
	writeKeys(w, c.Keys)
}

func writeKeys(w io.Writer, k *project.NewKeys) {
	fmt.Fprintf(w, "made keys in %s\n  signing key  %s\n  OpenPGP key  %s\n", k.Dir, k.SigningID, k.OpenPGPFingerprint)
	if k.PasswordFile != "" {
		fmt.Fprintf(w, "their password was made up; it is kept in %s: back it up\n", k.PasswordFile)
	}
}
