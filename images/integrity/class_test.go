package integrity_test

import (
	"testing"

	"imgbuild/images/fault"
	"imgbuild/images/integrity"
)

func TestClassesOfAServersPaths(t *testing.T) {
	for path, want := range map[string]integrity.Class{
		".":                                     integrity.Immutable,
		"usr/sbin/nginx":                        integrity.Immutable,
		"etc/nginx/nginx.conf":                  integrity.Immutable,
		"var/www/html/index.html":               integrity.Immutable,
		"var/lib/dpkg/status":                   integrity.Immutable,
		"var/lib/dpkg/info/nginx.list":          integrity.Immutable,
		"var/lib/dpkg/lock-frontend":            integrity.Variable,
		"var/lib/aide/aide.db":                  integrity.Immutable,
		"var/lib/aide/aide.db.new":              integrity.Variable,
		"root/.bash_profile":                    integrity.Immutable,
		"var/spool/cron/crontabs":               integrity.Variable,
		"var/spool/cron/crontabs/root":          integrity.Immutable,
		"var/log/lost+found":                    integrity.Variable,
		"boot/grub/user.cfg":                    integrity.Seeded,
		"boot/grub/grub.cfg":                    integrity.Immutable,
		"proc":                                  integrity.Variable,
		"var/lib/postgresql/15/main/PG_VERSION": integrity.Variable,
		"var/log":                               integrity.Immutable,
		"var/log/nginx":                         integrity.Variable,
		"var/log/nginx/access.log":              integrity.Variable,
		"var/logs/x":                            integrity.Immutable,
		"var/lib/postgresql/15/main":            integrity.Seeded,
		"var/lib/dpkg/status-old":               integrity.Variable,
		"etc/ssl/certs/ca-certificates.crt":     integrity.Immutable,
		"etc/machine-id":                        integrity.Seeded,
		"etc/ssh/ssh_host_ed25519_key.pub":      integrity.Seeded,
		"etc/ssh/sshd_config":                   integrity.Immutable,
		"root/.ssh/authorized_keys":             integrity.Seeded,
		"root/.bash_history":                    integrity.Variable,
	} {
		if got := integrity.DefaultRules().Classify(path, ""); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	// A hash link belongs to the certificate that it points to.
	for target, want := range map[string]integrity.Class{
		"ssl-cert-snakeoil.pem": integrity.Seeded,
		"SomeAuthority.pem":     integrity.Immutable,
		"":                      integrity.Immutable,
	} {
		if got := integrity.DefaultRules().Classify("etc/ssl/certs/1234abcd.0", target); got != want {
			t.Errorf("a hash link to %q: got %s, want %s", target, got, want)
		}
	}
}

func TestRecipesExtendTheClasses(t *testing.T) {
	rules, err := integrity.DefaultRules().With(
		integrity.Rule{Pattern: "var/www/*/uploads/**", Class: integrity.Variable},
		integrity.Rule{Pattern: "var/lib/app/**", Class: integrity.Immutable},
	)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]integrity.Class{
		"var/www/site/uploads/a/b.png": integrity.Variable,
		"var/www/site/uploads":         integrity.Immutable,
		"var/www/site/index.php":       integrity.Immutable,
		"var/lib/app/code":             integrity.Immutable,
		"var/lib/apps":                 integrity.Variable,
	} {
		if got := rules.Classify(path, ""); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if got := integrity.DefaultRules().Classify("var/lib/app/code", ""); got != integrity.Variable {
		t.Errorf("the default rules were changed: %s", got)
	}
	for _, bad := range []integrity.Rule{
		{Pattern: "/var", Class: integrity.Variable},
		{Pattern: "var/../etc", Class: integrity.Variable},
		{Pattern: "var/[", Class: integrity.Variable},
		{Pattern: "var/**/x", Class: integrity.Variable},
		{Pattern: "var/x", Class: "mutable"},
	} {
		if _, err := integrity.DefaultRules().With(bad); fault.KindOf(err) != fault.Input {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
