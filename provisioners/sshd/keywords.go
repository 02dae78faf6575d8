package sshd

import (
	"slices"
	"strconv"
	"strings"
)

// kind is how sshd understands the arguments of a keyword.
type kind int

const (
	// text is one argument, as it stands.
	text kind = iota
	// word is one of a few words in any case.
	word
	// number is a whole decimal number.
	number
	// span is a length of time in seconds, or with units: sshd_config(5), TIME
	// FORMATS.
	span
	// algorithms are a list of names with commas, or a change to the default
	// list: +, - or ^ before it.
	algorithms
	// startups are three numbers with colons: MaxStartups.
	startups
	// words are all arguments of the first line.
	words
	// sum are all arguments of all lines.
	sum
)

// keyword is one word of sshd_config(5).
type keyword struct {
	name string
	kind kind
	// match is true of keywords that are allowed in a Match block.
	match bool
}

// The keywords of OpenSSH 9.2 and 10.0 as Debian builds them, by kind; those
// after the bar are allowed in Match blocks (9.2 takes PAMServiceName,
// RefuseConnection and Subsystem for global ones, which it refuses there).
var spelled = map[kind]string{
	word: `AddressFamily Compression DebianBanner FingerprintHash GSSAPICleanupCredentials GSSAPIKeyExchange
		GSSAPIStoreCredentialsOnRekey GSSAPIStrictAcceptorCheck IgnoreUserKnownHosts KerberosGetAFSToken KerberosOrLocalPasswd
		KerberosTicketCleanup PrintLastLog PrintMotd StrictModes SyslogFacility TCPKeepAlive UseDNS UsePAM |
		AllowAgentForwarding AllowStreamLocalForwarding AllowTcpForwarding DisableForwarding ExposeAuthInfo GatewayPorts
		GSSAPIAuthentication HostbasedAuthentication HostbasedUsesNameFromPacketOnly IgnoreRhosts KbdInteractiveAuthentication
		KerberosAuthentication LogLevel PasswordAuthentication PermitEmptyPasswords PermitRootLogin PermitTTY PermitTunnel
		PermitUserRC PubkeyAuthentication RefuseConnection StreamLocalBindUnlink X11Forwarding X11UseLocalhost`,
	number:     `PerSourceMaxStartups | ClientAliveCountMax MaxAuthTries MaxSessions RequiredRSASize X11DisplayOffset`,
	span:       `LoginGraceTime | ClientAliveInterval UnusedConnectionTimeout`,
	algorithms: `Ciphers HostKeyAlgorithms KexAlgorithms MACs | CASignatureAlgorithms HostbasedAcceptedAlgorithms PubkeyAcceptedAlgorithms`,
	startups:   `MaxStartups |`,
	text: `GSSAPIKexAlgorithms HostKeyAgent ModuliFile PerSourceNetBlockSize PermitUserEnvironment PidFile SecurityKeyProvider
		SshdAuthPath SshdSessionPath XAuthLocation | AuthorizedKeysCommandUser AuthorizedPrincipalsCommandUser
		AuthorizedPrincipalsFile Banner ChrootDirectory PAMServiceName RDomain RevokedKeys StreamLocalBindMask TrustedUserCAKeys`,
	words: `PerSourcePenaltyExemptList VersionAddendum | AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysFile
		AuthorizedPrincipalsCommand ChannelTimeout ForceCommand IPQoS LogVerbose PermitListen PermitOpen PubkeyAuthOptions
		RekeyLimit SetEnv`,
	sum: `HostCertificate HostKey ListenAddress PerSourcePenalties Port |
		AcceptEnv AllowGroups AllowUsers DenyGroups DenyUsers Subsystem`,
}

// renamed are other names of keywords.
var renamed = map[string]string{
	"challengeresponseauthentication": "kbdinteractiveauthentication",
	"dsaauthentication":               "pubkeyauthentication",
	"gssapicleanupcreds":              "gssapicleanupcredentials",
	"hostbasedacceptedkeytypes":       "hostbasedacceptedalgorithms",
	"hostdsakey":                      "hostkey",
	"pubkeyacceptedkeytypes":          "pubkeyacceptedalgorithms",
	"skeyauthentication":              "kbdinteractiveauthentication",
}

// ignored are keywords that sshd knows and does nothing with.
var ignored = strings.Fields(`afstokenpassing authorizedkeysfile2 checkmail gssapiusesessioncredcache gssusesessionccache
	kerberostgtpassing keyregenerationinterval pamauthenticationviakbdint permitblacklistedkeys protocol reversemappingcheck
	rhostsauthentication rhostsrsaauthentication rsaauthentication serverkeybits uselogin useprivilegeseparation verifyreversemapping`)

// vocabulary are the keywords by name in lower case, other names included.
type vocabulary map[string]*keyword

func newVocabulary() vocabulary {
	v := vocabulary{}
	for kind, list := range spelled {
		global, match, _ := strings.Cut(list, "|")
		for i, part := range []string{global, match} {
			for _, one := range strings.Fields(part) {
				v[strings.ToLower(one)] = &keyword{name: one, kind: kind, match: i == 1}
			}
		}
	}
	for other, name := range renamed {
		v[other] = v[name]
	}
	return v
}

// find returns the keyword of a name in any case, nil when there is none.
func (v vocabulary) find(name string) *keyword { return v[strings.ToLower(name)] }

// find is for one name alone.
func find(name string) *keyword { return newVocabulary().find(name) }

// names are all keywords, for suggestions.
func names() []string {
	var list []string
	for _, part := range spelled {
		list = append(list, strings.Fields(strings.ReplaceAll(part, "|", " "))...)
	}
	slices.Sort(list)
	return list
}

// single tells whether a line of the keyword has one argument and no more.
func (k *keyword) single() bool { return k.kind != words && k.kind != sum }

// synonyms are words that mean the same, by keyword.
var synonyms = map[string]map[string]string{
	"PermitRootLogin":            {"without-password": "prohibit-password"},
	"Compression":                {"delayed": "yes"},
	"AllowTcpForwarding":         {"all": "yes"},
	"AllowStreamLocalForwarding": {"all": "yes"},
	"LogLevel":                   {"debug1": "debug", "silent": "quiet"},
}

// canonical writes a value of one argument in the one way that values are
// compared and shown in. What it cannot read stays as it is, equal to nothing
// else.
func (k *keyword) canonical(value string) string {
	switch k.kind {
	case word:
		lower := strings.ToLower(value)
		if other, ok := synonyms[k.name][lower]; ok {
			lower = other
		}
		if k.name == "LogLevel" || k.name == "SyslogFacility" || k.name == "FingerprintHash" {
			return strings.ToUpper(lower)
		}
		return lower
	case number:
		if n, ok := decimal(value); ok {
			return strconv.FormatInt(n, 10)
		}
	case span:
		if n, ok := seconds(value); ok {
			return strconv.FormatInt(n, 10)
		}
	case startups:
		if n, ok := k.measure(value); ok {
			return strconv.FormatInt(n[0], 10) + ":" + strconv.FormatInt(n[1], 10) + ":" + strconv.FormatInt(n[2], 10)
		}
	}
	if strings.EqualFold(value, "none") {
		return "none"
	}
	return value
}

// measure reads the numbers that bounds are compared with.
func (k *keyword) measure(value string) ([]int64, bool) {
	switch k.kind {
	case span:
		n, ok := seconds(value)
		return []int64{n}, ok
	case startups:
		parts := strings.Split(value, ":")
		if len(parts) == 1 {
			// Refuse all above the number.
			parts = []string{value, "30", value}
		}
		var list []int64
		for _, part := range parts {
			n, ok := decimal(part)
			if !ok {
				return nil, false
			}
			list = append(list, n)
		}
		return list, len(list) == 3
	}
	n, ok := decimal(value)
	return []int64{n}, ok
}

func decimal(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return n, err == nil && n >= 0
}

// seconds reads a length of time: numbers with units s, m, h, d and w, or none
// for seconds, added up.
func seconds(text string) (int64, bool) {
	total := int64(0)
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, ok := decimal(rest[:digits])
		if !ok {
			return 0, false
		}
		rest = rest[digits:]
		if rest != "" {
			unit, ok := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[rest[0]|0x20]
			if !ok {
				return 0, false
			}
			n, rest = n*unit, rest[1:]
		}
		if total += n; total > 1<<31-1 {
			return 0, false
		}
	}
	return total, text != ""
}
