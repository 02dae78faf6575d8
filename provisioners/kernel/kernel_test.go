package kernel_test

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/kernel"
	"imgbuild/provisioners/system"
)

func sysctl(t *testing.T, key, value string) *kernel.Sysctl {
	t.Helper()
	s, err := kernel.NewSysctl(entry(t, key, fmt.Sprintf("%q", value)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func module(t *testing.T, name, state string) *kernel.Module {
	t.Helper()
	m, err := kernel.NewModule(entry(t, name, state))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func argument(t *testing.T, name, value string) *kernel.Argument {
	t.Helper()
	a, err := kernel.NewArgument(entry(t, name, value))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// memory is a system with files.
func memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		err := system.MkdirAll(s, path.Dir(name))
		if target, link := strings.CutPrefix(text, "-> "); err == nil && link {
			err = s.Symlink(target, name)
		} else if err == nil {
			err = s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// said are the differences of a resource in a few words.
func said(t *testing.T, r resource, s system.Reader) []string {
	t.Helper()
	differences, err := r.Check(context.Background(), s)
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	var list []string
	for _, d := range differences {
		list = append(list, d.String())
	}
	return list
}

func TestWhatAParameterLacks(t *testing.T) {
	const key = "net.ipv4.ip_forward"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing", nil, []string{"sysctl.d: net.ipv4.ip_forward is not set, should be 0"}},
		{"nothing but the kernel's default", map[string]string{"/proc/sys/net/ipv4/ip_forward": "0\n"}, []string{"sysctl.d: net.ipv4.ip_forward is not set, should be 0"}},
		{"set", map[string]string{"/usr/lib/sysctl.d/a.conf": key + "=0"}, nil},
		{"by a path", map[string]string{"/lib/sysctl.d/a.conf": "net/ipv4/ip_forward = 0"}, nil},
		{"by a pattern", map[string]string{"/etc/sysctl.d/a.conf": "net.ipv4.ip_* = 0"}, nil},
		{"excluded from the pattern", map[string]string{"/etc/sysctl.d/a.conf": "net.ipv4.ip_* = 0\n-" + key}, []string{"sysctl.d: " + key + " is not set, should be 0"}},
		{"set and running otherwise", map[string]string{"/etc/sysctl.d/a.conf": key + "=0", "/proc/sys/net/ipv4/ip_forward": "1\n"}, []string{"/proc/sys/net/ipv4/ip_forward is 1, should be 0"}},
		{"hidden by a link to nothing", map[string]string{"/usr/lib/sysctl.d/a.conf": key + "=0", "/etc/sysctl.d/a.conf": "-> /dev/null"}, []string{"sysctl.d: " + key + " is not set, should be 0"}},
		{"a value with a comment", map[string]string{"/etc/sysctl.d/a.conf": key + " = 0 # off"}, []string{"/etc/sysctl.d/a.conf: " + key + " is 0 # off, should be 0"}},
		{"contradicted where it loses", map[string]string{"/etc/sysctl.d/a.conf": key + "=1", "/etc/sysctl.d/b.conf": key + "=0"}, []string{"/etc/sysctl.d/a.conf: " + key + " is 1, should be 0"}},
		{"contradicted by a package where it loses", map[string]string{"/usr/lib/sysctl.d/a.conf": key + "=1", "/etc/sysctl.d/b.conf": key + "=0"}, nil},
		{"won over by a package", map[string]string{"/etc/sysctl.d/99-zz-imgbuild.conf": key + "=0", "/usr/lib/sysctl.d/zz.conf": key + "=1"}, []string{"/usr/lib/sysctl.d/zz.conf: " + key + " is 1, should be 0"}},
		{"excluded after it was set", map[string]string{"/etc/sysctl.d/99-zz-imgbuild.conf": key + "=0", "/usr/lib/sysctl.d/zz.conf": "-" + key}, []string{"sysctl.d: " + key + " is not set, should be 0"}},
		{"in sysctl.conf, which systemd does not read", map[string]string{"/etc/sysctl.conf": key + "=0"}, []string{"sysctl.d: " + key + " is not set, should be 0"}},
		{"in sysctl.conf by a link", map[string]string{"/etc/sysctl.conf": key + "=0", "/etc/sysctl.d/99-sysctl.conf": "-> ../sysctl.conf"}, nil},
		{"contradicted in sysctl.conf", map[string]string{"/etc/sysctl.conf": key + "=1", "/usr/lib/sysctl.d/z.conf": key + "=0"}, []string{"/etc/sysctl.conf: " + key + " is 1, should be 0"}},
		{"not text", map[string]string{"/etc/sysctl.d/a.conf": key + "=\x000"}, []string{"error: reading /etc/sysctl.d/a.conf: line 1 holds a character that ends it for some programs and not for others"}},
		{"too many", map[string]string{"/etc/sysctl.d/a.conf": strings.Repeat("a.b=1\n", 20_000)}, []string{"error: reading sysctl.d: more than 10000 assignments"}},
		{"too often", map[string]string{"/etc/sysctl.d/a.conf": strings.Repeat(key+"=1\n", 200)}, []string{"error: reading sysctl.d: net.ipv4.ip_forward is assigned more than 100 times"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, said(t, sysctl(t, key, "0"), memory(t, c.files))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestWhatUFWSets has the file that an enabled ufw loads after all others.
func TestWhatUFWSets(t *testing.T) {
	const key, file = "net.ipv4.conf.all.log_martians", "/etc/ufw/sysctl.conf"
	for _, c := range []struct{ enabled, sets, text string }{
		{"yes", file, "net/ipv4/conf/all/log_martians=0\n"}, {"YES", "\"" + file + "\"", "# x\n" + key + " = 0\n"}, {"'yes'", "/other\nIPT_SYSCTL=" + file, key + "=0"},
		{"no", file, key + "=0\n"}, {"yes", "", key + "=0\n"}, {"yes", "/other", key + "=0\n"}, {"yes", file, key + "=1\n"}, {"yes", file, "a.b=0\n"},
	} {
		s := memory(t, map[string]string{
			"/etc/sysctl.d/a.conf": key + " = 1\n", "/etc/ufw/ufw.conf": "# x\nENABLED=" + c.enabled + "\n", "/etc/default/ufw": "IPV6=yes\nIPT_SYSCTL=" + c.sets + "\n", file: c.text,
		})
		r := sysctl(t, key, "1")
		undone := !strings.Contains(c.enabled, "no") && strings.Contains(c.sets, file) && strings.Contains(c.text, "log_martians") && !strings.HasSuffix(strings.TrimSpace(c.text), "1")
		var want []string
		if undone {
			want = []string{file + ": " + key + " is 0, should be 1"}
		}
		if diff := cmp.Diff(want, said(t, r, s)); diff != "" {
			t.Errorf("%+v: -want +got:\n%s", c, diff)
		}
		changed, err := r.Apply(context.Background(), s)
		if err != nil || changed != undone || said(t, r, s) != nil {
			t.Errorf("%+v: applied: %v, %v, then %v", c, changed, err, said(t, r, s))
		}
		if again, err := r.Apply(context.Background(), s); again || err != nil {
			t.Errorf("%+v: applied again: %v, %v", c, again, err)
		}
	}
}

func TestBlanksWithinAValueCountAsOne(t *testing.T) {
	s := memory(t, map[string]string{
		"/etc/sysctl.d/a.conf": "kernel.printk = 3  4 1 3\n", "/proc/sys/kernel/printk": "3\t4\t1\t3\n",
	})
	if list := said(t, sysctl(t, "kernel.printk", "3 4 1 3"), s); list != nil {
		t.Errorf("%v", list)
	}
}

func TestWhatAModuleLacks(t *testing.T) {
	const off = "install dccp /bin/true\nblacklist dccp\n"
	for _, c := range []struct {
		name, state string
		files       map[string]string
		want        []string
	}{
		{"nothing", "blocked", nil, []string{"modprobe.d: install dccp is not there, should be /bin/false", "modprobe.d: blacklist dccp is not there, should be there"}},
		{"no kernel has it", "blocked", map[string]string{"/etc/modprobe.d/a.conf": off, "/lib/modules/6/modules.dep": "kernel/a.ko:\n"}, nil},
		{"built in", "blocked", map[string]string{"/etc/modprobe.d/a.conf": off, "/lib/modules/6/modules.dep": "", "/lib/modules/6/modules.builtin": "kernel/net/dccp/dccp.ko\n"},
			[]string{"/lib/modules/6/modules.builtin: dccp is built into the kernel, which nothing blocks, should be a module or absent"}},
		{"loaded already", "blocked", map[string]string{"/etc/modprobe.d/a.conf": off, "/proc/modules": "dccp_diag 1 0 - Live 0x0\ndccp 16384 0 - Live 0x0\n"},
			[]string{"/proc/modules: dccp is loaded, should be not loaded"}},
		{"not loaded", "blocked", map[string]string{"/etc/modprobe.d/a.conf": off, "/proc/modules": "dccp_diag 1 0 - Live 0x0\n"}, nil},
		{"another command first", "blocked", map[string]string{"/etc/modprobe.d/a.conf": "install dccp /sbin/modprobe -i dccp", "/etc/modprobe.d/b.conf": off},
			[]string{"/etc/modprobe.d/a.conf: install dccp is /sbin/modprobe -i dccp, should be /bin/false"}},
		{"a file that is not read", "blocked", map[string]string{"/etc/modprobe.d/a": off}, []string{"modprobe.d: install dccp is not there, should be /bin/false", "modprobe.d: blacklist dccp is not there, should be there"}},
		{"wanted", "loaded", nil, []string{"modules-load.d: dccp is not there, should be there"}},
		{"wanted and there", "loaded", map[string]string{"/usr/lib/modules-load.d/a.conf": "# x\n dccp \n", "/lib/modules/6/modules.dep": "kernel/net/dccp.ko.xz: kernel/a.ko\n", "/proc/modules": "dccp 1 0 - Live 0x0\n"}, nil},
		{"wanted and blocked", "loaded", map[string]string{"/etc/modules-load.d/a.conf": "dccp", "/etc/modprobe.d/a.conf": off},
			[]string{"/etc/modprobe.d/a.conf: blacklist dccp is there, should be absent", "/etc/modprobe.d/a.conf: install dccp is there, should be absent"}},
		{"wanted of a kernel without it", "loaded", map[string]string{"/etc/modules-load.d/a.conf": "dccp", "/lib/modules/6/modules.dep": "kernel/net/dccp_ipv4.ko: kernel/net/dccp.ko\n"},
			[]string{"/lib/modules/6/modules.dep: dccp is not there, should be a module of the kernel"}},
		{"too often", "blocked", map[string]string{"/etc/modprobe.d/a.conf": strings.Repeat(off, 200)}, []string{"error: reading modprobe.d: more than 100 lines install dccp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, said(t, module(t, "dccp", c.state), memory(t, c.files))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// menu has what Debian's grub-mkconfig writes, shortened, and worse.
const menu = `set default="0"
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
function load_video {
  insmod all_video
}
menuentry 'Debian GNU/Linux; linux /not/this' --class debian $menuentry_id_option 'gnulinux-simple' {
	load_video
	# linux	/boot/vmlinuz-0 root=/dev/sda1
	echo	'Loading Linux ...'
	linux	/boot/vmlinuz-6.1.0-2 root=UUID=1 ro  quiet apparmor=0 "apparmor=0"
	initrd	/boot/initrd.img-6.1.0-2
}
submenu 'more' { menuentry 'old' { linux /boot/vmlinuz-6.1.0-1 root=UUID=1 \
  ro 'quiet' audit-backlog-limit=64 -- apparmor=1; initrd /boot/initrd.img-6.1.0-1; } }
if [ "$grub_platform" = "efi" ]; then linuxefi (hd0,gpt1)/vmlinuz; fi
`

func TestWhatAnArgumentLacks(t *testing.T) {
	const two, one, efi = "/boot/grub/grub.cfg:14: /boot/vmlinuz-6.1.0-2", "/boot/grub/grub.cfg:17: /boot/vmlinuz-6.1.0-1", "/boot/grub/grub.cfg:19: (hd0,gpt1)/vmlinuz"
	with := map[string]string{"/boot/grub/grub.cfg": menu}
	line := func(text string) map[string]string {
		return map[string]string{"/boot/grub/grub.cfg": "linux /k " + text + "\n"}
	}
	for _, c := range []struct {
		name, argument, state string
		files                 map[string]string
		want                  []string
	}{
		{"value", "apparmor", `"1"`, with, []string{
			two + " is apparmor=0, should be apparmor=1", one + " is absent, should be apparmor=1", efi + " is absent, should be apparmor=1"}},
		{"bare word", "quiet", "{}", with, []string{efi + " is absent, should be quiet"}},
		{"absent", "quiet", "{absent: true}", with, []string{two + " is quiet, should be absent", one + " is quiet, should be absent"}},
		{"at least", "audit_backlog_limit", "{at-least: 64}", with, []string{
			two + " is absent, should be audit_backlog_limit at least 64", efi + " is absent, should be audit_backlog_limit at least 64"}},
		{"the last counts", "a", `"1"`, line("a=1 a=0"), []string{"/boot/grub/grub.cfg:1: /k is a=0, should be a=1"}},
		{"the last is right", "a", `"1"`, line("a=0 a=1"), nil},
		{"no number", "a", "{at-least: 1}", line("a=lots"), []string{"/boot/grub/grub.cfg:1: /k is a=lots, should be a at least 1"}},
		{"a value where there should be none", "quiet", "{}", line("quiet=1"), []string{"/boot/grub/grub.cfg:1: /k is quiet=1, should be quiet"}},
		{"no menu", "quiet", "{}", nil, []string{"/boot/grub/grub.cfg is absent, should be a menu with quiet"}},
		{"no menu to be absent from", "quiet", "{absent: true}", nil, []string{"/boot/grub/grub.cfg is absent, should be a menu with absent"}},
		{"no kernel", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "set x=1\n"}, []string{"/boot/grub/grub.cfg is without a kernel, should be a kernel with quiet"}},
		{"a variable", "quiet", "{}", line("$more quiet"), []string{"error: reading /boot/grub/grub.cfg: line 1: what $more stands for is known at boot only"}},
		{"open quotes", "quiet", "{}", line("'quiet"), []string{"error: reading /boot/grub/grub.cfg: line 1: quotes are not closed"}},
		{"an open entry", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "menuentry a {\n linux /k quiet\n"}, []string{"error: reading /boot/grub/grub.cfg: line 1 begins what no } ends"}},
		{"an open conditional", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "\nif true; then linux /k quiet; else\n"}, []string{"error: reading /boot/grub/grub.cfg: line 2 begins what no fi ends"}},
		{"an open loop", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "for a in b c; do linux /k quiet; fi\n"}, []string{"error: reading /boot/grub/grub.cfg: line 1: fi ends nothing"}},
		{"a brace too many", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "menuentry a { linux /k quiet; }\n}\n"}, []string{"error: reading /boot/grub/grub.cfg: line 2: } ends nothing"}},
		{"words that are none of the script's", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "echo if done\nset fi=1\nif true; then if true; then linux /k quiet; fi; fi\n"}, nil},
		{"no file to boot", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "linux\n"}, []string{"error: reading /boot/grub/grub.cfg: line 1 names no kernel"}},
		{"running", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "linux /k quiet\n", "/proc/cmdline": "BOOT_IMAGE=/k dyndbg=\"file a quiet\" -- quiet\n"}, []string{"/proc/cmdline is absent, should be quiet"}},
		{"running with it", "quiet", "{}", map[string]string{"/boot/grub/grub.cfg": "linux /k quiet\n", "/proc/cmdline": "BOOT_IMAGE=/k quiet\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, said(t, argument(t, c.argument, c.state), memory(t, c.files))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestTheRestOfTheMenuStays compares whole menus.
func TestTheRestOfTheMenuStays(t *testing.T) {
	s := memory(t, map[string]string{"/boot/grub/grub.cfg": menu})
	for _, a := range [][2]string{{"apparmor", `"1"`}, {"audit_backlog_limit", "{at-least: 8192}"}, {"quiet", "{absent: true}"}} {
		settle(t, argument(t, a[0], a[1]), s)
	}
	want := strings.NewReplacer(
		`ro  quiet apparmor=0 "apparmor=0"`, "ro apparmor=0 apparmor=1 audit_backlog_limit=8192",
		"  ro 'quiet' audit-backlog-limit=64 --", "  ro audit_backlog_limit=8192 apparmor=1 --",
		"(hd0,gpt1)/vmlinuz;", "(hd0,gpt1)/vmlinuz apparmor=1 audit_backlog_limit=8192;",
	).Replace(menu)
	got, err := system.ReadFile(s, "/boot/grub/grub.cfg", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	// Resources are applied one after the other: the order of what they add is
	// theirs.
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
