package launch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"imgbuild/images/fault"
)

// Firmware is what a virtual machine boots with.
type Firmware string

// The firmwares. The empty one is BIOS on amd64 and UEFI elsewhere.
const (
	BIOS       Firmware = "bios"
	UEFI       Firmware = "uefi"
	SecureBoot Firmware = "secureboot"
)

// platform is how QEMU is started for one architecture and firmware.
type platform struct {
	program, pkg string
	machine      string
	// code is read-only firmware, vars the template of its variables; both are
	// empty for a PC BIOS.
	code, vars, firmwarePkg string
	globals                 []string
}

// platformFor knows Debian's names of programs and firmware files.
func platformFor(architecture string, f Firmware) (platform, error) {
	switch {
	case architecture == "amd64":
		p := platform{program: "qemu-system-x86_64", pkg: "qemu-system-x86", machine: "q35", firmwarePkg: "ovmf"}
		switch f {
		case BIOS, "":
			return p, nil
		case UEFI:
			p.code, p.vars = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
			return p, nil
		case SecureBoot:
			// The .ms variables hold the keys that Debian's shim is signed with.
			p.code, p.vars = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
			p.machine += ",smm=on"
			p.globals = []string{"driver=cfi.pflash01,property=secure,value=on", "ICH9-LPC.disable_s3=1"}
			return p, nil
		}
	case architecture == "arm64" && (f == UEFI || f == ""):
		return platform{
			program: "qemu-system-aarch64", pkg: "qemu-system-arm", machine: "virt", firmwarePkg: "qemu-efi-aarch64",
			code: "/usr/share/AAVMF/AAVMF_CODE.fd", vars: "/usr/share/AAVMF/AAVMF_VARS.fd",
		}, nil
	}
	return platform{}, fault.Inputf("no virtual machine of architecture %s with firmware %q can be run", architecture, f)
}

// firmwareArguments copies the variables into dir, where the guest may change
// them, and gives QEMU's arguments.
func (p platform) firmwareArguments(dir string) ([]string, error) {
	if p.code == "" {
		return nil, nil
	}
	vars := filepath.Join(dir, "vars.fd")
	if err := copyFile(vars, p.vars); os.IsNotExist(err) {
		return nil, missing(p.vars, p.firmwarePkg)
	} else if err != nil {
		return nil, fmt.Errorf("preparing the firmware: %w", err)
	}
	args := []string{
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + p.code,
		"-drive", "if=pflash,unit=1,format=raw,file=" + comma(vars),
	}
	for _, g := range p.globals {
		args = append(args, "-global", g)
	}
	return args, nil
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
