package provisioners_test

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// unreadable has for each type of resource, by its key in a recipe, states that
// hold on a system, and lines that make a file one that its program would refuse,
// or that nobody can read: they are added to it, in place of a line with the same
// name before a colon.
var unreadable = map[string][]struct {
	recipe string
	files  map[string]string
	file   string
	more   string
}{
	"packages": {{"telnetd: absent", map[string]string{"/var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"}, "/var/lib/dpkg/status", "\ngarbage\n"}},
	"groups": {
		{"adm: {gid: 4}", accountFiles, "/etc/group", "adm:x:b:\n"},
		{"adm: {gid: 4}", accountFiles, "/etc/group", "other:x\n"},
		{"adm: {gid: 4}", accountFiles, "/etc/gshadow", "garbage\n"},
	},
	"users": {
		{"a: {uid: 1000}", accountFiles, "/etc/passwd", "a:x\n"},
		{"a: {uid: 1000}", accountFiles, "/etc/passwd", "garbage\n"},
		{"a: {uid: 1000}", accountFiles, "/etc/group", "adm:x\n"},
		{"a: {uid: 1000}", accountFiles, "/etc/shadow", "\x00\n"},
	},
	"lines": {
		{"a: {path: /etc/rsyslog.conf, match: '^x', absent: true}", map[string]string{"/etc/rsyslog.conf": "# none\n"}, "/etc/rsyslog.conf", "y\x00\n"},
		{"a: {path: /etc/rsyslog.d/*.conf, match: '^x', absent: true}", map[string]string{"/etc/rsyslog.d/a.conf": "# none\n"}, "/etc/rsyslog.d/a.conf", "y\x00\n"},
	},
	"rsyslog": {
		{"a: {listens: false}", rsyslogFiles, "/etc/rsyslog.conf", "garbage\n"},
		{"a: {listens: false}", rsyslogFiles, "/etc/rsyslog.d/a.conf", "module(load=\"imuxsock\"\n"},
		{"a: {file-mode: 0640}", rsyslogFiles, "/etc/rsyslog.conf", "include(file=\"/srv/nowhere.conf\")\n"},
		{"a: {forwards: encrypted}", rsyslogFiles, "/etc/rsyslog.d/b.conf", "-> nowhere"},
		{"a: {forwards: encrypted}", rsyslogFiles, "/etc/rsyslog.d/a.conf", "if $msg contains then stop\n"},
	},
	"logrotate": {
		{"/var/log/a: {create-mode: 0640}", logrotateFiles, "/etc/logrotate.conf", "garbage\n"},
		{"/var/log/a: {create-mode: 0640}", logrotateFiles, "/etc/logrotate.d/b", "/var/log/b {\n"},
		{"/var/log/a: {every: weekly, keep: 4}", logrotateFiles, "/etc/logrotate.d/a", "/var/log/c {\n\tpostrotate\n}\n"},
		{"/var/log/a: {every: weekly, keep: 4}", logrotateFiles, "/etc/logrotate.d/a", "include /srv/nowhere\n"},
		{"/var/log/a: {}", logrotateFiles, "/etc/logrotate.d/b", "-> nowhere"},
	},
	"services": {
		{"a: enabled", unitFiles, "/usr/lib/systemd/system/a.service", "[Service\n"},
		{"a: enabled", unitFiles, "/usr/lib/systemd/system/a.service", "\x00"},
	},
	"sysctls": {
		{`a.b: "1"`, map[string]string{"/etc/sysctl.d/a.conf": "a.b = 1\n"}, "/etc/sysctl.d/a.conf", "c.d = \x001\n"},
		{`a.b: "1"`, map[string]string{"/etc/sysctl.d/a.conf": "a.b = 1\n"}, "/etc/sysctl.d/a.conf", "c.[ = 1\n"},
	},
	"kernel-modules":   {{"cramfs: blocked", map[string]string{"/etc/modprobe.d/a.conf": "install cramfs /bin/false\nblacklist cramfs\n"}, "/etc/modprobe.d/a.conf", "a\x00b\n"}},
	"kernel-arguments": {{`quiet: {}`, map[string]string{"/boot/grub/grub.cfg": "linux /k quiet\n"}, "/boot/grub/grub.cfg", "menuentry 'a' {\n"}},
	"mounts":           {{"/tmp: {options: [nodev]}", map[string]string{"/etc/fstab": "tmpfs /tmp tmpfs nodev 0 0\n"}, "/etc/fstab", "garbage\n"}},
	"settings": {
		{"a: {path: /etc/login.defs, format: words, key: UMASK, value: 027}", map[string]string{"/etc/login.defs": "UMASK 027\n"}, "/etc/login.defs", "\x00\n"},
		{"a: {path: /etc/login.defs, format: words, key: UMASK, value: 027}", map[string]string{"/etc/login.defs": "UMASK 027\n"}, "/etc/login.defs", "garbage\n"},
		{"a: {path: /etc/login.defs, format: words, key: UMASK, value: 027}", map[string]string{"/etc/login.defs": "UMASK 027\n"}, "/etc/login.defs", "UMASKS 022\n"},
		{"a: {path: /etc/login.defs, format: words, key: UMASK, value: 027}", map[string]string{"/etc/login.defs": "UMASK 027\n"}, "/etc/login.defs", "UMASK 022\n"},
		{"a: {path: /etc/login.defs, format: words, key: PASS_MAX_DAYS, at-most: 365}", map[string]string{"/etc/login.defs": "PASS_MAX_DAYS 365\n"}, "/etc/login.defs", "PASS_MIN_DAYS 010\n"},
		{"a: {path: /etc/audit/auditd.conf, format: equals, key: freq, value: 5}", map[string]string{"/etc/audit/auditd.conf": "freq = 5\n"}, "/etc/audit/auditd.conf", "c\n"},
		{"a: {path: /etc/audit/auditd.conf, format: equals, key: freq, value: 5}", map[string]string{"/etc/audit/auditd.conf": "freq = 5\n"}, "/etc/audit/auditd.conf", "flush = never\n"},
		{"a: {path: /etc/security/faillock.conf, format: equals, key: deny, at-most: 5}", map[string]string{"/etc/security/faillock.conf": "deny = 5\n"}, "/etc/security/faillock.conf", "unlock_time = x\n"},
		{"a: {path: /etc/security/faillock.conf, format: equals, key: deny, at-most: 5}", map[string]string{"/etc/security/faillock.conf": "deny = 5\n"}, "/etc/security/faillock.conf", "garbage\n"},
		{"a: {path: /etc/default/a, format: equals, key: A, value: b}", map[string]string{"/etc/default/a": "A=b\n"}, "/etc/default/a", ". /etc/other\n"},
		{"a: {path: /etc/default/a, format: equals, key: A, value: b}", map[string]string{"/etc/default/a": "A=b\n"}, "/etc/default/a", "A=\"b\n"},
		{"a: {path: /etc/default/a, format: equals, key: A, value: b}", map[string]string{"/etc/default/a": "A=b\n"}, "/etc/default/a", "A=$(echo c)\n"},
		{"a: {path: /etc/default/a, format: equals, key: A, value: b}", map[string]string{"/etc/default/a": "A=b\n"}, "/etc/default/a", "B=${A:=c}\n"},
		{"a: {path: /etc/default/useradd, format: equals, key: INACTIVE, at-most: 45}", map[string]string{"/etc/default/useradd": "INACTIVE=45\n"}, "/etc/default/useradd", "INACTIVE = 90\n"},
		{"a: {path: /etc/adduser.conf, format: equals, key: DIR_MODE, value: 0750}", map[string]string{"/etc/adduser.conf": "DIR_MODE=0750\n"}, "/etc/adduser.conf", "garbage\n"},
		{"a: {path: /etc/deluser.conf, format: equals, key: BACKUP, value: 1}", map[string]string{"/etc/deluser.conf": "BACKUP=1\n"}, "/etc/deluser.conf", "BACKUPS=1\n"},
		{"a: {path: /etc/ufw/ufw.conf, format: equals, key: ENABLED, value: yes}", map[string]string{"/etc/ufw/ufw.conf": "ENABLED=yes\n"}, "/etc/ufw/ufw.conf", "ENABLED=yes ufw\n"},
		{"a: {path: /etc/chrony/chrony.conf, format: words, key: user, value: _chrony}", map[string]string{"/etc/chrony/chrony.conf": "user _chrony\n"}, "/etc/chrony/chrony.conf", "garbage\n"},
		{"a: {path: /etc/chrony/chrony.conf, format: words, key: user, value: _chrony}", map[string]string{"/etc/chrony/chrony.conf": "confdir /etc/chrony/conf.d\nuser _chrony\n"}, "/etc/chrony/conf.d/a.conf", "makestep x\n"},
		{"a: {path: /etc/iptables/rules.v4, format: iptables, key: filter INPUT, value: DROP}", map[string]string{"/etc/iptables/rules.v4": "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"}, "/etc/iptables/rules.v4", "garbage\n"},
		{"a: {path: /etc/ufw/before6.rules, format: iptables, key: filter ufw6-a -i lo, value: ACCEPT}", map[string]string{"/etc/ufw/before6.rules": "*filter\n:ufw6-a - [0:0]\n-A ufw6-a -i lo -j ACCEPT\nCOMMIT\n"}, "/etc/ufw/before6.rules", "*nat\n"},
		{"a: {path: /etc/apt/apt.conf, format: words, key: APT::Install-Recommends, value: 0}", map[string]string{"/etc/apt/apt.conf": "APT::Install-Recommends \"false\";\n"}, "/etc/apt/apt.conf.d/a", "APT {\n"},
		{"a: {path: /boot/grub/grub.cfg, format: equals, key: superusers, value: root}", map[string]string{"/boot/grub/grub.cfg": "set superusers=\"root\"\n"}, "/boot/grub/grub.cfg", "if true; then\n"},
		{"a: {path: /boot/grub/grub.cfg, format: equals, key: superusers, value: root}", map[string]string{"/boot/grub/grub.cfg": "set superusers=\"root\"\n"}, "/boot/grub/grub.cfg", "if true; then\nset superusers=\nfi\n"},
		{"a: {path: /boot/grub/grub.cfg, format: equals, key: superusers, value: root}", map[string]string{"/boot/grub/grub.cfg": "set superusers=\"root\"\n"}, "/boot/grub/grub.cfg", "unset superusers\n"},
		{"a: {path: /etc/aide/aide.conf, format: words, key: /usr/sbin/auditctl, value: p+sha512}", map[string]string{"/etc/aide/aide.conf": "/usr/sbin/auditctl p+sha512\n"}, "/etc/aide/aide.conf", "garbage\n"},
		{"a: {path: /etc/aide/aide.conf, format: words, key: /usr/sbin/auditctl, value: p+sha512}", map[string]string{"/etc/aide/aide.conf": "/usr/sbin/auditctl p+sha512\n"}, "/etc/aide/aide.conf", "!/usr/sbin\n"},
		{"a: {path: /etc/gdm3/daemon.conf, format: ini, key: xdmcp.Enable, absent: true}", map[string]string{"/etc/gdm3/daemon.conf": "[xdmcp]\n"}, "/etc/gdm3/daemon.conf", "garbage\n"},
		{"a: {path: /etc/security/pwquality.conf, format: equals, key: minlen, value: 14}", map[string]string{"/etc/security/pwquality.conf": "minlen = 14\n"}, "/etc/security/pwquality.conf", "garbage\n"},
		{"a: {path: /etc/postfix/main.cf, format: equals, key: inet_interfaces, value: loopback-only}", map[string]string{"/etc/postfix/main.cf": "inet_interfaces = loopback-only\n"}, "/etc/postfix/main.cf", "garbage\n"},
		{"a: {path: /etc/systemd/journald.conf, format: ini, key: Journal.Storage, value: persistent}", map[string]string{"/etc/systemd/journald.conf": "[Journal]\nStorage=persistent\n"}, "/etc/systemd/journald.conf", "[Journal\n"},
		{"a: {path: '/etc/security/limits.conf', format: limits, key: '* hard core', at-most: 0}", map[string]string{"/etc/security/limits.conf": "* hard core 0\n"}, "/etc/security/limits.conf", "\x00\n"},
		{"a: {path: '/etc/security/limits.conf', format: limits, key: '* hard core', at-most: 0}", map[string]string{"/etc/security/limits.conf": "* hard core 0\n"}, "/etc/security/limits.d/a.conf", "* hard core five\n"},
		{"a: {path: '/etc/security/limits.conf', format: limits, key: '* hard core', at-most: 0}", map[string]string{"/etc/security/limits.conf": "* hard core 0\n"}, "/etc/security/limits.d/a.conf", "* hard core 0 5\n"},
	},
	"units": {
		{"a.service: {Service.NoNewPrivileges: true}", unitFiles, "/usr/lib/systemd/system/a.service", "[Service\n"},
		{"a.service: {Service.NoNewPrivileges: true}", unitFiles, "/etc/systemd/system/a.service.d/b.conf", "[Service\nNoNewPrivileges=no\n"},
	},
	"sshd": {
		{"PermitRootLogin: \"no\"", map[string]string{"/etc/ssh/sshd_config": "PermitRootLogin no\n"}, "/etc/ssh/sshd_config", "Garbage\n"},
		{"PermitRootLogin: \"no\"", map[string]string{"/etc/ssh/sshd_config": "Include /etc/ssh/a/*\nPermitRootLogin no\n"}, "/etc/ssh/a/b", "Match Usr a\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/ssh/sshd_config", "MaxAuthTries many\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/ssh/sshd_config", "Match User a\nX11Forwarding 1\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/ssh/sshd_config", "Ciphers \"\"\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/default/ssh", "\x00\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/default/ssh", "SSHD_OPTS='-o MaxAuthTries=many'\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/default/ssh", "SSHD_OPTS='-o Garbage=1'\n"},
		{"PermitRootLogin: \"no\"", sshdFiles, "/etc/systemd/system/ssh.service.d/a.conf", "[Service]\nEnvironment=A=\x00\n"},
	},
	"nginx": {
		{`server_tokens: "off"`, map[string]string{"/etc/nginx/nginx.conf": "http { server_tokens off; }\n"}, "/etc/nginx/nginx.conf", "events {\n"},
		{`server_tokens: "off"`, map[string]string{"/etc/nginx/nginx.conf": "http { server_tokens off; include d/*; }\n"}, "/etc/nginx/d/a", "server_tokens\n"},
		{`server_tokens: "off"`, map[string]string{"/etc/nginx/container.conf": "http { server_tokens off; }\n"}, "/etc/nginx/nginx.conf", "-> nowhere.conf"},
	},
	"apache-modules": {{"status: disabled", map[string]string{"/etc/apache2/apache2.conf": "ServerTokens Prod\n"}, "/etc/apache2/apache2.conf", "<IfModule a>\n"}},
	"apache": {
		{"ServerTokens: Prod", map[string]string{"/etc/apache2/apache2.conf": "ServerTokens Prod\n"}, "/etc/apache2/apache2.conf", "<Directory /srv>\n"},
		{"ServerTokens: Prod", map[string]string{"/etc/apache2/apache2.conf": "ServerTokens Prod\n"}, "/etc/apache2/apache2.conf", "(( garbage\n"},
		{"ServerTokens: Prod", map[string]string{"/etc/apache2/apache2.conf": "ServerTokens Prod\nIncludeOptional a.conf\n"}, "/etc/apache2/a.conf", "ServerRoot\x00 x\n"},
	},
	"sweeps": {
		{"unowned: {}", accountFiles, "/etc/passwd", "a:x\n"},
		{"unowned: {}", accountFiles, "/etc/group", "adm:x:4\n"},
		{"logs: {}", accountFiles, "/etc/passwd", "\x00\n"},
		{"setuid: {}", accountFiles, "/etc/group", "adm:x:b:\n"},
	},
	"tls-policy": {{"a: {versions: [TLSv1.2, TLSv1.3], for: [openssl]}", map[string]string{
		"/etc/ssl/openssl.cnf": "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv1.2\n"}, "/etc/ssl/openssl.cnf", "[a\n"}},
	"pam":     {{"a: {stack: common-auth, type: auth, module: pam_unix.so, arguments-absent: [nullok]}", map[string]string{"/etc/pam.d/common-auth": "auth required pam_unix.so\n"}, "/etc/pam.d/common-auth", "auth [success=1 pam_permit.so\n"}},
	"sudoers": {{"use_pty: {}", map[string]string{"/etc/sudoers": "Defaults use_pty\n@includedir /etc/sudoers.d\n"}, "/etc/sudoers.d/a", "garbage ((\n"}},
	"ageing": {
		{"all: {max-days: {at-most: 365}}", accountFiles, "/etc/shadow", "b:$y$x:1\n"},
		{"all: {max-days: {at-most: 365}}", accountFiles, "/etc/shadow", "garbage\n"},
		{"all: {max-days: {at-most: 365}}", accountFiles, "/etc/shadow", "b:*:1:0:x:7:::\n"},
		{"a: {max-days: {at-most: 365}}", accountFiles, "/etc/passwd", "\x00\n"},
		{"all: {max-days: {at-most: 365}}", accountFiles, "/etc/gshadow", "adm:!\n"},
	},
	"accounts": {
		{"only-root-has-uid-0: {}", accountFiles, "/etc/passwd", "b:x:c\n"},
		{"only-root-has-uid-0: {}", accountFiles, "/etc/passwd", "garbage\n"},
		{"unique-gids: {}", accountFiles, "/etc/group", "adm:x\n"},
		{"no-empty-passwords: {}", accountFiles, "/etc/shadow", "b:\n"},
		{"shadow-group-empty: {}", accountFiles, "/etc/gshadow", "shadow\n"},
	},
	"apparmor": {
		{"enforced: {}", map[string]string{"/etc/apparmor.d/a": "profile a /bin/a {\n}\n"}, "/etc/apparmor.d/a", "profile b flags=(enforce {\n"},
		{"enforced: {}", map[string]string{"/etc/apparmor.d/a": "profile a /bin/a {\n}\n"}, "/etc/apparmor.d/a", "garbage,\n"},
		{"enforced: {}", map[string]string{"/etc/apparmor.d/a": "profile a /bin/a {\n  include <b>\n}\n", "/etc/apparmor.d/b": ""}, "/etc/apparmor.d/b", "garbage,\n"},
	},
	"nftables": {{"inet filter input: {policy: drop}", map[string]string{"/etc/nftables.conf": "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"}, "/etc/nftables.conf", "table inet more {\n"}},
	"audit-rules": {{"a: {rules: [-w /etc/passwd -p wa -k id]}", map[string]string{"/etc/audit/rules.d/a.rules": "-w /etc/passwd -p wa -k id\n",
		"/etc/audit/audit.rules": "## This file is automatically generated from /etc/audit/rules.d\n-w /etc/passwd -p wa -k id\n"}, "/etc/audit/rules.d/a.rules", "-w relative\n"}},
}

var accountFiles = map[string]string{
	"/etc/passwd": "root:x:0:0::/root:/bin/sh\na:x:1000:1000::/home/a:/bin/sh\n", "/etc/group": "root:x:0:\na:x:1000:\nadm:x:4:\n",
	"/home/a/.profile": "", "/etc/shadow": "root:*:1:0:365:7:::\na:$y$x:1:0:365:7:::\n", "/etc/gshadow": "root:*::\na:!::\nadm:!::\n",
}

var sshdFiles = map[string]string{"/etc/ssh/sshd_config": "PermitRootLogin no\n", "/etc/default/ssh": "SSHD_OPTS=\n", "/etc/systemd/system/ssh.service.d/a.conf": "[Service]\n"}

var rsyslogFiles = map[string]string{
	"/etc/rsyslog.conf":     "$FileCreateMode 0640\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /var/log/syslog\n",
	"/etc/rsyslog.d/a.conf": "mail.* /var/log/mail\n",
}

var logrotateFiles = map[string]string{
	"/etc/logrotate.conf": "weekly\nrotate 4\ninclude /etc/logrotate.d\n",
	"/etc/logrotate.d/a":  "/var/log/a {\n\tcreate 0640 root adm\n}\n",
}

var unitFiles = map[string]string{
	"/usr/lib/systemd/system/a.service":                     "[Service]\nExecStart=/bin/true\nNoNewPrivileges=yes\n[Install]\nWantedBy=multi-user.target\n",
	"/etc/systemd/system/multi-user.target.wants/a.service": "-> /usr/lib/systemd/system/a.service",
}

// parseless are the types that look at files without reading a language in them.
var parseless = []string{"directories", "files", "symlinks"}

// TestWhatDoesNotParseIsNoPass has a state of every type that holds, and then a
// file that its program would refuse: whether the state holds cannot be told, and
// applying it says so and writes nothing.
func TestWhatDoesNotParseIsNoPass(t *testing.T) {
	if want := keys(t); !slices.Equal(want, slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(unreadable)), parseless...)))) {
		t.Errorf("not every type is tried: the types are %v", want)
	}
	ctx := context.Background()
	for key, cases := range unreadable {
		for _, c := range cases {
			t.Run(key+"/"+c.file, func(t *testing.T) {
				s := system.NewMemory()
				for name, text := range c.files {
					place(t, s, name, text)
				}
				resources, err := decode(t, key+": {"+c.recipe+"}")
				if err != nil {
					t.Fatal(err)
				}
				if d, err := resources[0].Check(ctx, s); err != nil || len(d) > 0 {
					t.Fatalf("before: %v, %v", d, err)
				}
				text := c.files[c.file] + c.more
				if name, _, record := strings.Cut(c.more, ":"); record {
					text = regexp.MustCompile("(?m)^"+regexp.QuoteMeta(name)+":.*\n").ReplaceAllString(c.files[c.file], "") + c.more
				}
				place(t, s, c.file, text)
				was := show(t, s)
				if d, err := resources[0].Check(ctx, s); err == nil {
					t.Errorf("%s with %q is read: %v", c.file, c.more, d)
				}
				if changed, err := resources[0].Apply(ctx, s); err == nil || changed {
					t.Errorf("%s with %q is edited: %v, %v", c.file, c.more, changed, err)
				}
				if now := show(t, s); len(changes(was, now)) > 0 {
					t.Errorf("written: %v", changes(was, now))
				}
			})
		}
	}
}

func place(t *testing.T, s system.System, name, text string) {
	t.Helper()
	if target, link := strings.CutPrefix(text, "-> "); link {
		if err := system.MkdirAll(s, name[:strings.LastIndexByte(name, '/')]); err != nil {
			t.Fatal(err)
		}
		if err := s.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := system.Replace(s, name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// keys are those of all types of resources in recipes, sorted.
func keys(t *testing.T) []string {
	t.Helper()
	data, err := provisioners.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	resources := root.Properties["resources"]
	if resources.Ref != "" {
		resources = root.Defs[strings.TrimPrefix(resources.Ref, "#/$defs/")]
	}
	return slices.Sorted(maps.Keys(resources.Properties))
}

// TestEveryTypeHasACase holds the cases that are applied twice against the types:
// only packages are not applied, for a lock decides on them.
func TestEveryTypeHasACase(t *testing.T) {
	tried := []string{"packages"}
	for _, c := range cases() {
		for _, key := range keys(t) {
			if strings.HasPrefix(c.recipe, key+":") || strings.Contains(c.recipe, "\n"+key+":") {
				tried = append(tried, key)
			}
		}
	}
	slices.Sort(tried)
	if want := keys(t); !slices.Equal(want, slices.Compact(tried)) {
		t.Errorf("cases are of %v, types are %v", tried, want)
	}
}
