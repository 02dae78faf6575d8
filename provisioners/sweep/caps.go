package sweep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// capabilityNames are those of capabilities(7) by number
// (include/uapi/linux/capability.h).
var capabilityNames = strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
	net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct
	sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
	mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`)

// describe names the capabilities of a security.capability attribute: a word
// of magic, then pairs of permitted and inheritable words, low ones first, all
// little-endian (struct vfs_cap_data).
func describe(value string) string {
	data := []byte(value)
	pairs := 0
	if len(data) >= 4 {
		switch binary.LittleEndian.Uint32(data) >> 24 {
		case 1:
			pairs = 1
		case 2, 3:
			pairs = 2
		}
	}
	if pairs == 0 || len(data) < 4+8*pairs {
		return fmt.Sprintf("%d bytes of an unknown form", len(data))
	}
	var names []string
	for i := range pairs {
		at := data[4+8*i:]
		set := binary.LittleEndian.Uint32(at) | binary.LittleEndian.Uint32(at[4:])
		for bit := range 32 {
			if set&(1<<bit) == 0 {
				continue
			}
			name := fmt.Sprint(32*i + bit)
			if number := 32*i + bit; number < len(capabilityNames) {
				name = capabilityNames[number]
			}
			names = append(names, "cap_"+name)
		}
	}
	if names == nil {
		return "an empty set"
	}
	return strings.Join(names, ",")
}

// gone tells that a file was removed while a live host was looked at.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
