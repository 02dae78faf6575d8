package apparmor

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// place is where a statement stands: a file is read whole, or as a part that a
// profile includes. What lies in a directory of a profile's own may be either.
type place int

const (
	outside place = iota
	inside
	anywhere
)

// rule tells what kind of rule begins with a word, by apparmor.d(5): the words
// for access that it takes, and the keys of its conditions. The lists have what
// any version up to 4.1 knows.
type rule struct {
	access, keys string
	// free says that any other word is the name of something.
	free bool
}

const (
	socketAccess = "create bind listen accept connect shutdown getattr setattr getopt setopt send receive r w rw read write"
	socketTypes  = "stream dgram seqpacket rdm raw packet dccp"
	families     = `unix inet ax25 ipx appletalk netrom bridge atmpvc x25 inet6 rose netbeui security key netlink packet ash econet
	atmsvc rds sna irda pppox wanpipe llc ib mpls can tipc bluetooth iucv rxrpc isdn phonet ieee802154 caif alg nfc vsock kcm qipcrtr
	smc xdp mctp unspec`
	protocols    = "tcp udp icmp icmpv6 raw"
	capabilities = `chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
	net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice
	sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm
	block_suspend audit_read perfmon bpf checkpoint_restore`
	limits = "cpu fsize data stack core rss nofile ofile as nproc memlock locks sigpending msgqueue nice rtprio rttime"
)

func rules() map[string]rule {
	mount := rule{keys: "fstype vfstype options option", free: true}
	return map[string]rule{
		"capability": {access: capabilities},
		"network":    {access: socketAccess + " " + socketTypes + " " + families + " " + protocols, keys: "type protocol ip port peer label interface"},
		"mount":      mount, "remount": mount, "umount": mount, "unmount": mount,
		"pivot_root":     {keys: "oldroot", free: true},
		"signal":         {access: "send receive r w rw read write", keys: "set peer"},
		"ptrace":         {access: "trace tracedby read readby r w rw", keys: "peer"},
		"dbus":           {access: "send receive bind eavesdrop r w rw read write", keys: "bus path interface member name label peer"},
		"unix":           {access: socketAccess, keys: "type protocol addr label peer opt attr"},
		"userns":         {access: "create"},
		"io_uring":       {access: "sqpoll override_creds", keys: "label"},
		"mqueue":         {access: "create open delete r w rw read write getattr setattr", keys: "type label", free: true},
		"change_profile": {free: true},
		"all":            {},
	}
}

// ranks are the qualifiers in the order in which a rule has them, one of each.
var ranks = []string{"audit quiet", "deny allow", "owner other"}

// nobodys are kinds of rules about what has no owner.
const nobodys = "capability network mount remount umount unmount pivot_root signal ptrace dbus unix change_profile"

// flagNames are those of profiles; some take a value.
var flagNames = strings.Fields(`audit complain enforce kill prompt unconfined default_allow attach_disconnected no_attach_disconnected
	attach_disconnected.path attach_disconnected.ipc chroot_relative namespace_relative mediate_deleted delegate_deleted chroot_attach
	chroot_no_attach interruptible debug kill.signal error`)

// permissions are those of a file rule: what may be done, and how what is run
// is confined.
var permissions = regexp.MustCompile(`^(?:[rwalmk]|(?:[pc]?[iu]|[pc])?x)+$`)

// priority is a qualifier of AppArmor 4.1.
var priority = regexp.MustCompile(`^priority=[+-]?\d+$`)

// qualifies tells whether a word stands before rules and blocks of them.
func qualifies(word string) bool {
	return slices.Contains(qualifiers, word) || priority.MatchString(word)
}

// check tells why a statement that a comma ends is none of the language.
func check(words []word, where place) error {
	if len(words) == 0 {
		return fmt.Errorf("a comma that ends nothing")
	}
	first := words[0].text
	switch {
	case where != inside && first == "alias" && len(words) == 4 && words[2].text == "->":
		return nil
	case where == outside:
		return fmt.Errorf("%q begins nothing that may stand outside a profile", short(first))
	}
	denied, owned, qualified, rank := false, false, false, 0
	for len(words) > 0 && qualifies(words[0].text) {
		one := words[0].text
		at := 1 + slices.IndexFunc(ranks, func(list string) bool { return among(list, one) })
		if at > 0 && at <= rank {
			return fmt.Errorf("%q does not stand here", one)
		}
		denied, owned, qualified, rank = denied || one == "deny", owned || one == "owner", true, at
		words = words[1:]
	}
	if len(words) == 0 {
		return fmt.Errorf("%q qualifies nothing", short(first))
	}
	first, rest := words[0].text, words[1:]
	if r, known := rules()[first]; known {
		if owned && among(nobodys, first) {
			return fmt.Errorf("%s has no owner", first)
		}
		if first == "change_profile" && len(rest) > 0 && pathname(rest[0]) {
			if err := grouped(rest[0].text); err != nil {
				return err
			}
		}
		if first == "signal" {
			if err := signalled(rest); err != nil {
				return err
			}
		}
		return r.check(first, rest)
	}
	switch first {
	case "set":
		if qualified {
			return fmt.Errorf("a limit is not qualified")
		}
		if len(rest) == 4 && rest[0].text == "rlimit" && among(limits, rest[1].text) && rest[2].text == "<=" {
			return nil
		}
		if len(rest) == 5 && rest[0].text == "rlimit" && among(limits, rest[1].text) && rest[2].text == "<=" { // a unit apart
			return nil
		}
		return fmt.Errorf(`expected "set rlimit NAME <= VALUE"`)
	case "link":
		if len(rest) > 0 && rest[0].text == "subset" {
			rest = rest[1:]
		}
		if len(rest) == 3 && pathname(rest[0]) && rest[1].text == "->" && pathname(rest[2]) {
			return cmp.Or(grouped(rest[0].text), grouped(rest[2].text))
		}
		return fmt.Errorf(`expected "link PATH -> PATH"`)
	case "file":
		if len(rest) == 0 {
			return nil
		}
		return fileRule(rest, denied)
	}
	return fileRule(words, denied)
}

// check reads what follows the first word of a rule.
func (r rule) check(first string, words []word) error {
	for i := 0; i < len(words); i++ {
		w := words[i].text
		key, _, assigned := strings.Cut(w, "=")
		switch next := after(words, i); {
		case strings.HasPrefix(w, "("):
			for _, one := range strings.FieldsFunc(strings.Trim(w, "()"), separates) {
				if !among(r.access, one) {
					return fmt.Errorf("%s knows no %q", first, short(one))
				}
			}
		case assigned && among(r.keys, key):
			if key+"=" == w {
				i++ // its value is apart
			}
		case among(r.keys, w) && (strings.HasPrefix(next, "=") || next == "in"):
			if i++; next == "=" || next == "in" {
				i++
			}
		case among(r.access, w), r.free:
		default:
			return fmt.Errorf("%s knows no %q", first, short(w))
		}
		if i >= len(words) {
			return fmt.Errorf("%s: a condition without a value", first)
		}
	}
	return nil
}

// fileRule reads "PATH PERMISSIONS [-> PROFILE]" or "PERMISSIONS PATH [-> PROFILE]".
func fileRule(words []word, denied bool) error {
	first := words[0].text
	if first == "safe" || first == "unsafe" {
		words = words[1:]
	}
	if len(words) != 2 && (len(words) != 4 || words[2].text != "->") {
		return fmt.Errorf("%q begins no rule", short(first))
	}
	name, granted := words[0], words[1].text
	if !pathname(name) {
		name, granted = words[1], words[0].text
	}
	if err := grouped(name.text); err != nil {
		return err
	}
	switch granted = strings.ToLower(granted); {
	case !pathname(name) || !permissions.MatchString(granted):
		return fmt.Errorf("%q begins no rule", short(first))
	case strings.Contains(granted, "w") && strings.Contains(granted, "a"):
		return fmt.Errorf("the permissions to write and to append exclude one another")
	case !denied && strings.Trim(granted, "rwalmk") == "x":
		return fmt.Errorf("the permission to run a file has to say how")
	}
	return nil
}

// pathname tells whether a word is a pattern of files.
func pathname(w word) bool { return strings.HasPrefix(w.text, "/") || strings.HasPrefix(w.text, "@{") }

func among(list, word string) bool { return slices.Contains(strings.Fields(list), word) }

func separates(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }

func after(words []word, i int) string {
	if i+1 < len(words) {
		return words[i+1].text
	}
	return ""
}

// short is a word in an error.
func short(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
