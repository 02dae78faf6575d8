package provisioners_test

// fileCases are those of files, directories, lines and links.
func fileCases() []applyCase {
	return []applyCase{
		{"file with content", "files:\n  /etc/new/motd: {content: \"hi ${who}\\n\"}", map[string]string{
			"/etc/new": "drwxr-xr-x 0:0", "/etc/new/motd": "-rw-r--r-- 0:0 hi ${who}\n",
		}},
		{"file from the project", "files:\n  /etc/motd: {from: ../site/index.html, owner: www-data, mode: 0600}", map[string]string{
			"/etc/motd": "-rw------- 33:0 hello ${who}\n",
		}},
		{"file from a template", "files:\n  /etc/motd: {from: ../site/index.html, template: true, group: \"7\", mode: \"4750\"}", map[string]string{
			"/etc/motd": "urwxr-x--- 0:7 hello world\n",
		}},
		{"file attributes only", "files:\n  /etc/motd: {mode: 0640}", map[string]string{"/etc/motd": "-rw-r----- 33:33 welcome\n"}},
		{"file in place of a link", "files:\n  /etc/resolv.conf: {content: \"\"}", map[string]string{"/etc/resolv.conf": "-rw-r--r-- 0:0 "}},
		{"file below a link", "files:\n  /var/lib/data/x: {content: y}", map[string]string{"/srv/data/x": "-rw-r--r-- 0:0 y"}},
		{"file absent", "files:\n  /etc/motd: {absent: true}", map[string]string{"/etc/motd": "gone"}},
		{"directory", "directories:\n  /srv/a/b: {owner: www-data, group: adm, mode: 2775}", map[string]string{
			"/srv/a": "drwxr-xr-x 0:0", "/srv/a/b": "dgrwxrwxr-x 33:4",
		}},
		{"directory attributes", "directories:\n  /srv/data: {mode: \"0700\"}", map[string]string{"/srv/data": "drwx------ 0:0"}},
		{"directory absent", "directories:\n  /etc/old: {absent: true}", map[string]string{
			"/etc/old": "gone", "/etc/old/dir": "gone", "/etc/old/dir/link": "gone",
		}},
		{"directory tree", "directories:\n  /srv/data: {from: ../site, owner: www-data, exclude: [.git, 'cgi/*.bak']}", map[string]string{
			"/srv/data": "drwxr-xr-x 33:0", "/srv/data/index.html": "-rw-r--r-- 33:0 hello ${who}\n", "/srv/data/cgi": "drwxr-xr-x 33:0",
			"/srv/data/cgi/run": "-rwxr-xr-x 33:0 #!/bin/sh\n", "/srv/data/latest": "-> index.html",
		}},
		{"symlink", "symlinks:\n  /etc/motd: /run/motd\n  /etc/sites/a: {target: ../b}\n  /etc/old-link: {absent: true}", map[string]string{
			"/etc/motd": "-> /run/motd", "/etc/sites": "drwxr-xr-x 0:0", "/etc/sites/a": "-> ../b", "/etc/old-link": "gone",
		}},
		{"line replaced and doubles removed", "lines:\n  root:\n    path: /etc/ssh/sshd_config\n    match: '^#?PermitRootLogin\\b'\n    line: PermitRootLogin no", map[string]string{
			"/etc/ssh/sshd_config": "-rw------- 0:0 PermitRootLogin no\nX11Forwarding yes\n",
		}},
		{"line added", "lines:\n  banner: {path: /etc/ssh/sshd_config, line: Banner none}", map[string]string{
			"/etc/ssh/sshd_config": "-rw------- 0:0 #PermitRootLogin prohibit-password\nX11Forwarding yes\nPermitRootLogin yes\nBanner none\n",
		}},
		{"line absent", "lines:\n  x11: {path: /etc/ssh/sshd_config, match: ^X11, absent: true}", map[string]string{
			"/etc/ssh/sshd_config": "-rw------- 0:0 #PermitRootLogin prohibit-password\nPermitRootLogin yes",
		}},
	}
}

func fileMistakes() []mistake {
	return []mistake{
		{"key", "files:\n  /a: {contents: x}", `baselines/test.yaml:2:8: unknown key "contents"; did you mean "content"?`},
		{"relative path", "files:\n  a/b: {content: x}", `baselines/test.yaml:2:3: expected an absolute path`},
		{"dots", "directories:\n  /a/../b: {}", `baselines/test.yaml:2:3: expected an absolute path`},
		{"mode", "files:\n  /a: {content: x, mode: 0o99}", `baselines/test.yaml:2:26: expected a mode of three or four octal digits`},
		{"both", "files:\n  /a: {content: x, from: ../site/index.html}", `"content" does not go with "from"`},
		{"missing file", "files:\n  /a: {from: ../site/indx.html}", `baselines/test.yaml:2:14: cannot read "../site/indx.html": file does not exist; did you mean "../site/index.html"?`},
		{"leaves", "files:\n  /a: {from: ../../etc/passwd}", `"../../etc/passwd" leaves the project`},
		{"absolute", "files:\n  /a: {from: /etc/passwd}", `"/etc/passwd" is absolute`},
		{"twice", "files:\n  /a/b: {content: x}\nsymlinks:\n  /a/b: c", `baselines/test.yaml:4:3: /a/b is described already at baselines/test.yaml:2:3`},
		{"line", "lines:\n  a: {path: /b, line: x, match: ^y}", `does not match the line itself`},
		{"empty", "files:\n  /a:\n", `"/a" is empty`},
	}
}
