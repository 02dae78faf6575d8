package provisioners_test

// accountCases are those of accounts and of what lets them in.
func accountCases() []applyCase {
	return []applyCase{
		{"group", "groups:\n  app: {system: true}\n  www-data: {gid: 330}\n  adm: {absent: true}", map[string]string{
			"/etc/group":   "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:330:\nold:x:1500:\napp:x:999:\n",
			"/etc/gshadow": "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nold:!::\napp:!::\n",
		}},
		{"group emptied", "groups:\n  adm: {empty: true}", map[string]string{
			"/etc/group":   "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:33:\nold:x:1500:\nadm:x:4:\n",
			"/etc/gshadow": "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nold:!::\nadm:*::\n",
		}},
		{"user", "users:\n  deploy: {comment: Deployer, groups: [adm]}", map[string]string{
			"/etc/passwd":           "-rw-r--r-- 0:0 root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nold:x:1500:1500::/home/old:/bin/sh\ndeploy:x:1501:1501:Deployer:/home/deploy:/bin/bash\n",
			"/etc/group":            "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:33:\nold:x:1500:\nadm:x:4:old,deploy\ndeploy:x:1501:\n",
			"/etc/shadow":           "-rw-r----- 0:42 root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\ndeploy:!::0:99999:7:::\n",
			"/etc/gshadow":          "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nold:!::\nadm:*::old,deploy\ndeploy:!::\n",
			"/home":                 "drwxr-xr-x 0:0",
			"/home/deploy":          "drwx------ 1501:1501",
			"/home/deploy/.profile": "-rw-r--r-- 1501:1501 # profile\n",
		}},
		{"user changed", "users:\n  www-data: {shell: /bin/false, system: true}", map[string]string{
			"/etc/passwd": "-rw-r--r-- 0:0 root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/bin/false\nold:x:1500:1500::/home/old:/bin/sh\n",
		}},
		{"user absent", "users:\n  old: {absent: true}", map[string]string{
			"/etc/passwd":  "-rw-r--r-- 0:0 root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n",
			"/etc/group":   "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:33:\nadm:x:4:\n",
			"/etc/shadow":  "-rw-r----- 0:42 root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n",
			"/etc/gshadow": "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nadm:*::\n",
		}},
		{"PAM line added and option removed", "pam:\n  a-wheel: {stack: su, type: auth, control: required, module: pam_wheel.so, arguments: [use_uid], after: pam_rootok.so}\n  b-nullok: {stack: su, type: auth, module: pam_unix.so, arguments-absent: [nullok]}", map[string]string{
			"/etc/pam.d/su": "-rw-r--r-- 0:0 # su\nauth sufficient pam_rootok.so\nauth required pam_wheel.so use_uid\nauth required pam_unix.so # all\n",
		}},
		{"sudo's settings and tags", "sudoers: {use_pty: {}, logfile: /var/log/sudo.log, NOPASSWD: absent}", map[string]string{
			"/etc/sudoers":               "-r--r----- 0:0 Defaults env_reset\nold ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
			"/etc/sudoers.d":             "drwxr-xr-x 0:0",
			"/etc/sudoers.d/00-imgbuild": "-r--r----- 0:0 # The settings of sudo that the image's recipe asks for.\nDefaults logfile=\"/var/log/sudo.log\"\nDefaults use_pty\n",
		}},
		{"ageing", "ageing: {old: {max-days: {at-most: 365}, min-days: 1, inactive-days: {at-most: 45}}}", map[string]string{
			"/etc/shadow": "-rw-r----- 0:42 root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\nold:!:19000:1:365:7:45::\n",
		}},
		{"rule for accounts", "accounts: {home-directories: {}}", map[string]string{
			"/root": "drwx------ 0:0", "/root/.profile": "-rw-r--r-- 0:0 # profile\n",
			"/home": "drwxr-xr-x 0:0", "/home/old": "drwx------ 1500:1500", "/home/old/.profile": "-rw-r--r-- 1500:1500 # profile\n",
		}},
	}
}

func accountMistakes() []mistake {
	return []mistake{
		{"user name", "users:\n  Deploy: {}", `"Deploy" is not the name of a user`},
		{"injected", "users:\n  a: {comment: \"x:0:0\"}", `a comment has no colon`},
		{"PAM module", "pam:\n  a: {stack: su, type: auth, module: unix, control: required}", `baselines/test.yaml:2:30: "unix" is not the name of a module`},
		{"PAM line of one service everywhere", "pam:\n  a: {stack: su, everywhere: true, type: auth, module: pam_unix.so, control: required}", `"everywhere" goes with a stack that others include`},
		{"sudo tag", "sudoers:\n  NOPASWD: absent", `baselines/test.yaml:2:3: "NOPASWD" is neither a setting of sudo nor a tag; did you mean "NOPASSWD"?`},
		{"days", "ageing:\n  all: {max-days: {at-most: soon}}", `"soon" is not a number`},
		{"rule", "accounts:\n  unique-uid: {}", `baselines/test.yaml:2:3: "unique-uid" is not a rule for accounts; did you mean "unique-uids"?`},
	}
}
