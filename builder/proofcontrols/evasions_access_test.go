package proofcontrols_test

import (
	"regexp"
	"strings"

	"imgbuild/provisioners/system"
)

// accessEvasions are ways around the controls of who gets in and becomes root:
// what they look at is as it should be, and the server is not.
var accessEvasions = map[string][]way{
	"su-restricted": {
		{name: "somebody in the group", subject: "sugroup: members", do: func(h hand) bool {
			return h.replace("/etc/group", regexp.MustCompile(`^(sugroup:.*:)$`), "${1}alice")
		}},
		{name: "somebody who may add to the group", subject: "sugroup: administrators", do: func(h hand) bool {
			return h.replace("/etc/gshadow", regexp.MustCompile(`^(sugroup:[^:]*):[^:]*:`), "${1}:alice:")
		}},
		{name: "a password of the group", subject: "sugroup: password", do: func(h hand) bool {
			return h.replace("/etc/gshadow", regexp.MustCompile(`^sugroup:[^:]*:`), "sugroup:"+strings.ReplaceAll(hash, "$", "$$")+":")
		}},
		{name: "the group as somebody's own", subject: "mallory: gid", do: func(h hand) bool {
			gid := regexp.MustCompile(`(?m)^sugroup:x:(\d+):`).FindStringSubmatch(h.text("/etc/group"))
			account(h, "mallory", "1501", gid[1], "/", "/bin/sh", "*")
			return true
		}},
		suLine("the sense turned round", "use_uid", "use_uid deny"),
		suLine("for root as the target alone", "use_uid", "use_uid root_only"),
		suLine("another group at the end of the line", "use_uid", "use_uid group=users"),
		suLine("a module of the same name", "pam_wheel.so", "/opt/lib/pam_wheel.so"),
		{name: "su - that asks nobody", subject: "su-l", do: func(h hand) bool {
			return h.replace("/etc/pam.d/su-l", regexp.MustCompile(`^auth\s+include\s+su$`), "@include common-auth")
		}},
		{name: "a group that is not asked", subject: "jump over it", do: func(h hand) bool {
			return h.edit("/etc/pam.d/su", func(line string) string {
				if strings.HasPrefix(line, "auth") && strings.Contains(line, "pam_wheel.so") {
					return "auth [success=1 default=ignore] pam_succeed_if.so user ingroup users\n" + line
				}
				return line
			})
		}},
		{name: "a group that needs no password", subject: "su", do: func(h hand) bool {
			return onTop(h, "/etc/pam.d/su", "auth sufficient pam_succeed_if.so user ingroup users\n")
		}},
	},
	"pam-unix": {
		{name: "nothing that denies", subject: "lets in those whom it refuses", do: func(h hand) bool {
			return h.out("/etc/pam.d/common-auth", regexp.MustCompile(`^auth\s+requisite\s+pam_deny`))
		}},
		{name: "an account that may not come", subject: "lets in those whom it refuses", do: func(h hand) bool {
			return h.replace("/etc/pam.d/common-account", regexp.MustCompile(`^account\s+requisite\s+pam_deny.so`), "account optional pam_deny.so")
		}},
		instead("sshd", "common-auth", "auth required pam_permit.so"),
		instead("login", "common-auth", "auth required pam_env.so\nauth sufficient pam_permit.so"),
		instead("sshd", "common-account", "account required pam_permit.so"),
		instead("other", "common-auth", "auth sufficient pam_permit.so"),
		{name: "a service of its own", subject: "/etc/pam.d/panel", do: func(h hand) bool {
			return h.added("/etc/pam.d/panel", "auth optional pam_unix.so\nauth required pam_permit.so\n")
		}},
	},
	"faillock-enabled": {
		{name: "two phases on one line", subject: "common-auth", do: func(h hand) bool {
			return h.replace("/etc/pam.d/common-auth", regexp.MustCompile(`(pam_faillock\.so preauth)`), "$1 authsucc")
		}},
		instead("sshd", "common-auth", "auth required pam_unix.so"),
		instead("login", "common-auth", "auth substack checked"),
		instead("sudo", "common-auth", "auth sufficient pam_unix.so\nauth requisite pam_deny.so"),
		instead("su", "common-account", "account required pam_unix.so"),
		{name: "a service of its own", subject: "/etc/pam.d/panel", do: func(h hand) bool {
			return h.added("/etc/pam.d/panel", "auth required pam_unix.so\n")
		}},
	},
	"faillock-deny": {
		{name: "failures that are soon forgotten", subject: "common-auth", do: func(h hand) bool {
			return h.replace("/etc/pam.d/common-auth", regexp.MustCompile(`(pam_faillock.so preauth)`), "$1 fail_interval=1")
		}},
		instead("login", "common-auth", "auth required pam_faillock.so preauth deny=1000\nauth required pam_unix.so"),
	},
	"pwquality-enabled": {instead("passwd", "common-password", "password required pam_unix.so yescrypt")},
	"pwhistory":         {instead("passwd", "common-password", "password required pam_unix.so yescrypt")},
	"pwquality-minlen":  {instead("passwd", "common-password", "password requisite pam_pwquality.so minlen=6\npassword required pam_unix.so use_authtok")},
	"pam-unix-no-nullok": {
		{name: "in brackets", subject: "common-auth", do: func(h hand) bool {
			return h.replace("/etc/pam.d/common-auth", regexp.MustCompile(`(pam_unix\.so)`), "$1 [nullok]")
		}},
		instead("sshd", "common-auth", "auth required pam_unix.so nullok"),
		instead("login", "common-auth", "auth [success=done default=die] pam_unix.so try_first_pass nullok"),
	},
	"pam-unix-hash": {
		instead("passwd", "common-password", "password required pam_unix.so md5"),
		{name: "another hash behind it", subject: "common-password", do: func(h hand) bool {
			return h.replace("/etc/pam.d/common-password", regexp.MustCompile(`(pam_unix\.so.*)$`), "$1 md5")
		}},
	},
	"pam-unix-authtok": {instead("chpasswd", "common-password", "password required pam_unix.so yescrypt")},
	"sshd-access": {
		everybody("AllowGroups *"), everybody("AllowGroups sudo ?*"), everybody("AllowUsers *"), everybody("AllowUsers *@*"), everybody("DenyUsers mallory"),
		everybody("DenyGroups nosuch"),
		{name: "everyone besides", subject: "AllowGroups", do: func(h hand) bool { return h.added(sshdMain+".d/zz.conf", "allowgroups *\n") }},
		{name: "everyone of a network", subject: "AllowGroups", do: func(h hand) bool {
			return h.added(sshdMain, "Match Address 10.0.0.0/8\n\tAllowGroups *\n")
		}},
		{name: "everyone on the command line", subject: "AllowGroups", do: func(h hand) bool { return h.added("/etc/default/ssh", "SSHD_OPTS=\"-o AllowGroups=*\"\n") }},
	},
	"sshd-max-auth-tries": {
		{name: "in a file of another's", subject: "/srv/team.conf", do: func(h hand) bool {
			h.create("/srv/team.conf", "MaxAuthTries 4\n", system.Attr{Mode: 0o644, UID: 1000})
			return h.added(sshdMain, "Include /srv/team.conf\n")
		}},
	},
	"sshd-login-grace": {
		named("LoginGraceTime", written("/etc/systemd/system/ssh.service.d/local.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -o LoginGraceTime=0\n")),
		named("ssh.service", written("/etc/systemd/system/ssh.service.d/local.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -g 600\n")),
		named("ssh.service", written("/etc/systemd/system/ssh.service.d/local.conf", "[Service]\nEnvironment=\"SSHD_OPTS=-f /srv/sshd_config\"\n")),
	},
	"root-only-uid-0": {
		{name: "accounts of NIS", subject: "NIS", unreadable: true, do: func(h hand) bool { return h.added("/etc/passwd", "+::0:0:::\n") }},
		{name: "accounts of systemd's", subject: "/etc/userdb/toor.user", unreadable: true, do: func(h hand) bool { return h.added("/etc/userdb/toor.user", "{\"userName\":\"toor\",\"uid\":0}\n") }},
	},
	"passwords-shadowed": {
		{name: "a group's hash for all to read", subject: "/etc/group", do: func(h hand) bool {
			return h.replace("/etc/group", regexp.MustCompile("^sudo:x:"), "sudo:"+strings.ReplaceAll(hash, "$", "$$")+":")
		}},
	},
	"root-password": {
		{name: "none in passwd", subject: "root", do: func(h hand) bool { return h.replace("/etc/passwd", regexp.MustCompile(`^root:x:`), "root::") }},
	},
	"shadow-group-empty": {
		{name: "a password of the group", subject: "shadow: password", do: func(h hand) bool {
			return h.replace("/etc/gshadow", regexp.MustCompile(`^shadow:[^:]*:`), "shadow:"+strings.ReplaceAll(hash, "$", "$$")+":")
		}},
	},
	"system-accounts-no-shell": {
		{name: "a shell called nologin", subject: "daemon", do: func(h hand) bool {
			return h.replace("/etc/passwd", regexp.MustCompile("^(daemon:.*):[^:]*$"), "$1:/opt/nologin")
		}},
	},
	"root-path": {
		named("PATH", written("/root/.bashrc", "PATH+=:/tmp\n")),
		named("PATH", written("/root/.bash_profile", "export PATH+=:\n")),
		{name: "by way of sudo", subject: "secure_path", do: func(h hand) bool {
			return h.exists("/etc/sudoers") && h.added("/etc/sudoers.d/path", "Defaults secure_path=\"/usr/bin:/tmp\"\n")
		}},
		{name: "below a directory that others write to", subject: "/opt/shared", do: func(h hand) bool {
			h.mkdir("/opt/shared/bin", 0o755)
			h.chmod("/opt/shared", 0o777)
			return h.added("/root/.profile", "PATH=/opt/shared/bin:$PATH\n")
		}},
	},
	"root-umask": {
		named("umask", written("/root/.bash_profile", "umask 022\n")), named("umask", written("/root/.bashrc", "umask u=rwx,g=rx,o=rx\n")),
		named("umask", written("/root/.profile", "[ -t 0 ] && umask 0002\n")),
	},
	"default-umask": {
		named("umask", written("/etc/skel/.profile", "umask 022\n")), named("umask", written("/root/.bash_login", "umask 022\n")),
		{name: "lax for one person", subject: "/home/alice/.bashrc", do: func(h hand) bool {
			person(h)
			h.create("/home/alice/.bashrc", "umask 002\n", system.Attr{Mode: 0o644, UID: 1500, GID: 1500})
			return true
		}},
		{name: "lax in an account's comment", subject: "alice: umask", do: func(h hand) bool {
			person(h)
			return h.replace("/etc/passwd", regexp.MustCompile(`^(alice:x:1500:1500:):`), "${1}Alice,,,umask=022:")
		}},
		{name: "lax in one line of two", subject: "UMASK", do: func(h hand) bool { h.prepend("/etc/login.defs", "UMASK 022\n"); return true }},
		named("pam_umask", written("/etc/pam.d/sshd", "session optional pam_umask.so umask=000\n")),
		{name: "set for root alone", subject: "/etc/profile: umask", do: func(h hand) bool {
			h.append("/root/.profile", "umask 077\n")
			return everywhere(h.files("/etc/profile.d", "/etc/profile"), func(file string) bool { return h.out(file, regexp.MustCompile(`^\s*umask\s`)) })
		}},
	},
	"sudo-logfile": {
		{name: "in a file that sudo does not read", subject: "/etc/sudoers.d/00-imgbuild", do: func(h hand) bool { h.chmod("/etc/sudoers.d/00-imgbuild", 0o666); return true }},
	},
	"sudo-use-pty": {{name: "in a file of another's", subject: "/etc/sudoers", do: func(h hand) bool { h.chown("/etc/sudoers", 1000, 0); return true }}},
	"sudo-password": {
		named("Plugin", written("/etc/sudo.conf", "Plugin sudoers_policy sudoers.so sudoers_file=/etc/sudoers.own\n")),
		named("Plugin", written("/etc/sudo.conf", "Plugin python_policy python_plugin.so ModulePath=/opt/a.py ClassName=A\n")),
	},
}

// suLine changes a word of the line that su asks.
func suLine(name, old, with string) way {
	return way{name: name, subject: "/etc/pam.d/su", do: func(h hand) bool {
		return h.edit("/etc/pam.d/su", func(line string) string {
			if strings.HasPrefix(line, "auth") && strings.Contains(line, "pam_wheel.so") {
				return strings.Replace(line, old, with, 1)
			}
			return line
		})
	}}
}

// onTop writes lines before all others of a file.
func onTop(h hand, name, text string) bool {
	h.t.Helper()
	h.prepend(name, text)
	return true
}

// instead has a service ask something else than what Debian's services share.
func instead(service, shared, lines string) way {
	file := "/etc/pam.d/" + service
	return way{name: service + " with " + lines, subject: file, do: func(h hand) bool {
		h.write("/etc/pam.d/checked", "auth required pam_unix.so\n")
		include := regexp.MustCompile(`^@include\s+` + shared + `\s*$`)
		return h.replace(file, include, strings.ReplaceAll(lines, "$", "$$"))
	}}
}

// everybody has a list of who may log in over SSH that keeps nobody out.
func everybody(line string) way {
	keyword, _, _ := strings.Cut(line, " ")
	return way{name: line + " alone", subject: keyword, do: func(h hand) bool {
		is := regexp.MustCompile(`(?i)^\s*(Allow|Deny)(Users|Groups)[\s=]`)
		return everywhere(h.files(sshdMain, sshdMain+".d"), func(file string) bool { return h.out(file, is) }) && h.added(sshdMain+".d/00-local.conf", line+"\n")
	}}
}
