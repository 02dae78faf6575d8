package sshd

import "strings"

// release is a version of OpenSSH with what it does unless it is told.
type release struct {
	// debian is the VERSION_ID of the Debian release that has it; os-release(5).
	debian, name string
	defaults     map[string]string
	// algorithms are those that are built in, in the order in which patterns
	// find them.
	algorithms map[string][]string
}

// releases are the versions that are known, with Debian's changes. Defaults
// are what these print, without a configuration file and with one host key:
//
//	sshd -T -f /dev/null      openssh-server 1:9.2p1-2+deb12u10 and 1:10.0p1-7+deb13u4
//
// DebianBanner is not printed by 9.2; its default is in Debian's
// sshd_config(5). The algorithms are what ssh -Q lists.
func releases() []*release {
	return []*release{
		{debian: "12", name: "OpenSSH 9.2", defaults: defaultsOf(bookworm()), algorithms: algorithmsOf(
			kex, strings.Replace(keys, "ssh-rsa ", "ssh-dss ssh-dss-cert-v01@openssh.com ssh-rsa ", 1))},
		{debian: "13", name: "OpenSSH 10.0", defaults: defaultsOf(trixie()), algorithms: algorithmsOf(
			kex+" mlkem768x25519-sha256", keys)},
	}
}

func defaultsOf(own map[string]string) map[string]string {
	all := shared()
	for name, value := range own {
		all[name] = value
	}
	return all
}

func algorithmsOf(kex, keys string) map[string][]string {
	return map[string][]string{
		"Ciphers": strings.Fields(ciphers), "MACs": strings.Fields(macs), "KexAlgorithms": strings.Fields(kex),
		"HostKeyAlgorithms": strings.Fields(keys), "PubkeyAcceptedAlgorithms": strings.Fields(keys),
		"HostbasedAcceptedAlgorithms": strings.Fields(keys), "CASignatureAlgorithms": strings.Fields(keys),
	}
}

const (
	ciphers = `3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com aes256-gcm@openssh.com
	chacha20-poly1305@openssh.com`
	macs = `hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96 umac-64@openssh.com umac-128@openssh.com
	hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com
	hmac-md5-etm@openssh.com hmac-md5-96-etm@openssh.com umac-64-etm@openssh.com umac-128-etm@openssh.com`
	kex = `diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256 diffie-hellman-group16-sha512
	diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha1 diffie-hellman-group-exchange-sha256 ecdh-sha2-nistp256
	ecdh-sha2-nistp384 ecdh-sha2-nistp521 curve25519-sha256 curve25519-sha256@libssh.org sntrup761x25519-sha512
	sntrup761x25519-sha512@openssh.com`
	keys = `ssh-ed25519 ssh-ed25519-cert-v01@openssh.com sk-ssh-ed25519@openssh.com sk-ssh-ed25519-cert-v01@openssh.com ecdsa-sha2-nistp256
	ecdsa-sha2-nistp256-cert-v01@openssh.com ecdsa-sha2-nistp384 ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521
	ecdsa-sha2-nistp521-cert-v01@openssh.com sk-ecdsa-sha2-nistp256@openssh.com sk-ecdsa-sha2-nistp256-cert-v01@openssh.com
	webauthn-sk-ecdsa-sha2-nistp256@openssh.com ssh-rsa ssh-rsa-cert-v01@openssh.com rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com
	rsa-sha2-512 rsa-sha2-512-cert-v01@openssh.com`
)

// bookworm is what OpenSSH 9.2 has of its own.
func bookworm() map[string]string {
	return map[string]string{
		"Ciphers":      "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
		"DebianBanner": "yes",
		"IPQoS":        "lowdelay throughput",
		"KexAlgorithms": "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256," +
			"ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512," +
			"diffie-hellman-group18-sha512,diffie-hellman-group14-sha256",
	}
}

// trixie is what OpenSSH 10.0 has of its own.
func trixie() map[string]string {
	return map[string]string{
		"ChannelTimeout": "none",
		"Ciphers":        "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr",
		"DebianBanner":   "yes",
		"IPQoS":          "ef cs1",
		"KexAlgorithms": "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org," +
			"ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521",
		"PAMServiceName":             "sshd",
		"PerSourcePenalties":         "crash:90 authfail:5 noauth:1 grace-exceeded:10 refuseconnection:10 max:600 min:15 max-sources4:65536 max-sources6:65536 overflow:permissive overflow6:permissive",
		"PerSourcePenaltyExemptList": "none",
		"RefuseConnection":           "no",
		"SshdAuthPath":               "/usr/lib/openssh/sshd-auth",
		"SshdSessionPath":            "/usr/lib/openssh/sshd-session",
	}
}

// shared are the defaults that both have.
func shared() map[string]string {
	return map[string]string{
		"AddressFamily":                   "any",
		"AllowAgentForwarding":            "yes",
		"AllowStreamLocalForwarding":      "yes",
		"AllowTcpForwarding":              "yes",
		"AuthenticationMethods":           "any",
		"AuthorizedKeysCommand":           "none",
		"AuthorizedKeysCommandUser":       "none",
		"AuthorizedKeysFile":              ".ssh/authorized_keys .ssh/authorized_keys2",
		"AuthorizedPrincipalsCommand":     "none",
		"AuthorizedPrincipalsCommandUser": "none",
		"AuthorizedPrincipalsFile":        "none",
		"Banner":                          "none",
		"CASignatureAlgorithms": "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com," +
			"sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256",
		"ChrootDirectory":               "none",
		"ClientAliveCountMax":           "3",
		"ClientAliveInterval":           "0",
		"Compression":                   "yes",
		"DisableForwarding":             "no",
		"ExposeAuthInfo":                "no",
		"FingerprintHash":               "SHA256",
		"ForceCommand":                  "none",
		"GSSAPIAuthentication":          "no",
		"GSSAPICleanupCredentials":      "yes",
		"GSSAPIKexAlgorithms":           "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,gss-group14-sha1-,gss-gex-sha1-",
		"GSSAPIKeyExchange":             "no",
		"GSSAPIStoreCredentialsOnRekey": "no",
		"GSSAPIStrictAcceptorCheck":     "yes",
		"GatewayPorts":                  "no",
		"HostKeyAgent":                  "none",
		"HostKeyAlgorithms": "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com," +
			"ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com," +
			"rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384," +
			"ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256",
		"HostbasedAcceptedAlgorithms": "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com," +
			"ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com," +
			"rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384," +
			"ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256",
		"HostbasedAuthentication":         "no",
		"HostbasedUsesNameFromPacketOnly": "no",
		"IgnoreRhosts":                    "yes",
		"IgnoreUserKnownHosts":            "no",
		"KbdInteractiveAuthentication":    "yes",
		"KerberosAuthentication":          "no",
		"KerberosOrLocalPasswd":           "yes",
		"KerberosTicketCleanup":           "yes",
		"LogLevel":                        "INFO",
		"LoginGraceTime":                  "120",
		"MACs": "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com," +
			"hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1",
		"MaxAuthTries":           "6",
		"MaxSessions":            "10",
		"MaxStartups":            "10:30:100",
		"ModuliFile":             "/etc/ssh/moduli",
		"PasswordAuthentication": "yes",
		"PerSourceMaxStartups":   "none",
		"PerSourceNetBlockSize":  "32:128",
		"PermitEmptyPasswords":   "no",
		"PermitListen":           "any",
		"PermitOpen":             "any",
		"PermitRootLogin":        "prohibit-password",
		"PermitTTY":              "yes",
		"PermitTunnel":           "no",
		"PermitUserEnvironment":  "no",
		"PermitUserRC":           "yes",
		"PidFile":                "/run/sshd.pid",
		"Port":                   "22",
		"PrintLastLog":           "yes",
		"PrintMotd":              "yes",
		"PubkeyAcceptedAlgorithms": "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com," +
			"ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com," +
			"rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384," +
			"ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256",
		"PubkeyAuthOptions":       "none",
		"PubkeyAuthentication":    "yes",
		"RekeyLimit":              "0 0",
		"RequiredRSASize":         "1024",
		"RevokedKeys":             "none",
		"SecurityKeyProvider":     "internal",
		"StreamLocalBindMask":     "0177",
		"StreamLocalBindUnlink":   "no",
		"StrictModes":             "yes",
		"SyslogFacility":          "AUTH",
		"TCPKeepAlive":            "yes",
		"TrustedUserCAKeys":       "none",
		"UnusedConnectionTimeout": "none",
		"UseDNS":                  "no",
		"UsePAM":                  "no",
		"VersionAddendum":         "none",
		"X11DisplayOffset":        "10",
		"X11Forwarding":           "no",
		"X11UseLocalhost":         "yes",
		"XAuthLocation":           "/usr/bin/xauth",
	}
}
