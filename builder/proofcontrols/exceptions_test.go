package proofcontrols_test

import "regexp"

// byHand is why a control cannot be applied, and what a person does instead,
// nil for nothing that could be done here.
type byHand struct {
	why  string
	mend func(h hand)
}

// unmet are the controls that are met by something else than applying them.
var unmet = map[string]byHand{
	"grub-password": {"the password is a secret, which no image has; it is given at first boot", func(h hand) {
		h.write("/boot/grub/user.cfg", "GRUB2_PASSWORD=grub.pbkdf2.sha512.10000.AA.BB\n")
		h.chmod("/boot/grub/user.cfg", 0o600)
		h.out(bootMenu, regexp.MustCompile(`set superusers=`))
		h.prepend(bootMenu, "set superusers=\"root\"\n")
	}},
	"rsyslog-tls":       {"a package is missing", func(h hand) { installed(h, "rsyslog-gnutls") }},
	"apache-core-rules": {"a package is missing", func(h hand) { installed(h, "modsecurity-crs") }},
	"nginx-http2-listen": {"where a server listens is its owner's to say", func(h hand) {
		h.replace("/etc/nginx/conf.d/tls.conf", regexp.MustCompile(`listen 443 ssl;`), "listen 443 ssl http2;")
	}},
}

// before are controls that others build on, and that a bake applies before them.
var before = map[string][]string{
	"faillock-deny": {"faillock-enabled"}, "faillock-unlock": {"faillock-enabled"}, "faillock-root": {"faillock-enabled"},
	"pwhistory-root": {"pwhistory"}, "pwhistory-remember": {"pwhistory"}, "pwhistory-authtok": {"pwhistory"},
	"journal-no-forward": {"journal-forward-masked"},
}

// silent are controls that say nothing more of what they were applied to.
var silent = []string{"journal-forward-masked"}

// unreadable are controls of which a stock tree cannot be told.
var unreadable []string

// harmless are ways of breaking that leave a control met, because a default is as
// good, and resources that nobody can break: by control, after a platform where
// they are of that one only.
var harmless = map[string][]string{
	"apache-log-module":           {"apache module log_config"}, // built into httpd
	"apache-keepalive-timeout":    {"taken out"},
	"apache-keepalive-requests":   {"taken out"},
	"apache-keepalive":            {"taken out"},
	"apache-error-log":            {"taken out"},
	"apache-request-timeout":      {"taken out"},
	"apache-no-signature":         {"taken out"},
	"apache-root-no-override":     {"taken out"},
	"apache-no-override":          {"taken out"},
	"apache-no-dangerous-options": {"taken out"},
	"nginx-pid-file":              {"taken out", "nginx pid"},
	"nginx-http2-listen":          {"taken out"},                                                   // no server speaks TLS then
	"journal-forward-masked":      {"led elsewhere", "replaced by a file"},                         // the other file stays hidden
	"debian-13 tmp-separate":      {"taken out of fstab", "commented out", "mounted by hand only"}, // there is a tmpfs else
	"shm-separate":                {"mount /dev/shm"},                                              // systemd mounts it in any case
	"nginx-access-log":            {"taken out"},
}
