package disk

import (
	"fmt"
	"strings"

	"imgbuild/images/fault"
)

// MenuPath is where the one configuration of GRUB lies, for BIOS and UEFI.
const MenuPath = "boot/grub/grub.cfg"

// PasswordPath is where a server's own file may say GRUB2_PASSWORD=grub.pbkdf2…,
// as grub-mkpasswd-pbkdf2(1) prints it: with it, editing an entry and GRUB's
// command line ask for user root and that password. No image has the file: it
// comes with a server's user data, or not at all.
const PasswordPath = "boot/grub/user.cfg"

// menuHead sets up both consoles and the password, if there is one. The console of UEFI firmware is on its serial
// port already; a PC BIOS needs GRUB's own driver, where there is a port.
const menuHead = `set default=0
set timeout=1
if [ "$grub_platform" = "pc" ]; then
  set gfxpayload=text
  if serial --unit=0 --speed=115200; then
    terminal_input console serial
    terminal_output console serial
  fi
fi
search --no-floppy --fs-uuid --set=root %s
if [ -f /boot/grub/user.cfg ]; then
  source /boot/grub/user.cfg
fi
if [ -n "$GRUB2_PASSWORD" ]; then
set superusers="root"
export superusers
password_pbkdf2 root "$GRUB2_PASSWORD"
fi
`

// Menu gives /boot/grub/grub.cfg: one entry for each kernel of releases, the
// first one the default, which boots without a password. arguments are words of the kernel's command line; none
// may hold what GRUB's script language would take apart.
func Menu(l Layout, releases, arguments []string) ([]byte, error) {
	root, err := l.root()
	if err != nil {
		return nil, err
	}
	for _, a := range arguments {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("'\"\\$;&|<>{}()#`", r) }) {
			return nil, fault.Inputf("kernel argument %q: empty, or it holds a blank or a character that GRUB takes apart", a)
		}
	}
	words := strings.Join(append([]string{"root=UUID=" + root.FileSystem.UUID, "ro"}, arguments...), " ")
	var b strings.Builder
	fmt.Fprintf(&b, menuHead, root.FileSystem.UUID)
	for _, r := range releases {
		fmt.Fprintf(&b, "menuentry 'Linux %s' --id '%s' --unrestricted {\n  linux /boot/vmlinuz-%s %s\n  initrd /boot/initrd.img-%s\n}\n", r, r, r, words, r)
	}
	return []byte(b.String()), nil
}
