package provisioners_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// project is what the recipes of these tests take files from.
func project() fstest.MapFS {
	return fstest.MapFS{
		"site/index.html":     {Data: []byte("hello ${who}\n"), Mode: 0o644},
		"site/cgi/run":        {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"site/cgi/run.bak":    {Data: []byte("old"), Mode: 0o644},
		"site/.git/config":    {Data: []byte("secret"), Mode: 0o600},
		"site/latest":         {Data: []byte("index.html"), Mode: fs.ModeSymlink},
		"baselines/test.yaml": {Data: nil},
	}
}

func decode(t *testing.T, text string) ([]provisioners.Resource, error) {
	t.Helper()
	n, err := node.Parse("baselines/test.yaml", project(), "baselines/test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return provisioners.Decode(n, node.Vars{"who": {Kind: node.String, Text: "world"}})
}

// before is the system that every case starts from.
func before(t *testing.T, s system.System) {
	t.Helper()
	files := []struct {
		name, content string
		attr          system.Attr
	}{
		{"/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nold:x:1500:1500::/home/old:/bin/sh\n", system.Attr{Mode: 0o644}},
		{"/etc/group", "root:x:0:\nshadow:x:42:\nwww-data:x:33:\nold:x:1500:\nadm:x:4:old\n", system.Attr{Mode: 0o644}},
		{"/etc/shadow", "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n", system.Attr{Mode: 0o640, GID: 42}},
		{"/etc/gshadow", "root:*::\nshadow:*::\nwww-data:*::\nold:!::\nadm:*::old\n", system.Attr{Mode: 0o640, GID: 42}},
		{"/etc/skel/.profile", "# profile\n", system.Attr{Mode: 0o644}},
		{"/etc/motd", "welcome\n", system.Attr{Mode: 0o666, UID: 33, GID: 33}},
		{"/etc/ssh/sshd_config", "#PermitRootLogin prohibit-password\nX11Forwarding yes\nPermitRootLogin yes", system.Attr{Mode: 0o600}},
		{"/etc/login.defs", "# login\nPASS_MAX_DAYS\t99999\n#YESCRYPT_COST_FACTOR 5\nUMASK\t\t022\n", system.Attr{Mode: 0o644}},
		{"/etc/security/pwquality.conf", "# minlen = 8\n# enforce_for_root\nretry=9 # tries\n", system.Attr{Mode: 0o644}},
		{"/etc/security/limits.conf", "#*               soft    core            0\n@adm\thard\tcore\t5\n# End of file\n", system.Attr{Mode: 0o644}},
		{"/etc/default/useradd", "# useradd\nSHELL=/bin/sh\n# INACTIVE=-1\n", system.Attr{Mode: 0o644}},
		{"/etc/audit/auditd.conf", "# audit\nmax_log_file = 8\nspace_left_action = SYSLOG\n", system.Attr{Mode: 0o640}},
		{"/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\n#Compress=yes\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/nginx.service", "[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target\nAlias=web.service\nAlso=nginx.socket\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/nginx.socket", "[Install]\nWantedBy=sockets.target\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n", system.Attr{Mode: 0o644}},
		{"/etc/apparmor.d/usr.bin.tool", "/usr/bin/tool flags=(complain) {\n  /etc/tool.conf r,\n}\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/apt-daily.timer", "[Install]\nWantedBy=timers.target\n", system.Attr{Mode: 0o644}},
		{"/etc/sysctl.conf", "# local\nnet/ipv4/ip_forward=1\n;end\n", system.Attr{Mode: 0o640}},
		{"/usr/lib/sysctl.d/99-protect-links.conf", "fs.protected_fifos = 1\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/sysctl.d/zz-vendor.conf", "# vendor\n-kernel.sysrq = 438\nkernel.pid_max = 1\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/modprobe.d/zz-vendor.conf", "install usb_storage /sbin/modprobe -i usb_storage\nblacklist pcspkr\nblacklist nf-conntrack\n", system.Attr{Mode: 0o644}},
		{"/boot/grub/grub.cfg", "set default=0\nmenuentry 'Linux 2' {\n  linux /boot/vmlinuz-2 root=UUID=1 ro apparmor=0 \"quiet\"\n}\nmenuentry 'Linux 1' {\n  linux /boot/vmlinuz-1 root=UUID=1 ro audit-backlog-limit=64 -- single\n}\n", system.Attr{Mode: 0o600}},
		{"/etc/fstab", "# <file system> <mount point>\nUUID=1 / ext4 errors=remount-ro 0 1\nUUID=2  /home/  ext4  defaults        0  2\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/var-tmp.mount", "[Mount]\nWhat=tmpfs\nWhere=/var/tmp\nType=tmpfs\nOptions=mode=1777,size=50%%\n[Install]\nWantedBy=local-fs.target\n", system.Attr{Mode: 0o644}},
		{"/etc/pam.d/su", "# su\nauth sufficient pam_rootok.so\nauth required pam_unix.so nullok # all\n", system.Attr{Mode: 0o644}},
		{"/etc/sudoers", "Defaults !use_pty, env_reset\nold ALL=(ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\n", system.Attr{Mode: 0o440}},
	}
	for _, f := range files {
		if err := system.MkdirAll(s, path.Dir(f.name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(f.name, strings.NewReader(f.content), f.attr); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"/etc/systemd/system/timers.target.wants/apt-daily.timer":     "/lib/systemd/system/apt-daily.timer",
		"/usr/lib/systemd/system/local-fs.target.wants/var-tmp.mount": "../var-tmp.mount",
		"/etc/sysctl.d/99-sysctl.conf":                                "../sysctl.conf",
		"/etc/old-link":                                               "nowhere",
		"/var/lib/data":                                               "/srv/data",
		"/etc/resolv.conf":                                            "../run/resolv.conf",
		"/lib":                                                        "usr/lib",
		"/etc/old/dir/link":                                           "/etc/passwd",
	} {
		if err := system.MkdirAll(s, path.Dir(link)); err != nil {
			t.Fatal(err)
		}
		if err := s.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := system.MkdirAll(s, "/srv/data"); err != nil {
		t.Fatal(err)
	}
}

// show writes a system down, one file a line or more.
func show(t *testing.T, r system.Reader) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(name string)
	walk = func(name string) {
		info, err := r.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		line := info.Mode.String() + " " + itoa(info.UID) + ":" + itoa(info.GID)
		switch {
		case info.Mode.IsRegular():
			data, err := system.ReadFile(r, name, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			line += " " + string(data)
		case info.Mode&fs.ModeSymlink != 0:
			target, err := r.Readlink(name)
			if err != nil {
				t.Fatal(err)
			}
			line = "-> " + target
		case info.Mode.IsDir():
			names, err := r.ReadDir(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				walk(path.Join(name, n))
			}
		}
		out[name] = line
	}
	walk("/")
	return out
}

func itoa(n int) string {
	if n == 0 {
		return "0"
	}
	var digits []byte
	for ; n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits)
}

// changes lists what is not the same in two systems; a path that went away has
// the value "gone".
func changes(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for name, line := range b {
		if a[name] != line {
			out[name] = line
		}
	}
	for name := range a {
		if _, there := b[name]; !there {
			out[name] = "gone"
		}
	}
	return out
}

var cases = []struct {
	name, recipe string
	want         map[string]string
}{
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
	{"group", "groups:\n  app: {system: true}\n  www-data: {gid: 330}\n  adm: {absent: true}", map[string]string{
		"/etc/group":   "-rw-r--r-- 0:0 root:x:0:\nshadow:x:42:\nwww-data:x:330:\nold:x:1500:\napp:x:999:\n",
		"/etc/gshadow": "-rw-r----- 0:42 root:*::\nshadow:*::\nwww-data:*::\nold:!::\napp:!::\n",
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
	{"service enabled", "services:\n  nginx: enabled\n  getty@: {state: enabled}", map[string]string{
		"/etc/systemd/system/multi-user.target.wants":               "drwxr-xr-x 0:0",
		"/etc/systemd/system/multi-user.target.wants/nginx.service": "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system/sockets.target.wants":                  "drwxr-xr-x 0:0",
		"/etc/systemd/system/sockets.target.wants/nginx.socket":     "-> /usr/lib/systemd/system/nginx.socket",
		"/etc/systemd/system/web.service":                           "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system/getty.target.wants":                    "drwxr-xr-x 0:0",
		"/etc/systemd/system/getty.target.wants/getty@tty1.service": "-> /usr/lib/systemd/system/getty@.service",
	}},
	{"service disabled", "services:\n  apt-daily.timer: disabled", map[string]string{
		"/etc/systemd/system/timers.target.wants/apt-daily.timer": "gone",
		"/etc/systemd/system-preset":                              "drwxr-xr-x 0:0",
		"/etc/systemd/system-preset/00-apt-daily.timer.preset":    "-rw-r--r-- 0:0 disable apt-daily.timer\n",
	}},
	{"service enabled without its companion", "services:\n  nginx.service: enabled\n  nginx.socket: disabled", map[string]string{
		"/etc/systemd/system/multi-user.target.wants":               "drwxr-xr-x 0:0",
		"/etc/systemd/system/multi-user.target.wants/nginx.service": "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system/sockets.target.wants":                  "drwxr-xr-x 0:0",
		"/etc/systemd/system/web.service":                           "-> /usr/lib/systemd/system/nginx.service",
		"/etc/systemd/system-preset":                                "drwxr-xr-x 0:0",
		"/etc/systemd/system-preset/00-nginx.socket.preset":         "-rw-r--r-- 0:0 disable nginx.socket\n",
	}},
	{"service masked", "services:\n  apt-daily.timer: masked\n  not-there: masked", map[string]string{
		"/etc/systemd/system/apt-daily.timer":   "-> /dev/null",
		"/etc/systemd/system/not-there.service": "-> /dev/null",
	}},
	{"sysctl set", "sysctls:\n  net.ipv4.tcp_syncookies: \"1\"\n  kernel.core_pattern: {value: \"|/bin/false\"}\n  net.ipv4.conf.eth0/1.rp_filter: {one-of: [\"1\", \"2\"]}\n  fs.protected_fifos: \"2\"", map[string]string{
		"/etc/sysctl.d/99-zz-imgbuild.conf": "-rw-r--r-- 0:0 # The kernel's parameters that the recipe of this image states; sysctl.d(5).\nfs.protected_fifos = 2\nkernel.core_pattern = |/bin/false\nnet.ipv4.conf.eth0/1.rp_filter = 1\nnet.ipv4.tcp_syncookies = 1\n",
	}},
	{"sysctl edited", "sysctls:\n  net.ipv4.ip_forward: \"0\"", map[string]string{
		"/etc/sysctl.conf": "-rw-r----- 0:0 # local\nnet/ipv4/ip_forward = 0\n;end\n",
	}},
	{"sysctl of a package overridden", "sysctls:\n  kernel.sysrq: \"0\"", map[string]string{
		"/etc/sysctl.d/99-zz-imgbuild.conf": "-rw-r--r-- 0:0 # The kernel's parameters that the recipe of this image states; sysctl.d(5).\nkernel.sysrq = 0\n",
		"/etc/sysctl.d/zz-vendor.conf":      "-rw-r--r-- 0:0 # vendor\n-kernel.sysrq = 0\nkernel.pid_max = 1\n",
	}},
	{"kernel module blocked", "kernel-modules:\n  usb-storage: blocked\n  cramfs: {state: blocked}\n  pcspkr: blocked", map[string]string{
		"/etc/modprobe.d": "drwxr-xr-x 0:0",
		"/etc/modprobe.d/00-imgbuild.conf": "-rw-r--r-- 0:0 # Kernel modules that the recipe of this image blocks; modprobe.d(5).\n" +
			"install cramfs /bin/false\nblacklist cramfs\ninstall pcspkr /bin/false\nblacklist pcspkr\ninstall usb-storage /bin/false\nblacklist usb-storage\n",
	}},
	{"kernel module loaded", "kernel-modules:\n  nf_conntrack: loaded\n  br_netfilter: loaded", map[string]string{
		"/etc/modprobe.d":                   "drwxr-xr-x 0:0",
		"/etc/modprobe.d/zz-vendor.conf":    "-rw-r--r-- 0:0 install usb_storage /sbin/modprobe -i usb_storage\nblacklist pcspkr\n",
		"/etc/modules-load.d":               "drwxr-xr-x 0:0",
		"/etc/modules-load.d/imgbuild.conf": "-rw-r--r-- 0:0 # Kernel modules that the recipe of this image loads; modules-load.d(5).\nbr_netfilter\nnf_conntrack\n",
	}},
	{"kernel argument", "kernel-arguments:\n  apparmor: \"1\"\n  audit_backlog_limit: {at-least: 8192}\n  nousb: {}\n  quiet: {absent: true}", map[string]string{
		"/boot/grub/grub.cfg": "-rw------- 0:0 set default=0\nmenuentry 'Linux 2' {\n  linux /boot/vmlinuz-2 root=UUID=1 ro apparmor=1 audit_backlog_limit=8192 nousb\n}\n" +
			"menuentry 'Linux 1' {\n  linux /boot/vmlinuz-1 root=UUID=1 ro audit_backlog_limit=8192 apparmor=1 nousb -- single\n}\n",
	}},
	{"mount", "mounts:\n  /home: {separate: true, options: [nodev, nosuid]}\n  /tmp: {type: tmpfs, options: [nodev, nosuid, noexec]}\n  /dev/shm: {options: [noexec]}\n  /: {options: [relatime], without: [errors]}", map[string]string{
		"/etc/fstab": "-rw-r--r-- 0:0 # <file system> <mount point>\nUUID=1 / ext4 relatime 0 1\nUUID=2  /home/  ext4  defaults,nodev,nosuid 0  2\ntmpfs /dev/shm tmpfs noexec 0 0\ntmpfs /tmp tmpfs nodev,nosuid,noexec 0 0\n",
	}},
	{"mount of a unit", "mounts:\n  /var/tmp: {type: tmpfs, options: [noexec], without: [mode]}", map[string]string{
		"/etc/systemd/system/var-tmp.mount.d":                  "drwxr-xr-x 0:0",
		"/etc/systemd/system/var-tmp.mount.d/zz-imgbuild.conf": "-rw-r--r-- 0:0 [Mount]\nOptions=size=50%%,noexec\n",
	}},
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
	{"sshd in place", "sshd:\n  PermitRootLogin: no\n  maxauthtries: {at-most: 4}\n  Ciphers: {without: [aes128-ctr, aes192-ctr]}\n  access: {any-of: [AllowUsers, AllowGroups], else: {AllowGroups: ssh admins}}", map[string]string{
		"/etc/ssh/sshd_config": "-rw------- 0:0 #PermitRootLogin prohibit-password\nX11Forwarding yes\nPermitRootLogin no\n" +
			"Ciphers chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com\nAllowGroups ssh admins\nMaxAuthTries 4\n",
	}},
	{"sweep of world-writable files", "sweeps:\n  world-writable: {except: ['/srv/**']}", map[string]string{"/etc/motd": "-rw-rw-r-- 33:33 welcome\n"}},
	{"sweep of system files", "sweeps:\n  system-files: {}", map[string]string{"/etc/motd": "-rw-r--r-- 33:33 welcome\n"}},
	{"apparmor", "apparmor:\n  enforced: {}", map[string]string{"/etc/apparmor.d/usr.bin.tool": "-rw-r--r-- 0:0 /usr/bin/tool {\n  /etc/tool.conf r,\n}\n"}},
	{"nftables", "nftables:\n  inet filter input: {policy: drop, loopback: true, rules: [\"ct state established,related accept\", tcp dport 22 accept]}\n  inet filter web: {exact: true, rules: [return]}", map[string]string{
		"/etc/nftables.conf": "-rwxr-xr-x 0:0 #!/usr/sbin/nft -f\n# Each chain is in a file of its own.\n\nflush ruleset\n\ninclude \"/etc/nftables.d/*.nft\"\n",
		"/etc/nftables.d":    "drwxr-xr-x 0:0",
		"/etc/nftables.d/50-inet-filter-input.nft": "-rw-r--r-- 0:0 table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n" +
			"\t\tiif lo accept\n\t\tip saddr 127.0.0.0/8 drop\n\t\tip6 saddr ::1 drop\n\t\tct state established,related accept\n\t\ttcp dport 22 accept\n\t}\n}\n",
		"/etc/nftables.d/40-inet-filter-web.nft": "-rw-r--r-- 0:0 table inet filter {\n\tchain web {\n\t}\n}\nflush chain inet filter web\ntable inet filter {\n\tchain web {\n\t\treturn\n\t}\n}\n",
	}},
	{"audit rules", "audit-rules:\n  motd: {rules: [-w /etc/motd -p wa -k motd]}\n  last: {rules: [-e 2]}", map[string]string{
		"/etc/audit/rules.d":               "drwxr-x--- 0:0",
		"/etc/audit/rules.d/50-motd.rules": "-rw------- 0:0 -w /etc/motd -p wa -k motd\n",
		"/etc/audit/rules.d/99-last.rules": "-rw------- 0:0 -e 2\n",
		"/etc/audit/audit.rules":           "-rw-r----- 0:0 ## This file is automatically generated from /etc/audit/rules.d\n\n\n\n-w /etc/motd -p wa -k motd\n-e 2\n",
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

func TestEveryTypeAppliesOnceAndThenAgrees(t *testing.T) {
	systems := map[string]func(t *testing.T) system.System{
		"memory": func(*testing.T) system.System { return system.NewMemory() },
		"root":   rootSystem,
	}
	for kind, open := range systems {
		for _, c := range cases {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				ctx := context.Background()
				s := open(t)
				before(t, s)
				was := show(t, s)
				resources, err := decode(t, c.recipe)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range resources {
					if d, err := r.Check(ctx, s); err != nil || len(d) == 0 {
						t.Errorf("%s: nothing differs before it was applied: %v", r.Identity(), err)
					}
				}
				changed, err := provisioners.Apply(ctx, s, resources)
				if err != nil {
					t.Fatal(err)
				}
				if len(changed) != len(resources) {
					t.Errorf("changed %v of %d resources", changed, len(resources))
				}
				if diff := cmp.Diff(c.want, changes(was, show(t, s))); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
				for _, r := range resources {
					if d, err := r.Check(ctx, s); err != nil || len(d) > 0 {
						t.Errorf("%s after it was applied: %v, %v", r.Identity(), d, err)
					}
				}
				if again, err := provisioners.Apply(ctx, s, resources); err != nil || len(again) > 0 {
					t.Errorf("a second time changed %v: %v", again, err)
				}
			})
		}
	}
}

func rootSystem(t *testing.T) system.System {
	if os.Getuid() != 0 {
		t.Skip("changing owners of files takes root; the same cases run in memory")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestServiceStatesFollowEachOther(t *testing.T) {
	ctx := context.Background()
	s := system.NewMemory()
	before(t, s)
	for _, state := range []string{"enabled", "masked", "enabled", "disabled", "masked", "disabled", "enabled"} {
		resources, err := decode(t, "services: {nginx: "+state+"}")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provisioners.Apply(ctx, s, resources); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		files := show(t, s)
		for name, want := range map[string]bool{
			"/etc/systemd/system/nginx.service":                         state == "masked",
			"/etc/systemd/system-preset/00-nginx.service.preset":        state == "disabled",
			"/etc/systemd/system/multi-user.target.wants/nginx.service": state != "disabled",
		} {
			if _, got := files[name]; got != want && !(state == "masked" && strings.Contains(name, "wants")) {
				t.Errorf("%s: %s exists: %v", state, name, got)
			}
		}
	}
}

func TestMistakesAreFoundAtTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, recipe, want string }{
		{"type", "file:\n  /a: {}", `baselines/test.yaml:1:1: unknown type of resource "file"; did you mean "files"?`},
		{"key", "files:\n  /a: {contents: x}", `baselines/test.yaml:2:8: unknown key "contents"; did you mean "content"?`},
		{"relative path", "files:\n  a/b: {content: x}", `baselines/test.yaml:2:3: expected an absolute path`},
		{"dots", "directories:\n  /a/../b: {}", `baselines/test.yaml:2:3: expected an absolute path`},
		{"mode", "files:\n  /a: {content: x, mode: 0o99}", `baselines/test.yaml:2:26: expected a mode of three or four octal digits`},
		{"both", "files:\n  /a: {content: x, from: ../site/index.html}", `"content" does not go with "from"`},
		{"missing file", "files:\n  /a: {from: ../site/indx.html}", `baselines/test.yaml:2:14: cannot read "../site/indx.html": file does not exist; did you mean "../site/index.html"?`},
		{"leaves", "files:\n  /a: {from: ../../etc/passwd}", `"../../etc/passwd" leaves the project`},
		{"absolute", "files:\n  /a: {from: /etc/passwd}", `"/etc/passwd" is absolute`},
		{"twice", "files:\n  /a/b: {content: x}\nsymlinks:\n  /a/b: c", `baselines/test.yaml:4:3: /a/b is described already at baselines/test.yaml:2:3`},
		{"state", "services:\n  nginx: enable", `baselines/test.yaml:2:10: unknown value "enable" for "state"; did you mean "enabled"?`},
		{"user name", "users:\n  Deploy: {}", `"Deploy" is not the name of a user`},
		{"line", "lines:\n  a: {path: /b, line: x, match: ^y}", `does not match the line itself`},
		{"injected", "users:\n  a: {comment: \"x:0:0\"}", `a comment has no colon`},
		{"empty", "files:\n  /a:\n", `"/a" is empty`},
		{"number", "sysctls:\n  net.ipv4.ip_forward: 0", `expected text for "value", found the number 0; quote it: "0"`},
		{"parameter twice", "sysctls:\n  net.ipv4.ip_forward: \"0\"\n  net/ipv4/ip_forward: \"0\"", `sysctl net.ipv4.ip_forward is described already at baselines/test.yaml:2:3`},
		{"pattern", "sysctls:\n  net.ipv4.conf.*.rp_filter: \"1\"", `baselines/test.yaml:2:3: "net.ipv4.conf.*.rp_filter" is not the name of a kernel parameter`},
		{"way out", "sysctls:\n  net/../../etc/x: \"1\"", `is not the name of a kernel parameter`},
		{"two lines", "sysctls:\n  a.b: \"1\\nc.d = 2\"", `is not a value that sysctl.d can hold`},
		{"module", "kernel-modules:\n  cramfs: block", `unknown value "block" for "state"; did you mean "blocked"?`},
		{"module twice", "kernel-modules:\n  usb-storage: blocked\n  usb_storage: blocked", `kernel module usb_storage is described already`},
		{"argument", "kernel-arguments:\n  quiet: {value: \"a b\"}", `holds a blank or a character that GRUB takes apart`},
		{"bounds", "kernel-arguments:\n  a: {value: \"1\", absent: true}", `expected one of "value", "at-least" and "absent"`},
		{"mount point", "mounts:\n  /tmp/: {separate: true}", `"/tmp/" is not a mount point`},
		{"options", "mounts:\n  /tmp: {options: [nodev, dev]}", `the options contradict each other or "without": nodev`},
		{"option", "mounts:\n  /tmp: {options: [\"nodev,nosuid\"]}", `"nodev,nosuid" is not one option of a mount`},
		{"package state", "packages:\n  chrony: installed", `unknown state "installed" of a package; expected one of absent, present`},
		{"package name", "packages:\n  Chrony: present", `"Chrony" is not the name of a package`},
		{"sweep", "sweeps: {world-writeable: {}}", `baselines/test.yaml:1:10: unknown sweep "world-writeable"; did you mean "world-writable"?`},
		{"sweep pattern", "sweeps: {unowned: {except: [srv]}}", `expected a pattern of absolute paths`},
		{"sweep allow", "sweeps: {unowned: {allow: [/srv]}}", `"allow" is for setuid and capabilities`},
		{"apparmor", "apparmor: {enforce: {}}", `baselines/test.yaml:1:12: unknown state "enforce"; did you mean "enforced"?`},
		{"nftables name", "nftables: {filter input: {}}", `baselines/test.yaml:1:12: expected a family, a table and a chain`},
		{"nftables rule", "nftables:\n  inet filter input: {rules: [\"tcp dport { 22 accept\"]}", `baselines/test.yaml:2:31: rule "tcp dport { 22 accept": rule:1: a brace that is not closed`},
		{"nftables hook", "nftables: {inet filter web: {policy: drop}}", `"policy" needs a chain with a "hook"`},
		{"audit rule", "audit-rules:\n  a: {rules: [-w /etc/passwd -p wq]}", `baselines/test.yaml:2:15: audit rule "-w /etc/passwd -p wq": -p wq: "wq": expected some of the letters`},
		{"audit key", "audit-rules: {a: {rules: [-e 2], key: x}}", `"key" goes with "setuid"`},
		{"PAM module", "pam:\n  a: {stack: su, type: auth, module: unix, control: required}", `baselines/test.yaml:2:30: "unix" is not the name of a module`},
		{"sudo tag", "sudoers:\n  NOPASWD: absent", `baselines/test.yaml:2:3: "NOPASWD" is neither a setting of sudo nor a tag; did you mean "NOPASSWD"?`},
		{"days", "ageing:\n  all: {max-days: {at-most: soon}}", `"soon" is not a number`},
		{"rule", "accounts:\n  unique-uid: {}", `baselines/test.yaml:2:3: "unique-uid" is not a rule for accounts; did you mean "unique-uids"?`},
		{"format", "settings:\n  a: {path: /etc/a, format: word, key: A, value: b}", `baselines/test.yaml:2:29: unknown value "word" for "format"; did you mean "words"?`},
		{"key twice", "settings:\n  a: {path: /etc/a, format: words, key: A, value: b}\n  b: {path: /etc/a, format: words, key: A, value: c}", `baselines/test.yaml:3:3: /etc/a: A is described already at baselines/test.yaml:2:3`},
		{"unit", "units:\n  nginx: {Service.UMask: 0027}", `baselines/test.yaml:2:3: expected the name of a unit such as nginx.service, found "nginx"`},
		{"unit's key", "units:\n  nginx.service: {UMask: 0027}", `baselines/test.yaml:2:19: expected a section and a key such as Service.NoNewPrivileges`},
		{"keyword", "sshd:\n  PermitRootLogon: \"no\"", `baselines/test.yaml:2:3: unknown keyword "PermitRootLogon" of sshd; did you mean "PermitRootLogin"?`},
		{"keyword twice", "sshd:\n  PermitRootLogin: \"no\"\n  permitrootlogin: \"yes\"", `sshd PermitRootLogin is described already at`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(t, c.recipe)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if fault.KindOf(err) != fault.Input {
				t.Errorf("kind %d", fault.KindOf(err))
			}
		})
	}
}

func TestApplyingNamesThePlace(t *testing.T) {
	for recipe, want := range map[string]string{
		"services: {ngnix: enabled}":                                           `baselines/test.yaml:1:12: applying service ngnix.service: the image has no unit "ngnix.service"; did you mean "nginx.service"?`,
		"files: {/etc/motd: {owner: www-dta}}":                                 `the image has no user "www-dta"; did you mean "www-data"?`,
		"files: {/srv/data: {content: x}}":                                     `a directory is in its place`,
		"files: {/etc/nothing: {mode: 0600}}":                                  `there is no such file`,
		"users: {a: {group: adn}}":                                             `there is no group "adn"; did you mean "adm"?`,
		"users: {a: {uid: 33}}":                                                `number 33 is taken`,
		"symlinks: {/srv/data: x}":                                             `a directory is in its place`,
		"lines: {a: {path: /etc/nothing, line: x}}":                            `editing a line`,
		"directories: {/etc/motd: {}}":                                         `a regular file is in its place`,
		"directories: {/etc/motd/below: {}}":                                   `/etc/motd`,
		"lines: {a: {path: /etc/resolv.conf, line: x}}":                        `no such file`,
		"mounts: {/srv: {separate: true}}":                                     `baselines/test.yaml:1:10: applying mount /srv: /srv is not a mount of its own`,
		"mounts: {/home: {type: tmpfs}}":                                       `/home is a file system of type ext4 in /etc/fstab line 3, not tmpfs`,
		"packages: {chrony: present}":                                          `reading dpkg's database: `,
		"units: {ngnix.service: {Service.UMask: 7}}":                           `the system has no unit "ngnix.service"; did you mean "nginx.service"?`,
		"settings: {a: {path: /etc/nothing, format: words, key: A, value: b}}": `there is no file /etc/nothing to give A a value in`,
		"sshd: {a: {any-of: [AllowUsers]}}":                                    `none of AllowUsers is set`,
	} {
		s := system.NewMemory()
		before(t, s)
		if err := system.MkdirAll(s, "/run"); err != nil {
			t.Fatal(err)
		}
		resources, err := decode(t, recipe)
		if err != nil {
			t.Fatal(err)
		}
		_, err = provisioners.Apply(context.Background(), s, resources)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "file does not exist", "no such file"), want) {
			t.Errorf("%s: got %v, want %s", recipe, err, want)
		}
	}
}

func TestCanonicalIgnoresHowItWasWritten(t *testing.T) {
	encode := func(recipe string) string {
		resources, err := decode(t, recipe)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, r := range resources {
			data, err := provisioners.Canonical(r)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(data))
		}
		sort.Strings(lines)
		return strings.Join(lines, "\n")
	}
	a := "files:\n  /a: {content: \"x\\n\", mode: 0644}\n  /b: {from: ../site/index.html, template: true}\nservices:\n  nginx: enabled\ndirectories:\n  /c: {from: ../site}\n"
	b := "# a comment\nservices: {nginx.service: {state: enabled}} # another\ndirectories: {/c: {from: ../baselines/../site}}\nfiles:\n  \"/b\":\n    template: true\n    from: ../site/index.html\n  /a:\n    mode: '0644'\n    content: |\n      x\n"
	if diff := cmp.Diff(encode(a), encode(b)); diff != "" {
		t.Errorf("two ways to write the same differ:\n%s", diff)
	}
	for _, other := range []string{
		strings.Replace(a, `x\n`, `y\n`, 1), strings.Replace(a, "0644", "0640", 1), strings.Replace(a, "enabled", "masked", 1),
		strings.Replace(a, "from: ../site}", "from: ../site, exclude: [run]}", 1), strings.Replace(a, ", template: true", "", 1),
	} {
		if encode(a) == encode(other) {
			t.Errorf("the same encoding for\n%s\nand\n%s", a, other)
		}
	}
	// The kernel takes two spellings for one name; files have the one that was written.
	for _, spelled := range []string{"kernel-modules: {usb-storage: blocked}", "kernel-arguments: {audit-backlog-limit: {at-least: 1}}"} {
		if encode(spelled) == encode(strings.NewReplacer("b-s", "b_s", "t-b", "t_b").Replace(spelled)) {
			t.Errorf("two spellings are one for %s", spelled)
		}
	}
	if encode("sysctls: {a.b: x}") != encode("sysctls: {a/b: {value: x}}") {
		t.Error("two spellings of a parameter differ, which is written in one way")
	}
}

func TestAProjectFileThatChangesIsRefused(t *testing.T) {
	files := project()
	n, err := node.Parse("baselines/test.yaml", files, "baselines/test.yaml", []byte("files: {/a: {from: ../site/index.html}}"))
	if err != nil {
		t.Fatal(err)
	}
	resources, err := provisioners.Decode(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	files["site/index.html"].Data = []byte("something else")
	s := system.NewMemory()
	if _, err := provisioners.Apply(context.Background(), s, resources); fault.KindOf(err) != fault.World {
		t.Errorf("got %v", err)
	}
	if _, err := s.Lstat("/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was written: %v", err)
	}
}
