package provisioners_test

// settingCases are those of single settings.
func settingCases() []applyCase {
	return []applyCase{
		{"settings in place", "settings:\n  max: {path: /etc/login.defs, format: words, key: PASS_MAX_DAYS, at-most: 365}\n  cost: {path: /etc/login.defs, format: words, key: YESCRYPT_COST_FACTOR, at-least: 8}\n  log: {path: /etc/login.defs, format: words, key: LOG_OK_LOGINS, value: \"yes\"}\n  umask: {path: /etc/login.defs, format: words, key: UMASK, one-of: [027, 077]}", map[string]string{
			"/etc/login.defs": "-rw-r--r-- 0:0 # login\nPASS_MAX_DAYS\t365\nYESCRYPT_COST_FACTOR\t8\nUMASK\t\t027\nLOG_OK_LOGINS\tyes\n",
		}},
		{"settings of PAM", "settings:\n  len: {path: /etc/security/pwquality.conf, format: equals, key: minlen, at-least: 14}\n  root: {path: /etc/security/pwquality.conf, format: equals, key: enforce_for_root, value: ''}\n  retry: {path: /etc/security/pwquality.conf, format: equals, key: retry, at-least: 1, at-most: 3}", map[string]string{
			"/etc/security/pwquality.conf": "-rw-r--r-- 0:0 minlen = 14\nenforce_for_root\nretry=3 # tries\n",
		}},
		{"settings of shells and auditd", "settings:\n  inactive: {path: /etc/default/useradd, format: equals, key: INACTIVE, at-least: 0, at-most: 45, value: 30}\n  size: {path: /etc/audit/auditd.conf, format: equals, key: max_log_file, at-least: 32}\n  full: {path: /etc/audit/auditd.conf, format: equals, key: space_left_action, one-of: [email, exec]}", map[string]string{
			"/etc/default/useradd":   "-rw-r--r-- 0:0 # useradd\nSHELL=/bin/sh\nINACTIVE=30\n",
			"/etc/audit/auditd.conf": "-rw-r----- 0:0 # audit\nmax_log_file = 32\nspace_left_action = email\n",
		}},
		{"setting absent", "settings:\n  shell: {path: /etc/default/useradd, format: equals, key: SHELL, absent: true}", map[string]string{
			"/etc/default/useradd": "-rw-r--r-- 0:0 # useradd\n#SHELL=/bin/sh\n# INACTIVE=-1\n",
		}},
		{"settings of journald", "settings:\n  storage: {path: /etc/systemd/journald.conf, format: ini, key: Journal.Storage, value: persistent}\n  use: {path: /etc/systemd/journald.conf, format: ini, key: Journal.SystemMaxUse, at-most: 1G, drop-in: 60-imgbuild.conf}", map[string]string{
			"/etc/systemd/journald.conf":                    "-rw-r--r-- 0:0 [Journal]\nStorage=persistent\n#Compress=yes\n",
			"/etc/systemd/journald.conf.d":                  "drwxr-xr-x 0:0",
			"/etc/systemd/journald.conf.d/60-imgbuild.conf": "-rw-r--r-- 0:0 [Journal]\nSystemMaxUse=1G\n",
		}},
		{"limit", "settings:\n  core: {path: /etc/security/limits.conf, format: limits, key: '* hard core', at-most: 0, drop-in: 60-imgbuild.conf}", map[string]string{
			"/etc/security/limits.conf":               "-rw-r--r-- 0:0 #*               soft    core            0\n@adm\thard\tcore\t0\n# End of file\n",
			"/etc/security/limits.d":                  "drwxr-xr-x 0:0",
			"/etc/security/limits.d/60-imgbuild.conf": "-rw-r--r-- 0:0 *\thard\tcore\t0\n",
		}},
		{"units hardened", "units:\n  nginx.service:\n    Service.NoNewPrivileges: true\n    Service.UMask: 0027\n    Service.CapabilityBoundingSet: {only: [CAP_CHOWN, CAP_SETUID]}\n  getty@tty1.service: {Unit.Description: x}", map[string]string{
			"/etc/systemd/system/nginx.service.d":                    "drwxr-xr-x 0:0",
			"/etc/systemd/system/nginx.service.d/imgbuild.conf":      "-rw-r--r-- 0:0 [Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_CHOWN CAP_SETUID\nNoNewPrivileges=true\nUMask=0027\n",
			"/etc/systemd/system/getty@tty1.service.d":               "drwxr-xr-x 0:0",
			"/etc/systemd/system/getty@tty1.service.d/imgbuild.conf": "-rw-r--r-- 0:0 [Unit]\nDescription=x\n",
		}},
		{"rsyslog", "rsyslog:\n  deaf: {listens: false}\n  private: {file-mode: 0640}", map[string]string{
			"/etc/rsyslog.conf":       "-rw-r--r-- 0:0 $FileCreateMode 0640\nmodule(load=\"imuxsock\")\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /var/log/syslog\n",
			"/etc/rsyslog.d/net.conf": "-rw-r----- 0:4 # mine\nmail.* action(type=\"omfile\" file=\"/var/log/mail\" fileCreateMode=\"0640\")\n",
		}},
		{"logrotate", "logrotate:\n  /var/log/web/access.log: {every: weekly, keep: 13}\n  /var/log/web/*.log: {create-mode: 0640}", map[string]string{
			"/etc/logrotate.d/web": "-rw-r--r-- 0:0 /var/log/web/*.log {\n\tweekly\n\tcreate 0640 www-data adm\n\tpostrotate\n\t\t}\n\tendscript\n\trotate 13\n}\n",
		}},
		{"sshd in place", "sshd:\n  PermitRootLogin: no\n  maxauthtries: {at-most: 4}\n  Ciphers: {without: [aes128-ctr, aes192-ctr]}\n  access: {any-of: [AllowUsers, AllowGroups], else: {AllowGroups: ssh admins}}", map[string]string{
			"/etc/ssh/sshd_config": "-rw------- 0:0 #PermitRootLogin prohibit-password\nX11Forwarding yes\nPermitRootLogin no\n" +
				"Ciphers chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com\nAllowGroups ssh admins\nMaxAuthTries 4\n",
		}},
	}
}

func settingMistakes() []mistake {
	return []mistake{
		{"format", "settings:\n  a: {path: /etc/a, format: word, key: A, value: b}", `baselines/test.yaml:2:29: unknown value "word" for "format"; did you mean "words"?`},
		{"key twice", "settings:\n  a: {path: /etc/default/a, format: equals, key: A, value: b}\n  b: {path: /etc/default/a, format: equals, key: A, value: c}", `baselines/test.yaml:3:3: /etc/default/a: A is described already at baselines/test.yaml:2:3`},
		{"unit", "units:\n  nginx: {Service.UMask: 0027}", `baselines/test.yaml:2:3: expected the name of a unit such as nginx.service, found "nginx"`},
		{"unit's key", "units:\n  nginx.service: {UMask: 0027}", `baselines/test.yaml:2:19: expected a section and a key such as Service.NoNewPrivileges`},
		{"rsyslog without a wish", "rsyslog:\n  a: {}", `baselines/test.yaml:2:3: rsyslog "a": expected "listens", "file-mode" or "forwards"`},
		{"rsyslog that listens", "rsyslog:\n  a: {listens: true}", `baselines/test.yaml:2:7: "listens" can be false only`},
		{"rsyslog's way to forward", "rsyslog:\n  a: {forwards: encryptd}", `unknown value "encryptd" for "forwards"; did you mean "encrypted"?`},
		{"logrotate's log", "logrotate:\n  wtmp: {}", `baselines/test.yaml:2:3: expected the absolute path of a log, found "wtmp"`},
		{"logrotate's number without a time", "logrotate:\n  /a: {keep: 3}", `baselines/test.yaml:2:8: "keep" goes with "every"`},
		{"logrotate's mode", "logrotate:\n  /a: {create-mode: 0755}", `a log is not executable`},
		{"keyword", "sshd:\n  PermitRootLogon: \"no\"", `baselines/test.yaml:2:3: unknown keyword "PermitRootLogon" of sshd; did you mean "PermitRootLogin"?`},
		{"keyword twice", "sshd:\n  PermitRootLogin: \"no\"\n  permitrootlogin: \"yes\"", `sshd PermitRootLogin is described already at`},
	}
}
