package pam_test

import (
	"context"
	"path"
	"strings"
	"testing"

	"imgbuild/provisioners/pam"
	"imgbuild/provisioners/system"
)

// services are the shared files as they should be, with some of Debian's services.
func services() map[string]string {
	return map[string]string{
		"common-auth":     "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_cap.so\n",
		"common-account":  "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
		"common-password": "password requisite pam_pwquality.so\npassword [success=1 default=ignore] pam_unix.so use_authtok yescrypt\npassword requisite pam_deny.so\npassword required pam_permit.so\n",
		"login":           "auth optional pam_faildelay.so delay=3\nauth requisite pam_nologin.so\n@include common-auth\nauth optional pam_group.so\n@include common-account\n@include common-password\n",
		"other":           "@include common-auth\n@include common-account\n@include common-password\n",
		"su":              "auth sufficient pam_rootok.so\nauth include common-auth\naccount substack common-account\n",
		"runuser":         "auth sufficient pam_rootok.so\nsession required pam_unix.so\n",
		"chsh":            "auth required pam_shells.so\nauth sufficient pam_rootok.so\n@include common-auth\n",
		"cron":            "@include common-account\nsession required pam_limits.so\n",
		"passwd":          "@include common-password\n",
		"gdm-autologin":   "auth required pam_permit.so\n",
		"sshd.dpkg-old":   "auth required pam_permit.so\n",
	}
}

// TestServicesThatGoTheirOwnWay changes one file of a healthy system; want is a
// part of what is found, "" for nothing.
func TestServicesThatGoTheirOwnWay(t *testing.T) {
	const (
		unixAuth    = "{stack: common-auth, everywhere: true, type: auth, control: '[success=end default=ignore]', module: pam_unix.so}"
		unixAccount = "{stack: common-account, everywhere: true, type: account, control: '[success=end new_authtok_reqd=done default=ignore]', module: pam_unix.so}"
		faillock    = "{stack: common-auth, everywhere: true, type: auth, control: required, module: pam_faillock.so, arguments: [preauth]}"
		quality     = "{stack: common-password, everywhere: true, type: password, control: requisite, module: pam_pwquality.so, before: pam_unix.so}"
		nullok      = "{stack: common-auth, everywhere: true, type: auth, module: pam_unix.so, arguments-absent: [nullok]}"
		hash        = "{stack: common-password, everywhere: true, type: password, module: pam_unix.so, arguments: [yescrypt], arguments-absent: [md5]}"
		minlen      = "{stack: common-password, everywhere: true, type: password, module: pam_pwquality.so, arguments-absent: [minlen]}"
	)
	type files map[string]string
	for _, c := range []struct {
		name, recipe string
		change       files
		want         string
		mends        bool
	}{
		{"healthy", unixAuth, nil, "", false},
		{"healthy", unixAccount, nil, "", false},
		{"healthy", faillock, nil, "", false},
		{"healthy", quality, nil, "", false},
		{"healthy", nullok, nil, "", false},
		{"healthy", hash, nil, "", false},
		{"nobody is asked", unixAuth, files{"sshd": "auth required pam_permit.so\n"}, "/etc/pam.d/sshd: auth pam_unix.so is lets in", false},
		{"nobody is asked by the vendor's", unixAuth, files{"/usr/lib/pam.d/sshd": "auth required pam_permit.so\n"}, "/etc/pam.d/sshd", false},
		{"the vendor's is hidden", unixAuth, files{"/usr/lib/pam.d/login": "auth required pam_permit.so\n"}, "", false},
		{"what is asked does not count", unixAuth, files{"sshd": "auth optional pam_unix.so\nauth required pam_permit.so\n"}, "/etc/pam.d/sshd", false},
		{"nothing denies", unixAuth, files{"common-auth": "auth [success=1 default=ignore] pam_unix.so\nauth optional pam_deny.so\nauth required pam_permit.so\n"}, "/etc/pam.d/chsh", false},
		{"a group is asked nothing", unixAuth, files{"su": "auth sufficient pam_wheel.so trust\n@include common-auth\n"}, "/etc/pam.d/su", false},
		{"everyone besides root denied", unixAuth, files{"panel": "auth sufficient pam_rootok.so\nauth required pam_deny.so\n"}, "", false},
		{"another proof", unixAuth, files{"sshd": "auth required pam_google_authenticator.so\n"}, "", false},
		{"another proof before it", unixAuth, files{"sshd": "auth [success=done default=ignore] pam_sss.so\n@include common-auth\n"}, "", false},
		{"a failure is forgotten", unixAuth, files{"sshd": "auth required pam_unix.so\nauth [success=reset] pam_env.so\nauth required pam_permit.so\n"}, "/etc/pam.d/sshd", false},
		{"a failure in a substack", unixAuth, files{"sshd": "auth [default=ignore success=1] pam_env.so\nauth substack common-auth\nauth required pam_permit.so\n"}, "/etc/pam.d/sshd", false},
		{"an account is not asked", unixAccount, files{"sshd": "@include common-auth\naccount required pam_permit.so\n"}, "/etc/pam.d/sshd: account", false},
		{"its own password", faillock, files{"login": "auth required pam_unix.so\n"}, "/etc/pam.d/login: auth pam_faillock.so is absent", false},
		{"the same by itself", faillock, files{"login": "auth required pam_faillock.so preauth\nauth required pam_unix.so\n"}, "", false},
		{"by way of another file", faillock, files{"login": "@include mine\n", "mine": "auth substack common-auth\n"}, "", false},
		{"a success before it", faillock, files{"su": "auth sufficient pam_ldap.so\n@include common-auth\n"}, "never reached", false},
		{"for root alone before it", faillock, files{"su": "auth sufficient pam_succeed_if.so uid = 0\n@include common-auth\n"}, "", false},
		{"for a group before it", faillock, files{"su": "auth sufficient pam_succeed_if.so user ingroup adm\n@include common-auth\n"}, "never reached", false},
		{"a group jumps over it", faillock, files{"common-auth": "auth [success=1 default=ignore] pam_succeed_if.so user ingroup adm\nauth required pam_faillock.so preauth\nauth required pam_unix.so\n"}, "jump over it", false},
		{"root jumps over it", faillock, files{"common-auth": "auth [success=1 default=ignore] pam_rootok.so\nauth required pam_faillock.so preauth\nauth required pam_unix.so\n"}, "", false},
		{"a module of that name elsewhere", faillock, files{"login": "auth required /opt/pam_faillock.so preauth\nauth required pam_unix.so\n"}, "/etc/pam.d/login", false},
		{"its own", quality, files{"passwd": "password required pam_unix.so yescrypt\n"}, "/etc/pam.d/passwd: password pam_pwquality.so is absent", false},
		{"empty passwords", nullok, files{"sshd": "auth required pam_unix.so nullok # why\n"}, "/etc/pam.d/sshd", true},
		{"another hash", hash, files{"passwd": "password\trequired  pam_unix.so md5\n"}, "/etc/pam.d/passwd", true},
		{"shorter", minlen, files{"passwd": "password requisite pam_pwquality.so minlen=4\npassword required pam_unix.so\n"}, "/etc/pam.d/passwd", true},
		{"made for another system", unixAuth, files{"vendor": "auth include system-auth\nauth required pam_permit.so\n"}, "", false},
		{"unknown control", nullok, files{"sshd": "auth requird pam_unix.so\n"}, "error", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := map[string]string{}
			for _, part := range []map[string]string{services(), c.change} {
				for name, text := range part {
					if !path.IsAbs(name) {
						name = "/etc/pam.d/" + name
					}
					all[name] = text
				}
			}
			s, l, ctx := memory(t, all), line(t, "x", c.recipe), context.Background()
			d, err := l.Check(ctx, s)
			got := ""
			if err != nil {
				got = "error"
			} else if len(d) > 0 {
				got = d[0].String()
			}
			if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
				t.Fatalf("got %q, want %q: %v", got, c.want, err)
			}
			changed, err := l.Apply(ctx, s)
			if changed != c.mends || (err == nil) != (c.mends || c.want == "") {
				t.Fatalf("changed %v, %v", changed, err)
			}
			if text, _, err := system.ReadText(s, "/etc/pam.d/common-auth", 1<<20); err != nil || text != all["/etc/pam.d/common-auth"] {
				t.Errorf("the shared file became %q, %v", text, err)
			}
		})
	}
}

// TestUsesAreFoundOnce though files are included by many.
func TestUsesAreFoundOnce(t *testing.T) {
	all := map[string]string{}
	for name, text := range services() {
		all["/etc/pam.d/"+name] = text
	}
	uses, err := pam.Uses(memory(t, all), "password", "pam_unix.so")
	if err != nil || len(uses) != 1 || uses[0].File != "/etc/pam.d/common-password" || strings.Join(uses[0].Arguments, " ") != "use_authtok yescrypt" {
		t.Errorf("got %v, %v", uses, err)
	}
}
