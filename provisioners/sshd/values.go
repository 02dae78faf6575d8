package sshd

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Values are refused as sshd -t refuses them: with one that it does not take it
// does not start, and what the other lines say counts for nothing. Besides, an
// empty name in a list of algorithms and what follows the numbers of
// MaxStartups are refused here: sshd stops to read there.

// chosen are the words that keywords take, in any case; those that are not here
// take yes and no.
var chosen = map[string]string{
	"AddressFamily":              "any inet inet6",
	"AllowStreamLocalForwarding": "yes no all local remote",
	"AllowTcpForwarding":         "yes no all local remote",
	"Compression":                "yes no delayed",
	"FingerprintHash":            "md5 sha1 sha256 sha384 sha512",
	"GatewayPorts":               "yes no clientspecified",
	"IgnoreRhosts":               "yes no shosts-only",
	"LogLevel":                   "silent quiet fatal error info verbose debug debug1 debug2 debug3",
	"PermitRootLogin":            "yes no prohibit-password without-password forced-commands-only",
	"PermitTunnel":               "yes no point-to-point ethernet",
	"SyslogFacility":             "daemon user auth authpriv local0 local1 local2 local3 local4 local5 local6 local7",
}

// later are the keywords that OpenSSH 9.2 does not know.
var later = strings.Fields("PAMServiceName PerSourcePenalties PerSourcePenaltyExemptList RefuseConnection SshdAuthPath SshdSessionPath")

// Words of single keywords.
const (
	methods   = "none publickey password keyboard-interactive hostbased gssapi-with-mic gssapi-keyex"
	services  = `none ef le lowdelay throughput reliability af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43 cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7`
	penalties = "crash authfail noauth grace-exceeded refuseconnection max min"
	exchanges = `gss-gex-sha1- gss-group1-sha1- gss-group14-sha1- gss-group14-sha256- gss-group16-sha512- gss-nistp256-sha256- gss-curve25519-sha256-`
)

var (
	rekeySize = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?[bkmgtpeBKMGTPE]?$`)
	octalMask = regexp.MustCompile(`^[0-7]+$`)
	netBlocks = regexp.MustCompile(`^([0-9]+)(:([0-9]+))?$`)
)

// check tells why every one of some versions refuses the arguments of a line.
func (k *keyword) check(args []string, versions []*release) error {
	var err error
	for _, rel := range versions {
		if err = k.checkFor(args, rel); err == nil {
			return nil
		}
	}
	return err
}

func (k *keyword) checkFor(args []string, rel *release) error {
	if rel.debian == "12" && slices.Contains(later, k.name) {
		return fmt.Errorf("%s does not know it", rel.name)
	}
	if k.name != "ForceCommand" && k.name != "VersionAddendum" && slices.Contains(args, "") {
		return fmt.Errorf("it has an empty argument")
	}
	first := args[0]
	refuse := fmt.Errorf("it cannot have the value %q", shown(strings.Join(args, " ")))
	if holds, has := special[k.name]; has {
		if !holds(args) {
			return refuse
		}
		return nil
	}
	switch k.kind {
	case word:
		list, has := chosen[k.name]
		if !has {
			list = "yes no"
		}
		if k.name != "KerberosGetAFSToken" && !oneOf(list, strings.ToLower(first)) {
			return fmt.Errorf("it is one of %s, not %q", strings.ReplaceAll(list, " ", ", "), shown(first))
		}
	case number:
		if _, ok := decimal(first); !ok && (k.name != "PerSourceMaxStartups" || first != "none") {
			return fmt.Errorf("%q is no number", shown(first))
		}
	case span:
		if _, ok := seconds(first); !ok && (k.name != "UnusedConnectionTimeout" || first != "none") {
			return fmt.Errorf("%q is no length of time", shown(first))
		}
	case startups:
		n, ok := k.measure(first)
		if !ok || n[0] < 1 || n[0] > n[2] || n[1] < 1 || n[1] > 100 {
			return refuse
		}
	case algorithms:
		return k.checkAlgorithms(first, rel)
	}
	return nil
}

// checkAlgorithms reads a list of them. What - takes away need not be there;
// types of keys may be patterns.
func (k *keyword) checkAlgorithms(text string, rel *release) error {
	change := text[0] == '+' || text[0] == '-' || text[0] == '^'
	list := strings.Split(strings.TrimLeft(text[:1], "+-^")+text[1:], ",")
	patterns := strings.HasSuffix(k.name, "Algorithms") && k.name != "KexAlgorithms"
	for _, one := range list {
		switch {
		case one == "":
			return fmt.Errorf("a name is missing in the list %q", shown(text))
		case change && text[0] == '-', slices.Contains(rel.algorithms[k.name], one):
		case patterns && slices.ContainsFunc(rel.algorithms[k.name], func(name string) bool { return like(one, name) }):
		default:
			return fmt.Errorf("%s has no algorithm %q", rel.name, shown(one))
		}
	}
	return nil
}

// special are the keywords whose arguments have a form of their own; the
// arguments are not empty.
var special = map[string]func(args []string) bool{
	"AcceptEnv": func(args []string) bool {
		return !slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "=") })
	},
	"AllowUsers": userPatterns,
	"DenyUsers":  userPatterns,
	"AuthenticationMethods": func(args []string) bool {
		return slices.Equal(args, []string{"any"}) || every(args, func(list string) bool {
			return every(strings.Split(list, ","), func(one string) bool {
				name, _, _ := strings.Cut(one, ":")
				return oneOf(methods, name)
			})
		})
	},
	"AuthorizedKeysCommand":       command,
	"AuthorizedPrincipalsCommand": command,
	"ChannelTimeout": func(args []string) bool {
		return len(args) == 1 && strings.EqualFold(args[0], "none") || every(args, func(one string) bool {
			name, span, ok := strings.Cut(one, "=")
			_, timed := seconds(span)
			return ok && name != "" && timed
		})
	},
	"GSSAPIKexAlgorithms": func(args []string) bool {
		return every(strings.Split(args[0], ","), func(one string) bool { return oneOf(exchanges, one) })
	},
	"HostCertificate": alone,
	"HostKey":         alone,
	"IPQoS": func(args []string) bool {
		return len(args) <= 2 && every(args, func(one string) bool {
			return oneOf(services, strings.ToLower(one)) || within(one, 0, 255)
		})
	},
	"ListenAddress": listens,
	"PerSourceNetBlockSize": func(args []string) bool {
		parts := netBlocks.FindStringSubmatch(args[0])
		return parts != nil && within(parts[1], 0, 32) && (parts[3] == "" || within(parts[3], 0, 128))
	},
	"PerSourcePenalties": func(args []string) bool {
		if len(args) == 1 && oneOf("yes no", args[0]) {
			return true
		}
		return every(args, func(one string) bool {
			name, value, _ := strings.Cut(one, ":")
			_, timed := seconds(value)
			_, counted := decimal(value)
			return oneOf(penalties, name) && timed || oneOf("max-sources4 max-sources6", name) && counted ||
				oneOf("overflow overflow6", name) && oneOf("deny-all permissive", value)
		})
	},
	"PerSourcePenaltyExemptList": func(args []string) bool { return every(args, addressList) },
	"PermitListen": func(args []string) bool {
		return permits(args, func(one string) bool { return port(one) || one == "*" })
	},
	"PermitOpen": func(args []string) bool { return permits(args, func(string) bool { return false }) },
	"Port":       func(args []string) bool { return alone(args) && port(args[0]) },
	"PubkeyAuthOptions": func(args []string) bool {
		return every(args, func(one string) bool {
			return oneOf("none touch-required verify-required", strings.ToLower(one))
		})
	},
	"RDomain": func([]string) bool { return false }, // not of Linux
	"RekeyLimit": func(args []string) bool {
		if len(args) == 2 && args[1] != "none" {
			if _, ok := seconds(args[1]); !ok {
				return false
			}
		}
		size := strings.TrimRight(args[0], "bB")
		n, err := strconv.ParseFloat(size, 64)
		return len(args) <= 2 && (args[0] == "default" || rekeySize.MatchString(args[0]) && (err != nil || n == 0 || n >= 16))
	},
	"SetEnv": func(args []string) bool {
		return every(args, func(one string) bool { return strings.Index(one, "=") > 0 })
	},
	"StreamLocalBindMask": func(args []string) bool {
		n, err := strconv.ParseInt(args[0], 8, 32)
		return octalMask.MatchString(args[0]) && err == nil && n <= 0o777
	},
	"Subsystem": func(args []string) bool { return len(args) >= 2 },
}

func every(list []string, holds func(string) bool) bool {
	return !slices.ContainsFunc(list, func(one string) bool { return !holds(one) })
}

func oneOf(list, word string) bool { return slices.Contains(strings.Fields(list), word) }

func alone(args []string) bool { return len(args) == 1 }

func within(text string, least, most int64) bool {
	n, ok := decimal(text)
	return ok && n >= least && n <= most
}

func port(text string) bool { return within(text, 1, 65535) && text[0] != '+' }

// command is a program by its absolute path, or none.
func command(args []string) bool {
	return len(args) == 1 && strings.EqualFold(args[0], "none") || strings.HasPrefix(args[0], "/")
}

// permits are the addresses of PermitOpen and PermitListen, or one word; other
// forms of one are those that other takes.
func permits(args []string, other func(string) bool) bool {
	if oneOf("any none", args[0]) {
		return len(args) == 1
	}
	return every(args, func(one string) bool {
		if other(one) {
			return true
		}
		host, number, ok := hostPort(one)
		return ok && host != "" && (port(number) || number == "*")
	})
}

// hostPort takes host:port apart; an address of IPv6 stands in brackets.
func hostPort(text string) (host, number string, ok bool) {
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 || !strings.HasPrefix(text[end+1:], ":") {
			return "", "", false
		}
		return text[1:end], text[end+2:], true
	}
	host, number, ok = strings.Cut(text, ":")
	return host, number, ok
}

// listens is a name or address, with a port or without. Whether a name is one
// is known when sshd starts.
func listens(args []string) bool {
	if len(args) != 1 {
		return false
	}
	text := args[0]
	if _, err := netip.ParseAddr(text); err == nil || !strings.ContainsAny(text, "[]:") {
		return true
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		_, err := netip.ParseAddr(text[1 : len(text)-1])
		return err == nil
	}
	host, number, ok := hostPort(text)
	return ok && host != "" && port(number)
}

// userPatterns are names, or names and where they come from behind an @.
func userPatterns(args []string) bool {
	return every(args, func(one string) bool {
		at := strings.LastIndexByte(one, '@')
		return at < 0 || addressList(one[at+1:])
	})
}

// addressList is patterns and networks with commas between them. A network has
// no bits behind its mask.
func addressList(text string) bool {
	return every(strings.Split(text, ","), func(one string) bool {
		one = strings.TrimPrefix(one, "!")
		address, _, masked := strings.Cut(one, "/")
		if _, err := netip.ParseAddr(address); !masked || err != nil {
			return one != ""
		}
		network, err := netip.ParsePrefix(one)
		return err == nil && network == network.Masked()
	})
}

// together tells why sshd refuses lines that it takes each alone.
func (c *config) together() error {
	always := func(name string) []*line {
		return c.collect(c.known.find(name), func(l *line) bool { return l.always() })
	}
	for _, name := range []string{"AuthorizedKeysCommand", "AuthorizedPrincipalsCommand"} {
		if all := always(name); len(all) > 0 && !strings.EqualFold(all[0].args[0], "none") && len(always(name+"User")) == 0 {
			return fmt.Errorf("reading %s, which sshd would refuse: %s without %sUser", all[0], name, name)
		}
	}
	lists := always("AuthenticationMethods")
	if len(lists) == 0 || lists[0].args[0] == "any" {
		return nil
	}
	rel := c.versions[len(c.versions)-1]
	off := func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(one string) bool {
			name, _, _ := strings.Cut(one, ":")
			switcher := map[string]string{
				"publickey": "PubkeyAuthentication", "password": "PasswordAuthentication", "keyboard-interactive": "KbdInteractiveAuthentication",
				"hostbased": "HostbasedAuthentication", "gssapi-with-mic": "GSSAPIAuthentication", "gssapi-keyex": "GSSAPIAuthentication",
			}[name]
			return switcher != "" && c.effective(c.known.find(switcher), rel, forEveryone).text == "no"
		})
	}
	if every(lists[0].args, off) {
		return fmt.Errorf("reading %s, which sshd would refuse: every list of AuthenticationMethods has a method that is switched off", lists[0])
	}
	return nil
}

// subsystem tells why OpenSSH 9.2 refuses where a subsystem stands.
func (c *config) subsystem(l *line) error {
	switch {
	case l.keyword.name != "Subsystem" || c.versions[len(c.versions)-1].debian != "12":
	case !l.always():
		return fmt.Errorf("a subsystem is not allowed in a Match block")
	case c.subsystems[l.args[0]]:
		return fmt.Errorf("the subsystem %s is there already", shown(l.args[0]))
	}
	c.subsystems[l.args[0]] = true
	return nil
}
