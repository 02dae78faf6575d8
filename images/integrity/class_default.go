package integrity

// DefaultRules are the classes of the paths of a Debian server. Manifests carry
// them, Drift judges by them, and sealing takes nothing out that is immutable.
func DefaultRules() Rules {
	return Rules{
		// What the kernel and early boot mount over.
		{Pattern: "dev/**", Class: Variable},
		{Pattern: "proc", Class: Variable},
		{Pattern: "proc/**", Class: Variable},
		{Pattern: "run/**", Class: Variable},
		{Pattern: "sys", Class: Variable},
		{Pattern: "sys/**", Class: Variable},
		{Pattern: "tmp/**", Class: Variable},
		{Pattern: "lost+found", Class: Variable},
		{Pattern: "lost+found/**", Class: Variable},
		// Of file systems of their own, such as /var and /usr/local.
		{Pattern: "*/lost+found", Class: Variable},
		{Pattern: "*/lost+found/**", Class: Variable},
		{Pattern: "*/*/lost+found", Class: Variable},
		{Pattern: "*/*/lost+found/**", Class: Variable},

		// Data and mount points.
		{Pattern: "home/**", Class: Variable},
		{Pattern: "media/**", Class: Variable},
		{Pattern: "mnt/**", Class: Variable},
		{Pattern: "srv/**", Class: Variable},
		{Pattern: "root/**", Class: Variable},
		{Pattern: "root/.bashrc", Class: Immutable},
		{Pattern: "root/.profile", Class: Immutable},
		// A login shell of root reads these in place of the one above.
		{Pattern: "root/.bash_profile", Class: Immutable},
		{Pattern: "root/.bash_login", Class: Immutable},
		{Pattern: "root/.ssh", Class: Seeded},
		{Pattern: "root/.ssh/authorized_keys", Class: Seeded},

		// State of the running system. The package database is not part of it:
		// a server is never patched in place.
		{Pattern: "boot/grub/grubenv", Class: Variable},
		{Pattern: "var/backups/**", Class: Variable},
		{Pattern: "var/cache/**", Class: Variable},
		{Pattern: "var/lib/**", Class: Variable},
		{Pattern: "var/lib/aide/aide.db", Class: Immutable},
		{Pattern: "var/lib/dpkg/**", Class: Immutable},
		{Pattern: "var/lib/dpkg/lock*", Class: Variable},
		{Pattern: "var/lib/dpkg/triggers/Lock", Class: Variable},
		{Pattern: "var/lib/dpkg/*-old", Class: Variable},
		{Pattern: "var/lib/dbus/machine-id", Class: Seeded},
		{Pattern: "var/lib/systemd/credential.secret", Class: Seeded},
		{Pattern: "var/lib/systemd/random-seed", Class: Seeded},
		{Pattern: "var/lib/pam/**", Class: Immutable},
		{Pattern: "var/lib/systemd/deb-systemd-helper-enabled/**", Class: Immutable},
		{Pattern: "var/lib/systemd/deb-systemd-helper-masked/**", Class: Immutable},
		{Pattern: "var/lib/ucf/**", Class: Immutable},
		// ucf's older copies of its two files.
		{Pattern: "var/lib/ucf/*.[0-9]", Class: Variable},
		{Pattern: "var/log/**", Class: Variable},
		{Pattern: "var/mail/**", Class: Variable},
		{Pattern: "var/spool/**", Class: Variable},
		// What runs on a server is its image's.
		{Pattern: "var/spool/cron/crontabs/**", Class: Immutable},
		{Pattern: "var/tmp/**", Class: Variable},
		// Where cloud-init keeps programs when none may run below /var/tmp.
		{Pattern: "usr/lib/cloud-init/clouddir", Class: Variable},
		{Pattern: "usr/lib/cloud-init/clouddir/**", Class: Variable},

		// Identity, made at first boot.
		{Pattern: "etc/machine-id", Class: Seeded},
		{Pattern: "etc/hostname", Class: Seeded},
		{Pattern: "etc/hosts", Class: Seeded},
		{Pattern: "etc/adjtime", Class: Seeded},
		{Pattern: "etc/default/locale", Class: Seeded},
		// What the one above points to on Debian 13.
		{Pattern: "etc/locale.conf", Class: Seeded},
		{Pattern: "etc/fstab", Class: Seeded},
		// The password of the boot menu, which differs from server to server.
		{Pattern: "boot/grub/user.cfg", Class: Seeded},
		{Pattern: "etc/ssh/ssh_host_*", Class: Seeded},
		{Pattern: "etc/ssh/sshd_config.d/50-cloud-init.conf", Class: Seeded},
		{Pattern: "etc/ssl/certs/ssl-cert-snakeoil.pem", Class: Seeded},
		// openssl's hash link to it is named after the host.
		{Pattern: "etc/ssl/certs/*.[0-9]", Class: Seeded, Target: "ssl-cert-snakeoil.pem"},
		{Pattern: "etc/ssl/private/ssl-cert-snakeoil.key", Class: Seeded},
		// The database itself is data.
		{Pattern: "etc/postgresql/*/main", Class: Seeded},
		{Pattern: "etc/postgresql/*/main/**", Class: Seeded},
		{Pattern: "var/lib/postgresql/*/main", Class: Seeded},

		// Network, given by the place where the server runs.
		{Pattern: "etc/resolv.conf", Class: Seeded},
		{Pattern: "etc/netplan/50-cloud-init.yaml", Class: Seeded},
		{Pattern: "etc/network/interfaces.d/**", Class: Seeded},
		{Pattern: "etc/systemd/network/10-cloud-init-*", Class: Seeded},

		// Accounts that cloud-init adds for those who administer the server.
		{Pattern: "etc/passwd", Class: Seeded},
		{Pattern: "etc/group", Class: Seeded},
		{Pattern: "etc/shadow", Class: Seeded},
		{Pattern: "etc/gshadow", Class: Seeded},
		{Pattern: "etc/subuid", Class: Seeded},
		{Pattern: "etc/subgid", Class: Seeded},
		{Pattern: "etc/sudoers.d/90-cloud-init-users", Class: Seeded},
		{Pattern: "etc/passwd-", Class: Variable},
		{Pattern: "etc/group-", Class: Variable},
		{Pattern: "etc/shadow-", Class: Variable},
		{Pattern: "etc/gshadow-", Class: Variable},
		{Pattern: "etc/subuid-", Class: Variable},
		{Pattern: "etc/subgid-", Class: Variable},
		{Pattern: "etc/.pwd.lock", Class: Variable},
	}
}
