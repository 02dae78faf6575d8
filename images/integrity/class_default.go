package integrity

// DefaultRules are the classes of the paths of a Debian server. Sealing, the
// manifest, file integrity monitoring and drift detection all use this list.
func DefaultRules() Rules {
	return Rules{
		// What the kernel and early boot mount over.
		{"dev/**", Variable},
		{"proc/**", Variable},
		{"run/**", Variable},
		{"sys/**", Variable},
		{"tmp/**", Variable},
		{"lost+found", Variable},
		{"lost+found/**", Variable},

		// Data and mount points.
		{"home/**", Variable},
		{"media/**", Variable},
		{"mnt/**", Variable},
		{"srv/**", Variable},
		{"root/**", Variable},
		{"root/.bashrc", Immutable},
		{"root/.profile", Immutable},
		{"root/.ssh", Seeded},
		{"root/.ssh/authorized_keys", Seeded},

		// State of the running system. The package database is not part of it:
		// a server is never patched in place.
		{"boot/grub/grubenv", Variable},
		{"var/backups/**", Variable},
		{"var/cache/**", Variable},
		{"var/lib/**", Variable},
		{"var/lib/dpkg/**", Immutable},
		{"var/lib/dpkg/lock*", Variable},
		{"var/lib/dpkg/triggers/Lock", Variable},
		{"var/lib/dbus/machine-id", Seeded},
		{"var/lib/systemd/random-seed", Seeded},
		{"var/lib/pam/**", Immutable},
		{"var/lib/systemd/deb-systemd-helper-enabled/**", Immutable},
		{"var/lib/systemd/deb-systemd-helper-masked/**", Immutable},
		{"var/lib/ucf/**", Immutable},
		{"var/log/**", Variable},
		{"var/mail/**", Variable},
		{"var/spool/**", Variable},
		{"var/tmp/**", Variable},

		// Identity, made at first boot.
		{"etc/machine-id", Seeded},
		{"etc/hostname", Seeded},
		{"etc/hosts", Seeded},
		{"etc/adjtime", Seeded},
		{"etc/fstab", Seeded},
		{"etc/ssh/ssh_host_*_key", Seeded},
		{"etc/ssh/ssh_host_*_key.pub", Seeded},
		{"etc/ssh/sshd_config.d/50-cloud-init.conf", Seeded},
		{"etc/ssl/certs/ssl-cert-snakeoil.pem", Seeded},
		{"etc/ssl/private/ssl-cert-snakeoil.key", Seeded},

		// Network, given by the place where the server runs.
		{"etc/resolv.conf", Seeded},
		{"etc/netplan/50-cloud-init.yaml", Seeded},
		{"etc/network/interfaces.d/**", Seeded},
		{"etc/systemd/network/10-cloud-init-*", Seeded},

		// Accounts that cloud-init adds for those who administer the server.
		{"etc/passwd", Seeded},
		{"etc/group", Seeded},
		{"etc/shadow", Seeded},
		{"etc/gshadow", Seeded},
		{"etc/subuid", Seeded},
		{"etc/subgid", Seeded},
		{"etc/sudoers.d/90-cloud-init-users", Seeded},
		{"etc/passwd-", Variable},
		{"etc/group-", Variable},
		{"etc/shadow-", Variable},
		{"etc/gshadow-", Variable},
		{"etc/subuid-", Variable},
		{"etc/subgid-", Variable},
		{"etc/.pwd.lock", Variable},
	}
}
