package provisioners_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
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
		{"/etc/rsyslog.conf", "module(load=\"imuxsock\")\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /var/log/syslog\n", system.Attr{Mode: 0o644}},
		{"/etc/rsyslog.d/net.conf", "module(\n  load=\"imudp\"\n)\n# mine\nmail.* action(type=\"omfile\" file=\"/var/log/mail\")\n", system.Attr{Mode: 0o640, GID: 4}},
		{"/etc/logrotate.conf", "weekly\nrotate 4\ncreate\ninclude /etc/logrotate.d\n", system.Attr{Mode: 0o644}},
		{"/etc/logrotate.d/web", "/var/log/web/*.log {\n\tdaily\n\tcreate 0664 www-data adm\n\tpostrotate\n\t\t}\n\tendscript\n}\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/nginx.service", "[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target\nAlias=web.service\nAlso=nginx.socket\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/nginx.socket", "[Install]\nWantedBy=sockets.target\n", system.Attr{Mode: 0o644}},
		{"/usr/lib/systemd/system/getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n", system.Attr{Mode: 0o644}},
		{"/etc/apparmor.d/usr.bin.tool", "/usr/bin/tool flags=(complain) {\n  /etc/tool.conf r,\n}\n", system.Attr{Mode: 0o644}},
		{"/etc/nginx/nginx.conf", "user www-data;\nhttp {\n\tinclude conf.d/*.conf;\n\tserver { listen 80; autoindex on; }\n}\n", system.Attr{Mode: 0o640, GID: 33}},
		{"/etc/apache2/apache2.conf", "ServerTokens OS\nIncludeOptional mods-enabled/*.load\nIncludeOptional conf-enabled/*.conf\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/auth_basic.load", "# Depends: authn_core\nLoadModule auth_basic_module a.so\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/authn_core.load", "LoadModule authn_core_module b.so\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/status.load", "LoadModule status_module c.so\n", system.Attr{Mode: 0o644}},
		{"/etc/apache2/mods-available/status.conf", "ExtendedStatus On\n", system.Attr{Mode: 0o644}},
		{"/etc/ssl/openssl.cnf", "HOME = .\n", system.Attr{Mode: 0o644}},
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
		"/etc/apache2/mods-enabled/status.load":                       "../mods-available/status.load",
		"/etc/apache2/mods-enabled/status.conf":                       "../mods-available/status.conf",
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

// applyCase is a recipe, and what it changes in the system that before makes.
type applyCase struct {
	name, recipe string
	want         map[string]string
}

// cases are those of every type.
func cases() []applyCase {
	return slices.Concat(fileCases(), accountCases(), serviceCases(), kernelCases(), settingCases(), webCases(), guardCases())
}

// mistake is a recipe that is refused, and a part of what is said.
type mistake struct{ name, recipe, want string }

// mistakes are those of every type.
func mistakes() []mistake {
	return slices.Concat(fileMistakes(), accountMistakes(), serviceMistakes(), kernelMistakes(), settingMistakes(), guardMistakes())
}

func TestEveryTypeAppliesOnceAndThenAgrees(t *testing.T) {
	systems := map[string]func(t *testing.T) system.System{
		"memory": func(*testing.T) system.System { return system.NewMemory() },
		"root":   rootSystem,
	}
	for kind, open := range systems {
		for _, c := range cases() {
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
	for _, c := range mistakes() {
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
		"services: {ngnix: enabled}":                                                    `baselines/test.yaml:1:12: applying service ngnix.service: the image has no unit "ngnix.service"; did you mean "nginx.service"?`,
		"files: {/etc/motd: {owner: www-dta}}":                                          `the image has no user "www-dta"; did you mean "www-data"?`,
		"files: {/srv/data: {content: x}}":                                              `a directory is in its place`,
		"files: {/etc/nothing: {mode: 0600}}":                                           `there is no such file`,
		"users: {a: {group: adn}}":                                                      `there is no group "adn"; did you mean "adm"?`,
		"users: {a: {uid: 33}}":                                                         `number 33 is taken`,
		"symlinks: {/srv/data: x}":                                                      `a directory is in its place`,
		"lines: {a: {path: /etc/nothing, line: x}}":                                     `editing a line`,
		"directories: {/etc/motd: {}}":                                                  `a regular file is in its place`,
		"directories: {/etc/motd/below: {}}":                                            `/etc/motd`,
		"lines: {a: {path: /etc/resolv.conf, line: x}}":                                 `no such file`,
		"mounts: {/srv: {separate: true}}":                                              `baselines/test.yaml:1:10: applying mount /srv: /srv is not a mount of its own`,
		"mounts: {/home: {type: tmpfs}}":                                                `/home is a file system of type ext4 in /etc/fstab:3, not tmpfs`,
		"packages: {chrony: present}":                                                   `reading dpkg's database: `,
		"units: {ngnix.service: {Service.UMask: 7}}":                                    `the system has no unit "ngnix.service"; did you mean "nginx.service"?`,
		"settings: {a: {path: /etc/default/nothing, format: equals, key: A, value: b}}": `there is no file /etc/default/nothing to give A a value in`,
		"sshd: {a: {any-of: [AllowUsers]}}":                                             `none of AllowUsers is set`,
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

func TestWhatTheRootWouldLoseIsRefused(t *testing.T) {
	n, err := node.Parse("baselines/test.yaml", project(), "baselines/test.yaml",
		[]byte("files: {/etc/motd: {content: x}}\nmounts: {/tmp: {options: [nodev]}}\nkernel-arguments: {audit: \"1\"}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provisioners.Decode(n, nil); err != nil {
		t.Errorf("where it boots: %v", err)
	}
	_, err = provisioners.DecodeRoot(n, nil)
	for _, want := range []string{
		`baselines/test.yaml:2:1: "mounts" belongs to what boots: write it below boot: resources:`,
		`baselines/test.yaml:3:1: "kernel-arguments" belongs to what boots`,
	} {
		if fault.KindOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if list, err := provisioners.DecodeRoot(nil, nil); err != nil || list != nil {
		t.Errorf("of nothing: %v, %v", list, err)
	}
}
