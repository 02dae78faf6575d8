package provisioners_test

import (
	"context"
	"encoding/json"
	"path"
	"strings"
	"testing"

	"imgbuild/images/control"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// secret is what lies in the files of TestNoFindingQuotesASecret.
const secret = "Zq7Vx3Lw9Rt5Kp2M"

// hash is a password as shadow(5) has it, in a form that says nothing of itself.
const hash = "abZq7Vx3Lw9Rt"

// TestNoFindingQuotesASecret has a canary in the place of each type of resource
// where its differences or errors quote what they find.
func TestNoFindingQuotesASecret(t *testing.T) {
	// What these types say is paths, numbers, modes and states of their own.
	tried := map[string]bool{"packages": true, "directories": true, "services": true, "apache-modules": true, "sweeps": true}
	for name, c := range map[string]struct {
		resources string
		files     map[string]string
	}{
		"users":            {`users: {old: {uid: 1700}}`, map[string]string{"/etc/shadow": "root:*:19000:0:99999:7:::\nold:" + hash + ":19000:0:99999:7:::\n"}},
		"groups":           {`groups: {old: {gid: 1700}}`, map[string]string{"/etc/gshadow": "root:*::\nold:" + hash + "::\n"}},
		"ageing":           {`ageing: {all: {max-days: {at-most: 365}}}`, map[string]string{"/etc/shadow": "root:" + hash + ":19000:0:99999:7:::\n"}},
		"ageing, no name":  {`ageing: {all: {max-days: {at-most: 365}}}`, map[string]string{"/etc/shadow": hash + "\n"}},
		"ageing, shifted":  {`ageing: {all: {max-days: {at-most: 365}}}`, map[string]string{"/etc/shadow": "root:x:19000:0:" + hash + ":7:::\n"}},
		"accounts":         {`accounts: {passwords-shadowed: {}}`, map[string]string{"/etc/passwd": "root:" + hash + ":0:0:root:/root:/bin/bash\n"}},
		"accounts, locked": {`accounts: {no-empty-passwords: {}}`, map[string]string{"/etc/shadow": hash + "\n"}},
		"accounts, shells": {`accounts: {default-umask: {}, session-timeout: {}}`, map[string]string{"/etc/profile": "umask 000 TOKEN=" + secret + "\nexport API_TOKEN=" + secret + " TMOUT=5000\n"}},
		"files":            {`files: {/etc/app.env: {mode: "0600", content: x}}`, map[string]string{"/etc/app.env": "TOKEN=" + secret + "\n"}},
		"lines":            {`lines: {a: {path: /etc/app.env, match: "^TOKEN", line: TOKEN=}}`, map[string]string{"/etc/app.env": "TOKEN=" + secret + "\n"}},
		"symlinks":         {`symlinks: {/etc/app: /etc/other}`, map[string]string{"/etc/app": "-> https://me:" + secret + "@example.com/"}},
		"settings": {`settings: {a: {path: /etc/default/app, format: equals, key: REQUIREPASS, absent: true}, b: {path: /etc/default/app, format: equals, key: URL, value: x}}`,
			map[string]string{"/etc/default/app": "REQUIREPASS=short" + hash + "\nURL=https://me:" + hash + "@db.example.com/\n"}},
		"settings, damaged": {`settings: {a: {path: /etc/systemd/app.conf, format: ini, key: Db.Port, value: x}}`, map[string]string{"/etc/systemd/app.conf": "[Db\nPassword=" + hash + "\n"}},
		"settings, strange": {`settings: {a: {path: /etc/security/faillock.conf, format: equals, key: deny, value: 3}}`, map[string]string{"/etc/security/faillock.conf": hash + "\n"}},
		"units":             {`units: {nginx.service: {Service.Environment: A=b}}`, map[string]string{"/etc/systemd/system/nginx.service.d/a.conf": "[Service]\nEnvironment=DB_PASSWORD=" + hash + "\n"}},
		"kernel-arguments": {`kernel-arguments: {audit: "1"}`, map[string]string{"/boot/grub/grub.cfg": "password_pbkdf2 root grub.pbkdf2.sha512.10000." + secret + "." + secret +
			"\nmenuentry 'Linux' {\n  linux /boot/vmlinuz-2 root=UUID=1 ds=nocloud;s=https://me:" + hash + "@seed.example.com/ systemd.set_credential=a:" + secret + secret + " password=" + hash + "\n}\n"}},
		"kernel-modules":   {`kernel-modules: {usb-storage: blocked}`, map[string]string{"/etc/modprobe.d/a.conf": "install usb-storage /sbin/insmod --token=" + hash + "\n"}},
		"sysctls":          {`sysctls: {kernel.core_pattern: core}`, map[string]string{"/etc/sysctl.d/a.conf": "kernel.core_pattern = |/usr/bin/send --token=" + hash + "\n"}},
		"mounts":           {`mounts: {/home: {options: [nodev]}}`, map[string]string{"/etc/fstab": "//nas/home /home cifs username=www,password=" + hash + " 0 0\n"}},
		"sshd":             {`sshd: {AuthorizedKeysCommand: none, Banner: /etc/issue.net}`, map[string]string{"/etc/ssh/sshd_config": "AuthorizedKeysCommand /usr/bin/keys --token=" + hash + "\nBanner https://me:" + hash + "@example.com\n"}},
		"nginx":            {`nginx: {proxy_set_header: absent}`, map[string]string{"/etc/nginx/nginx.conf": "http {\n server { listen 80; proxy_set_header Authorization \"Basic " + secret + "\";\n proxy_set_header X-Api-Key " + hash + "; }\n}\n"}},
		"nginx, damaged":   {`nginx: {autoindex: "off"}`, map[string]string{"/etc/nginx/nginx.conf": "http {\n proxy_set_header Authorization \"Bearer " + secret + "\n"}},
		"apache":           {`apache: {SetEnv: absent, RequestHeader: absent}`, map[string]string{"/etc/apache2/apache2.conf": "SetEnv DB_PASSWORD=" + hash + "\nRequestHeader set Authorization \"Basic " + secret + "\"\n"}},
		"pam":              {`pam: {a: {stack: su, type: auth, module: pam_mysql.so, arguments: [crypt=1]}}`, map[string]string{"/etc/pam.d/su": "auth required pam_mysql.so user=root passwd=" + hash + "\n"}},
		"sudoers":          {`sudoers: {NOPASSWD: absent, logfile: /var/log/sudo.log}`, map[string]string{"/etc/sudoers": "Defaults logfile=\"https://me:" + hash + "@log.example.com/\"\nold ALL=(ALL) NOPASSWD: /usr/bin/mysql --password=" + hash + "\n"}},
		"sudoers, damaged": {`sudoers: {use_pty: {}}`, map[string]string{"/etc/sudoers": "Defaults secret=" + hash + " =\n"}},
		"audit-rules":      {`audit-rules: {a: {rules: [-w /etc/motd -p wa -k motd]}}`, map[string]string{"/etc/audit/rules.d/a.rules": "-w /etc/motd -p q -k token=" + hash + "\n"}},
		"nftables":         {`nftables: {inet filter input: {policy: drop}}`, map[string]string{"/etc/nftables.conf": "table inet filter { chain input { type filter hook input priority 0; policy accept; comment \"token=" + hash + "\" } }\n"}},
		"apparmor":         {`apparmor: {enforced: {}}`, map[string]string{"/etc/apparmor.d/a": "/usr/bin/tool --password=" + hash + " flags=(complain) {\n"}},
		"rsyslog": {`rsyslog: {a: {forwards: encrypted}}`, map[string]string{"/etc/rsyslog.conf": "$ModLoad ommysql\n*.* >db.example.com,logs,writer," + hash +
			"\n*.* action(type=\"omelasticsearch\" server=\"https://me:" + hash + "@a.example.com\" uid=\"me\" pwd=\"" + hash + "\")\n"}},
		"rsyslog, damaged":   {`rsyslog: {a: {listens: false}}`, map[string]string{"/etc/rsyslog.conf": "*.* action(type=\"ommysql\" pwd=" + hash + ")\n"}},
		"rsyslog, misplaced": {`rsyslog: {a: {listens: false}}`, map[string]string{"/etc/rsyslog.conf": hash + "\n"}},
		"logrotate":          {`logrotate: {/var/log/web/a.log: {create-mode: 0640}}`, map[string]string{"/etc/logrotate.d/a": "/var/log/web/a.log {\n\tcreate 0666 " + hash + " adm\n\tpostrotate\n\t\tsend --token=" + hash + "\n\tendscript\n}\n"}},
		"logrotate, damaged": {`logrotate: {/var/log/web/a.log: {}}`, map[string]string{"/etc/logrotate.d/a": "mail me token=" + hash + "\n"}},
		"logrotate, script":  {`logrotate: {/var/log/web/a.log: {}}`, map[string]string{"/etc/logrotate.d/a": "/var/log/web/a.log {\n\tpost\n" + hash + "\n}\n"}},
		"tls-policy":         {`tls-policy: {server: {versions: [TLSv1.3], for: [openssl]}}`, map[string]string{"/etc/ssl/openssl.cnf": "[req]\ninput_password = " + hash + "\n"}},
	} {
		kind, _, _ := strings.Cut(name, ",")
		tried[kind] = true
		t.Run(name, func(t *testing.T) {
			s := system.NewMemory()
			before(t, s)
			for file, content := range c.files {
				if err := system.MkdirAll(s, path.Dir(file)); err != nil {
					t.Fatal(err)
				}
				if target, link := strings.CutPrefix(content, "-> "); link {
					if err := s.Symlink(target, file); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if err := s.WriteFile(file, strings.NewReader(content), system.Attr{Mode: 0o644}); err != nil {
					t.Fatal(err)
				}
			}
			text := "a: {title: x, severity: low, rationale: y, resources: {" + c.resources + "}}\n" +
				"b: {title: x, severity: low, rationale: y, when: {" + c.resources + "}, resources: {files: {/etc/motd: {mode: '0644'}}}}\n"
			for id, found := range controls(t, text) {
				f, err := found.Check(context.Background(), s)
				if err != nil {
					t.Fatal(err)
				}
				if f.Result == control.Pass {
					t.Fatalf("%s: nothing was said: %+v", id, f)
				}
				said, err := json.Marshal(f)
				if err != nil {
					t.Fatal(err)
				}
				for _, canary := range []string{secret, hash} {
					if strings.Contains(string(said), canary) {
						t.Errorf("it quotes %q: %s", canary, said)
					}
				}
			}
		})
	}
	text, err := provisioners.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Resources struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil || len(schema.Properties.Resources.Properties) == 0 {
		t.Fatalf("got no types of resources, %v", err)
	}
	for kind := range schema.Properties.Resources.Properties {
		if !tried[kind] {
			t.Errorf("no secret was laid before %s", kind)
		}
	}
}
