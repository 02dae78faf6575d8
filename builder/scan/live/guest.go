package live

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"imgbuild/images/fault"
)

// Guest is where imgbuild-guest is found.
type Guest struct {
	// File is the program itself, "" to look for it in Dirs: there it is called
	// imgbuild-guest-linux-ARCHITECTURE, or imgbuild-guest alone.
	File string
	Dirs []string
}

// maxGuest is the largest program that is sent, in bytes.
const maxGuest = 64 << 20

// GuestBeside is where the program lies for one that was built or installed as
// the file called program.
func GuestBeside(program string) *Guest {
	dir := filepath.Dir(program)
	return &Guest{Dirs: []string{dir, filepath.Join(dir, "..", "libexec", "imgbuild"), filepath.Join(dir, "..", "lib", "imgbuild")}}
}

// load reads the program for an architecture.
func (g *Guest) load(architecture string) ([]byte, error) {
	if g.File != "" {
		program, err := readProgram(g.File)
		if err != nil {
			return nil, err
		}
		if built := machine(program); built != architecture {
			return nil, fault.Inputf("%s is a program for %s, the server is linux/%s", g.File, named(built), architecture)
		}
		return program, nil
	}
	for _, dir := range g.Dirs {
		for _, name := range []string{"imgbuild-guest-linux-" + architecture, "imgbuild-guest"} {
			program, err := readProgram(filepath.Join(dir, name))
			switch {
			case err == nil && machine(program) == architecture:
				return program, nil
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return nil, err
			}
		}
	}
	place := "this program"
	if len(g.Dirs) > 0 {
		place = g.Dirs[0]
	}
	return nil, fault.Inputf("imgbuild-guest for linux/%s, which is sent to the server, does not lie in %s", architecture, place).
		WithHint("build it with make build, or name it with --guest FILE")
}

func readProgram(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading imgbuild-guest: %w", err)
	}
	defer f.Close()
	program, err := io.ReadAll(io.LimitReader(f, maxGuest+1))
	if err != nil {
		return nil, fmt.Errorf("reading imgbuild-guest: %w", err)
	}
	if len(program) > maxGuest {
		return nil, fault.Inputf("%s is larger than %d MiB: no imgbuild-guest", file, maxGuest>>20)
	}
	return program, nil
}

// machine is Debian's name of what a program runs on; "" for none that is known.
func machine(program []byte) string {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return ""
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return ""
}

func named(architecture string) string {
	if architecture == "" {
		return "no Linux that is known"
	}
	return "linux/" + architecture
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
