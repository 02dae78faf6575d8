package proofcontrols_test

import (
	"io/fs"
	"regexp"
	"strings"

	"imgbuild/provisioners/system"
)

// account adds a user by hand.
func account(h hand, name, uid, gid, home, shell, password string) {
	h.t.Helper()
	h.append("/etc/passwd", strings.Join([]string{name, "x", uid, gid, "", home, shell}, ":")+"\n")
	h.append("/etc/shadow", name+":"+password+":20000:1:365:7:45::\n")
}

// hash is a password's, of nobody.
const hash = "$y$j9T$abcdefghijklmnop$qrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0"

// person adds somebody who logs in, with a group and a home.
func person(h hand) {
	h.t.Helper()
	account(h, "alice", "1500", "1500", "/home/alice", "/bin/bash", hash)
	h.append("/etc/group", "alice:x:1500:\n")
	h.append("/etc/gshadow", "alice:!::\n")
	h.mkdir("/home/alice", 0o750)
	h.chown("/home/alice", 1500, 1500)
}

func groups(name string, s state) []way {
	return []way{
		{name: "deleted", subject: name, do: func(h hand) bool {
			is := regexp.MustCompile("^" + name + ":")
			h.out("/etc/gshadow", is)
			return h.out("/etc/group", is)
		}},
	}
}

func users(name string, s state) []way {
	is := regexp.MustCompile("^" + name + ":")
	field := func(i int, value string) func(h hand) bool {
		return func(h hand) bool {
			return h.edit("/etc/passwd", func(line string) string {
				if fields := strings.Split(line, ":"); is.MatchString(line) {
					fields[i] = value
					return strings.Join(fields, ":")
				}
				return line
			})
		}
	}
	list := []way{{name: "deleted", subject: name, do: func(h hand) bool { h.out("/etc/shadow", is); return h.out("/etc/passwd", is) }}}
	return append(list,
		way{name: "given a number of a person's", subject: name, do: field(2, "1234")},
		way{name: "made root", subject: name, do: field(2, "0")},
		way{name: "given a shell", subject: name, do: func(h hand) bool { return s.Shell != "" && field(6, "/bin/bash")(h) }},
	)
}

// ageingWrong are numbers that a field must not have, whatever its bounds: an
// empty or negative one is none at all (shadow(5)).
var ageingWrong = map[int][]string{3: {"0", "", "-1"}, 4: {"99999", "", "-1", "0"}, 5: {"0", "6", ""}, 6: {"90", "", "-1"}}

func ageing(_ string, s state) []way {
	with := func(index int, value string) way {
		return way{name: "a person with " + value + " in field " + string(rune('0'+index)), subject: "alice", do: func(h hand) bool {
			person(h)
			return h.edit("/etc/shadow", func(line string) string {
				if fields := strings.Split(line, ":"); fields[0] == "alice" {
					fields[index] = value
					return strings.Join(fields, ":")
				}
				return line
			})
		}}
	}
	// The day of the last change is to come.
	list := []way{with(2, "99999")}
	for i, part := range map[int]*state{3: s.MinDays, 4: s.MaxDays, 5: s.WarnDays, 6: s.InactiveDays} {
		if part == nil || i == 3 && bound(part.AtLeast) == "0" {
			continue
		}
		for _, value := range ageingWrong[i] {
			list = append(list, with(i, value))
		}
	}
	return list
}

// accountBreaks are the ways of breaking the rules for all accounts.
var accountBreaks = map[string][]way{
	"only-root-has-uid-0": {
		{name: "a second root", subject: "toor", do: func(h hand) bool { account(h, "toor", "0", "1000", "/root", "/bin/bash", hash); return true }},
		{name: "a second root, spelt 00", subject: "toor", do: func(h hand) bool { account(h, "toor", "00", "1000", "/root", "/bin/bash", hash); return true }},
	},
	"only-root-has-gid-0": {
		{name: "a user of root's group", subject: "toor", do: func(h hand) bool { account(h, "toor", "1500", "0", "/", "/bin/false", "*"); return true }},
		{name: "root in another group", subject: "root", do: func(h hand) bool {
			return h.replace("/etc/passwd", regexp.MustCompile("^root:x:0:0:"), "root:x:0:1:")
		}},
	},
	"only-group-root-has-gid-0": {
		{name: "a second group 0", subject: "wheel", do: func(h hand) bool { h.append("/etc/group", "wheel:x:0:\n"); return true }},
	},
	"root-password": {
		{name: "emptied", subject: "root", do: func(h hand) bool { return h.replace("/etc/shadow", regexp.MustCompile("^root:[^:]*:"), "root::") }},
		{name: "its record taken out", subject: "root", do: func(h hand) bool { return h.out("/etc/shadow", regexp.MustCompile("^root:")) }},
	},
	"root-path": {
		{name: "with the current directory", subject: "PATH", do: func(h hand) bool { h.append("/root/.profile", "PATH=$PATH:.\n"); return true }},
		{name: "with an empty place", subject: "PATH", do: func(h hand) bool { h.append("/etc/profile.d/zz.sh", "export PATH=/usr/bin::/bin\n"); return true }},
		{name: "with a directory of another's", subject: "PATH", do: func(h hand) bool {
			h.mkdir("/opt/tools", 0o755)
			h.chown("/opt/tools", 1000, 1000)
			h.append("/root/.bashrc", "export PATH=/opt/tools:$PATH\n")
			return true
		}},
		{name: "with a directory that others write to", subject: "PATH", do: func(h hand) bool {
			h.chmod("/usr/local/bin", 0o777)
			return h.added("/etc/environment", "PATH=\"/usr/local/bin:/usr/bin\"\n")
		}},
		{name: "in login.defs", subject: "ENV_SUPATH", do: func(h hand) bool {
			return h.exists("/etc/login.defs") && h.added("/etc/login.defs", "ENV_SUPATH PATH=/sbin:/bin:/tmp\n")
		}},
	},
	"system-accounts-no-shell": {
		{name: "a service with a shell", subject: "daemon", do: func(h hand) bool {
			return h.replace("/etc/passwd", regexp.MustCompile("^(daemon:.*):[^:]*$"), "$1:/bin/sh")
		}},
		{name: "a service with the default shell", subject: "daemon", do: func(h hand) bool { return h.replace("/etc/passwd", regexp.MustCompile("^(daemon:.*):[^:]*$"), "$1:") }},
	},
	"no-shell-accounts-locked": {
		{name: "a password for a service", subject: "daemon", do: func(h hand) bool {
			return h.replace("/etc/shadow", regexp.MustCompile("^daemon:[^:]*:"), "daemon:"+strings.ReplaceAll(hash, "$", "$$")+":")
		}},
		{name: "a person without a shell", subject: "alice", do: func(h hand) bool {
			person(h)
			return h.replace("/etc/passwd", regexp.MustCompile("^(alice:.*):[^:]*$"), "$1:/usr/sbin/nologin")
		}},
	},
	"nologin-no-shell": {
		{name: "listed", subject: "nologin", do: func(h hand) bool { return h.added("/etc/shells", "/usr/sbin/nologin\n") }},
		{name: "listed at its old place", subject: "nologin", do: func(h hand) bool { return h.added("/etc/shells", "/sbin/nologin # for ftp\n") }},
	},
	"session-timeout": {
		{name: "longer in a later file", subject: "TMOUT", do: func(h hand) bool { return h.added("/etc/profile.d/zzz-local.sh", "TMOUT=3600\n") }},
		{name: "turned off in bash.bashrc", subject: "TMOUT", do: func(h hand) bool { return h.added("/etc/bash.bashrc", "export TMOUT=0\n") }},
		{name: "taken out", subject: "TMOUT", do: func(h hand) bool {
			return everywhere(h.files("/etc/profile.d"), func(file string) bool { return h.out(file, regexp.MustCompile("TMOUT=[0-9]")) })
		}},
		{name: "its file removed", subject: "TMOUT", do: func(h hand) bool {
			return everywhere(h.files("/etc/profile.d"), func(file string) bool {
				if !strings.Contains(h.text(file), "TMOUT") {
					return false
				}
				h.remove(file)
				return true
			})
		}},
	},
	"default-umask": {
		{name: "lax in a later file", subject: "umask", do: func(h hand) bool { return h.added("/etc/profile.d/zzz-local.sh", "umask 022\n") }},
		{name: "lax in bash.bashrc", subject: "umask", do: func(h hand) bool { return h.added("/etc/bash.bashrc", "umask 0002\n") }},
		{name: "lax in words", subject: "umask", do: func(h hand) bool { return h.added("/etc/profile", "umask u=rwx,g=rx,o=rx\n") }},
		{name: "lax in login.defs", subject: "UMASK", do: func(h hand) bool { return h.replace("/etc/login.defs", regexp.MustCompile(`^UMASK\s.*`), "UMASK 022") }},
		{name: "taken out of login.defs", subject: "UMASK", do: func(h hand) bool { return h.out("/etc/login.defs", regexp.MustCompile(`^UMASK\s`)) }},
		{name: "taken out of the profiles", subject: "umask", do: func(h hand) bool {
			return everywhere(h.files("/etc/profile.d", "/etc/profile"), func(file string) bool { return h.out(file, regexp.MustCompile(`^\s*umask\s`)) })
		}},
		{name: "lax by pam_umask", subject: "pam_umask", do: func(h hand) bool {
			return h.added("/etc/pam.d/common-session", "session optional pam_umask.so umask=022\n")
		}},
	},
	"root-umask": {
		{name: "lax", subject: "umask", do: func(h hand) bool { return h.added("/root/.profile", "umask 022\n") }},
	},
	"strong-hashes": {
		hashed("$1$abcdefgh$abcdefghijklmnopqrstuv"), hashed("abJnggxhB/yWI"), hashed("$5$abcdefgh$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"),
	},
	"passwords-shadowed": {
		{name: "a hash in passwd", subject: "daemon", do: func(h hand) bool {
			return h.replace("/etc/passwd", regexp.MustCompile("^daemon:x:"), "daemon:"+strings.ReplaceAll(hash, "$", "$$")+":")
		}},
		{name: "nothing in passwd", subject: "daemon", do: func(h hand) bool { return h.replace("/etc/passwd", regexp.MustCompile("^daemon:x:"), "daemon::") }},
	},
	"no-empty-passwords": {
		{name: "emptied", subject: "daemon", do: func(h hand) bool { return h.replace("/etc/shadow", regexp.MustCompile("^daemon:[^:]*:"), "daemon::") }},
		{name: "a new one without", subject: "alice", do: func(h hand) bool {
			person(h)
			return h.replace("/etc/shadow", regexp.MustCompile("^alice:[^:]*:"), "alice::")
		}},
		{name: "nothing in passwd", subject: "daemon", do: func(h hand) bool { return h.replace("/etc/passwd", regexp.MustCompile("^daemon:x:"), "daemon::") }},
	},
	"primary-groups-exist": {
		{name: "a user of no group", subject: "alice", do: func(h hand) bool { account(h, "alice", "1500", "4711", "/home/alice", "/bin/bash", "*"); return true }},
		{name: "a group deleted", subject: "daemon", do: func(h hand) bool { return h.out("/etc/group", regexp.MustCompile("^daemon:")) }},
	},
	"shadow-group-empty": {
		{name: "a member", subject: "shadow", do: func(h hand) bool { return h.replace("/etc/group", regexp.MustCompile("^(shadow:.*:)$"), "${1}daemon") }},
		{name: "a member in gshadow", subject: "shadow", do: func(h hand) bool {
			return h.replace("/etc/gshadow", regexp.MustCompile("^(shadow:.*:)$"), "${1}daemon")
		}},
		{name: "the group of a user", subject: "alice", do: func(h hand) bool { account(h, "alice", "1500", "42", "/", "/bin/false", "*"); return true }},
	},
	"unique-uids": {
		{name: "a number twice", subject: "1", do: func(h hand) bool { account(h, "daemon2", "1", "1", "/", "/usr/sbin/nologin", "*"); return true }},
		{name: "a number twice, spelt 01", subject: "1", do: func(h hand) bool { account(h, "daemon2", "01", "1", "/", "/usr/sbin/nologin", "*"); return true }},
	},
	"unique-gids": {
		{name: "a number twice", subject: "1", do: func(h hand) bool { return h.added("/etc/group", "daemon2:x:1:\n") }},
	},
	"unique-user-names": {
		{name: "a name twice", subject: "daemon", do: func(h hand) bool { return h.added("/etc/passwd", "daemon:x:1500:1::/:/usr/sbin/nologin\n") }},
	},
	"unique-group-names": {
		{name: "a name twice", subject: "daemon", do: func(h hand) bool { return h.added("/etc/group", "daemon:x:1500:\n") }},
	},
	"home-directories": {
		{name: "open to others", subject: "/home/alice", do: func(h hand) bool { person(h); h.chmod("/home/alice", 0o755); return true }},
		{name: "written to by the group", subject: "/home/alice", do: func(h hand) bool { person(h); h.chmod("/home/alice", 0o770); return true }},
		{name: "of another's", subject: "/home/alice", do: func(h hand) bool { person(h); h.chown("/home/alice", 1501, 1500); return true }},
		{name: "missing", subject: "/home/alice", do: func(h hand) bool { person(h); h.remove("/home/alice"); return true }},
		{name: "root's open", subject: "/root", do: func(h hand) bool { h.chmod("/root", 0o755); return true }},
		{name: "the root directory", subject: "alice", do: func(h hand) bool {
			person(h)
			return h.replace("/etc/passwd", regexp.MustCompile("/home/alice"), "/")
		}},
	},
	"dot-files": {
		{name: "a profile that everyone writes to", subject: "/home/alice/.profile", do: func(h hand) bool {
			person(h)
			h.create("/home/alice/.profile", "", system.Attr{Mode: 0o666, UID: 1500, GID: 1500})
			return true
		}},
		{name: "a profile of another's", subject: "/home/alice/.bashrc", do: func(h hand) bool {
			person(h)
			h.create("/home/alice/.bashrc", "", system.Attr{Mode: 0o644, UID: 33, GID: 1500})
			return true
		}},
		{name: "a history that others read", subject: "/home/alice/.bash_history", do: func(h hand) bool {
			person(h)
			h.create("/home/alice/.bash_history", "", system.Attr{Mode: 0o644, UID: 1500, GID: 1500})
			return true
		}},
		{name: "trust in machines", subject: "/root/.rhosts", do: func(h hand) bool {
			h.create("/root/.rhosts", "a b\n", system.Attr{Mode: 0o600})
			return true
		}},
		{name: "passwords in .netrc", subject: "/root/.netrc", do: func(h hand) bool {
			h.create("/root/.netrc", "machine a\n", system.Attr{Mode: 0o600})
			return true
		}},
	},
}

// hashed gives a person a hash of another kind.
func hashed(with string) way {
	return way{name: "a hash such as " + with[:2], subject: "alice", do: func(h hand) bool {
		person(h)
		return h.edit("/etc/shadow", func(line string) string { return strings.Replace(line, "alice:"+hash, "alice:"+with, 1) })
	}}
}

// added appends and says that it did.
func (h hand) added(name, text string) bool {
	h.t.Helper()
	h.append(name, text)
	return true
}

func accounts(name string, _ state) []way { return accountBreaks[name] }

// sweepBreaks are files that sweeps must find.
var sweepBreaks = map[string][]way{
	"world-writable": {
		found("/etc/local.conf", 0o666, 0, 0), found("/var/lib/app/state", 0o602, 33, 33), found("/usr/local/bin/tool", 0o777, 0, 0), found("/home/file", 0o646, 0, 0),
		found("/srv/a b\nc", 0o666, 0, 0),
	},
	"sticky":  {foundDir("/srv/share", 0o777), foundDir("/var/lib/drop", 0o773), foundDir("/tmp", 0o777)},
	"unowned": {found("/opt/tool", 0o755, 4711, 0), found("/var/cache/tool", 0o644, 0, 4711), foundOwned("/srv/dir", 4711)},
	"setuid": {
		found("/usr/local/bin/mine", 0o755|fs.ModeSetuid, 0, 0), found("/var/lib/.hidden", 0o700|fs.ModeSetuid, 0, 0), found("/usr/bin/cat", 0o755|fs.ModeSetgid, 0, 0),
		found("/tmp/x", 0o755|fs.ModeSetuid|fs.ModeSetgid, 0, 0), found("/usr/bin/wall", 0o755|fs.ModeSetuid, 0, 0), found("/usr/bin/su", 0o755|fs.ModeSetuid, 1, 0),
	},
	"ssh-host-keys": {
		found("/etc/ssh/ssh_host_ed25519_key", 0o640, 0, 0), found("/etc/ssh/ssh_host_rsa_key", 0o600, 1000, 0), found("/etc/ssh/ssh_host_rsa_key.pub", 0o666, 0, 0),
	},
	"cron":         {found("/etc/crontab", 0o644, 0, 0), foundDir("/etc/cron.d", 0o755), foundDir("/etc/cron.daily", 0o750|0o005)},
	"logs":         {found("/var/log/app.log", 0o666, 0, 0), found("/var/log/app/error.log", 0o644, 0, 0), found("/var/log/x", 0o640, 1000, 0)},
	"system-files": {found("/etc/nginx/own.conf", 0o664, 0, 33), found("/usr/bin/own", 0o777, 0, 0), foundDir("/etc/own", 0o777)},
}

func sweeps(name string, _ state) []way { return sweepBreaks[name] }

func found(name string, mode fs.FileMode, uid, gid int) way {
	return way{name: name + " " + mode.String(), subject: name, do: func(h hand) bool {
		h.create(name, h.text(name), system.Attr{Mode: mode, UID: uid, GID: gid})
		return true
	}}
}

func foundDir(name string, mode fs.FileMode) way {
	return way{name: name + " " + mode.String(), subject: name, do: func(h hand) bool {
		if !h.exists(name) {
			h.mkdir(name, mode)
		}
		h.chmod(name, mode)
		return true
	}}
}

func foundOwned(name string, uid int) way {
	return way{name: name + " of nobody", subject: name, do: func(h hand) bool {
		h.mkdir(name, 0o755)
		h.chown(name, uid, 0)
		return true
	}}
}
