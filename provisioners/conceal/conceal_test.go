package conceal_test

import (
	"strings"
	"testing"

	"imgbuild/provisioners/conceal"
)

// canary is what must never be seen, in each of its disguises.
const canary = "Zq7Vx3Lw9Rt5Kp2M"

func TestSecretsAreNotShown(t *testing.T) {
	for _, text := range []string{
		"root:$6$" + canary + "$" + canary + canary + ":19000:0:::::",
		"$y$j9T$" + canary + "$" + canary,
		"$2b$12$" + canary + canary,
		"password_pbkdf2 root grub.pbkdf2.sha512.10000." + canary + "." + canary,
		"linux /vmlinuz root=/dev/sda1 ds=nocloud-net;s=https://me:" + canary + "@seed.example.com/ ro",
		"https://" + canary + "@github.com/acme/web",
		"DB_PASSWORD=" + canary, "Environment=API_TOKEN=" + canary + " A=b", `"api_key": "` + canary + `"`,
		"password = '" + canary + " " + canary + "'", "mysql --password " + canary, "--token=" + canary,
		"noauto,username=www,password=" + canary + ",_netdev",
		"auth required pam_mysql.so user=root passwd=" + canary,
		`proxy_set_header Authorization "Basic ` + canary + `"`, "RequestHeader set Authorization Bearer " + canary,
		"X-Api-Key: " + canary, "Cookie " + canary,
		"ghp_" + canary + canary, "AKIA" + strings.ToUpper(canary), "eyJhbGciOiJI" + canary + "." + canary + "." + canary,
		"-----BEGIN OPENSSH PRIVATE KEY-----\n" + canary + "\n-----END OPENSSH PRIVATE KEY-----",
		"-----BEGIN RSA PRIVATE KEY----- " + canary,
		`line 3: cannot read "` + canary + canary + `"`,
	} {
		if got := conceal.Text(text); strings.Contains(strings.ToLower(got), strings.ToLower(canary)) || !strings.Contains(got, conceal.Hidden) {
			t.Errorf("%s\nis shown as %s", text, got)
		}
	}
	for _, name := range []string{"/etc/redis/redis.conf: requirepass", "/etc/app.ini: db.password", "Service.Token", "DB_PASSWD", "x-secret", "appApiKey"} {
		if got := conceal.Value(name, "short"); got != conceal.Hidden {
			t.Errorf("%s is shown as %s", name, got)
		}
	}
}

// TestWhatIsNoSecretIsShown has evidence that people need.
func TestWhatIsNoSecretIsShown(t *testing.T) {
	for _, text := range []string{
		"/etc/ssh/sshd_config: PasswordAuthentication is yes, should be no", "PermitEmptyPasswords=yes",
		"password requisite pam_pwquality.so retry=3", "password [success=1 default=ignore] pam_unix.so obscure use_authtok try_first_pass yescrypt",
		"Defaults passwd_tries=3, timestamp_timeout=15", "PASS_MAX_DAYS 99999", "password_timeout: 5",
		"/boot/grub/grub.cfg:12: linux /boot/vmlinuz-6.1.0-28-amd64 root=UUID=0a3407de-014b-458b-b5c1-848e92a327a3 ro quiet",
		"/srv/secret: mode is 0644, should be 0600", "/run/token:3: owner", "/etc/shadow: group is 0, should be 42",
		"rewrite ^/(.*)/(.*)$ /index.php?a=$1$2&b=$uri$is_args$args", "server_tokens is on, should be off", "ssl_certificate_key /etc/ssl/private/web.key",
		"TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "sk-ssh-ed25519-cert-v01@openssh.com,chacha20-poly1305@openssh.com",
		"-a always,exit -F arch=b64 -S adjtimex,settimeofday -k time-change", `auth_basic "Restricted area"`, "basic authentication",
		"/etc/apparmor.d/usr.sbin.nginx:7: profile /usr/sbin/nginx is complain, should be enforce",
		"a file sha256 of 9f86d081884c, should be 2c26b46b68ff", "http://deb.example.org/debian bookworm", "git@github.com:acme/web.git",
	} {
		if got := conceal.Text(text); got != text {
			t.Errorf("%s\nis shown as %s", text, got)
		}
	}
	for name, value := range map[string]string{
		"/etc/login.defs: PASS_MAX_DAYS": "99999", "/etc/ssh/sshd_config: PasswordAuthentication": "yes", "/srv/secret": "0644", "DB_PASSWORD": "not set", "/etc/shadow: root: password": "locked",
	} {
		if got := conceal.Value(name, value); got != value {
			t.Errorf("%s: %s is shown as %s", name, value, got)
		}
	}
}
