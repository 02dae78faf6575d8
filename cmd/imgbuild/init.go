package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/images/fault"
)

func newInitCommand(env *environment) *cobra.Command {
	var rotate bool
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a project: settings, keys and an example baseline of your own",
		Long: `Make a project in DIR (default: here): imgbuild.yaml, baselines/ with an example of
your own, locks/, and keys/ with a signing key (ECDSA P-256) and an OpenPGP key.

Both private keys are encrypted. The password is IMGBUILD_KEY_PASSWORD, or is read
from --key-password-file, or asked for; without a terminal a random one is made
and kept outside the project, readable by you alone. Nothing that is there
already is replaced.

With --rotate-keys there are new keys: for the project in DIR, else for the
nearest one upward, else for you who bake without a project. The old private keys
are gone; what the old key signed until now stays good, by an entry with an end
under trust:, and without a project by itself. A key that somebody else may hold
must be withdrawn too: give its entry withdrawn: REASON. A rotation that was
interrupted goes on when it is run again.`,
		Example: `  imgbuild init acme
  IMGBUILD_KEY_PASSWORD=… imgbuild init acme
  imgbuild init --rotate-keys acme`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if env.projectDir != "" && filepath.Clean(env.projectDir) != filepath.Clean(args[0]) {
					return fault.Inputf("two directories are named: %s and --project %s", args[0], env.projectDir)
				}
				env.projectDir = args[0]
			}
			if rotate {
				return rotateKeys(env)
			}
			dir := cmp.Or(env.projectDir, ".")
			created, err := project.Init(dir, env.projectOptions(), env.ask())
			if err != nil {
				return err
			}
			next := env.command("doctor")
			if dir != "." {
				next = "cd " + filepath.Clean(dir) + " && " + next
			}
			return env.answer(created, func(w io.Writer) { writeCreated(w, created) }, next)
		},
	}
	cmd.Flags().BoolVar(&rotate, "rotate-keys", false, "make new keys and retire the old ones")
	return cmd
}

func rotateKeys(env *environment) error {
	p, err := env.project()
	if err != nil {
		return err
	}
	rotated, err := p.RotateKeys(env.ask(), time.Now())
	if err != nil {
		return err
	}
	next := env.command("images", "list")
	if p.Dir != "" {
		next = "git -C " + p.Dir + " add imgbuild.yaml keys"
	}
	return env.answer(rotated, func(w io.Writer) {
		writeKeys(w, rotated.Keys)
		if rotated.OldKey != "" {
			fmt.Fprintf(w, "the old key is trusted for what it signed until %s (%s)\n", rotated.Until, rotated.OldKey)
		}
	}, next)
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
