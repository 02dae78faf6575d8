package host

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"imgbuild/images/fault"
)

// exits holds for each architecture, by Debian's name, machine code for
// exit(0): what a machine must be able to run to bake for it.
var exits = map[string]struct {
	machine elf.Machine
	code    []byte
}{
	"amd64": {elf.EM_X86_64, []byte{
		0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60 (exit)
		0x31, 0xff, // xor edi, edi
		0x0f, 0x05, // syscall
	}},
	"arm64": {elf.EM_AARCH64, []byte{
		0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93 (exit)
		0x00, 0x00, 0x80, 0xd2, // mov x0, #0
		0x01, 0x00, 0x00, 0xd4, // svc #0
	}},
}

// Runs returns nil when this machine can run programs of an architecture,
// itself or by an emulator that its kernel knows. It runs one.
func Runs(ctx context.Context, architecture string) error {
	if architecture == runtime.GOARCH {
		return nil
	}
	exit, known := exits[architecture]
	if !known {
		return fault.Inputf("imgbuild does not bake for %q", architecture)
	}
	dir, err := os.MkdirTemp("", "imgbuild-foreign-")
	if err != nil {
		return fmt.Errorf("probing %s: %w", architecture, err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "exit")
	if err := os.WriteFile(program, executable(exit.machine, exit.code), 0o700); err != nil {
		return fmt.Errorf("probing %s: %w", architecture, err)
	}
	if err := exec.CommandContext(ctx, program).Run(); err != nil {
		return fault.Worldf("this machine (%s) cannot run programs for %s, which installing packages needs", runtime.GOARCH, architecture).
			Because(err).WithHint("bake on an %s machine, or let this one emulate it: %s", architecture, install("qemu-user-static binfmt-support"))
	}
	return nil
}

// executable makes the smallest static program: an ELF header, one segment
// that is the whole file, and code (elf(5)).
func executable(machine elf.Machine, code []byte) []byte {
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	}
	var b bytes.Buffer
	for _, part := range []any{header, segment, code} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			panic(err) // a buffer takes everything, and the parts have fixed sizes
		}
	}
	return b.Bytes()
}
