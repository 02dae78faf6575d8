package provisioners_test

// kernelCases are those of the kernel and of mounts.
func kernelCases() []applyCase {
	return []applyCase{
		{"sysctl set", "sysctls:\n  net.ipv4.tcp_syncookies: \"1\"\n  kernel.core_pattern: {value: \"|/bin/false\"}\n  net.ipv4.conf.eth0/1.rp_filter: {one-of: [\"1\", \"2\"]}\n  fs.protected_fifos: \"2\"", map[string]string{
			"/etc/sysctl.d/99-zz-imgbuild.conf": "-rw-r--r-- 0:0 # The kernel's parameters that the recipe of this image states; sysctl.d(5).\nfs.protected_fifos = 2\nkernel.core_pattern = |/bin/false\nnet.ipv4.conf.eth0/1.rp_filter = 1\nnet.ipv4.tcp_syncookies = 1\n",
		}},
		{"sysctl edited", "sysctls:\n  net.ipv4.ip_forward: \"0\"", map[string]string{
			"/etc/sysctl.conf": "-rw-r----- 0:0 # local\nnet/ipv4/ip_forward = 0\n;end\n",
		}},
		{"sysctl of a package overridden", "sysctls:\n  kernel.sysrq: \"0\"", map[string]string{
			"/etc/sysctl.d/99-zz-imgbuild.conf": "-rw-r--r-- 0:0 # The kernel's parameters that the recipe of this image states; sysctl.d(5).\nkernel.sysrq = 0\n",
			"/etc/sysctl.d/zz-vendor.conf":      "-rw-r--r-- 0:0 # vendor\n-kernel.sysrq = 0\nkernel.pid_max = 1\n",
		}},
		{"kernel module blocked", "kernel-modules:\n  usb-storage: blocked\n  cramfs: {state: blocked}\n  pcspkr: blocked", map[string]string{
			"/etc/modprobe.d": "drwxr-xr-x 0:0",
			"/etc/modprobe.d/00-imgbuild.conf": "-rw-r--r-- 0:0 # Kernel modules that the recipe of this image blocks; modprobe.d(5).\n" +
				"install cramfs /bin/false\nblacklist cramfs\ninstall pcspkr /bin/false\nblacklist pcspkr\ninstall usb-storage /bin/false\nblacklist usb-storage\n",
		}},
		{"kernel module loaded", "kernel-modules:\n  nf_conntrack: loaded\n  br_netfilter: loaded", map[string]string{
			"/etc/modprobe.d":                   "drwxr-xr-x 0:0",
			"/etc/modprobe.d/zz-vendor.conf":    "-rw-r--r-- 0:0 install usb_storage /sbin/modprobe -i usb_storage\nblacklist pcspkr\n",
			"/etc/modules-load.d":               "drwxr-xr-x 0:0",
			"/etc/modules-load.d/imgbuild.conf": "-rw-r--r-- 0:0 # Kernel modules that the recipe of this image loads; modules-load.d(5).\nbr_netfilter\nnf_conntrack\n",
		}},
		{"kernel argument", "kernel-arguments:\n  apparmor: \"1\"\n  audit_backlog_limit: {at-least: 8192}\n  nousb: {}\n  quiet: {absent: true}", map[string]string{
			"/boot/grub/grub.cfg": "-rw------- 0:0 set default=0\nmenuentry 'Linux 2' {\n  linux /boot/vmlinuz-2 root=UUID=1 ro apparmor=1 audit_backlog_limit=8192 nousb\n}\n" +
				"menuentry 'Linux 1' {\n  linux /boot/vmlinuz-1 root=UUID=1 ro audit_backlog_limit=8192 apparmor=1 nousb -- single\n}\n",
		}},
		{"mount", "mounts:\n  /home: {separate: true, options: [nodev, nosuid]}\n  /tmp: {type: tmpfs, options: [nodev, nosuid, noexec]}\n  /dev/shm: {options: [noexec]}\n  /: {options: [relatime], without: [errors]}", map[string]string{
			"/etc/fstab": "-rw-r--r-- 0:0 # <file system> <mount point>\nUUID=1 / ext4 relatime 0 1\nUUID=2  /home/  ext4  defaults,nodev,nosuid 0  2\ntmpfs /dev/shm tmpfs noexec 0 0\ntmpfs /tmp tmpfs nodev,nosuid,noexec 0 0\n",
		}},
		{"mount of a unit", "mounts:\n  /var/tmp: {type: tmpfs, options: [noexec], without: [mode]}", map[string]string{
			"/etc/systemd/system/var-tmp.mount.d":                  "drwxr-xr-x 0:0",
			"/etc/systemd/system/var-tmp.mount.d/zz-imgbuild.conf": "-rw-r--r-- 0:0 [Mount]\nOptions=size=50%%,noexec\n",
		}},
	}
}

func kernelMistakes() []mistake {
	return []mistake{
		{"default", "sysctls:\n  net.ipv4.ip_forward: {absent: true}", `a parameter always has a value`},
		{"parameter twice", "sysctls:\n  net.ipv4.ip_forward: \"0\"\n  net/ipv4/ip_forward: \"0\"", `sysctl net.ipv4.ip_forward is described already at baselines/test.yaml:2:3`},
		{"pattern", "sysctls:\n  net.ipv4.conf.*.rp_filter: \"1\"", `baselines/test.yaml:2:3: "net.ipv4.conf.*.rp_filter" is not the name of a kernel parameter`},
		{"way out", "sysctls:\n  net/../../etc/x: \"1\"", `is not the name of a kernel parameter`},
		{"two lines", "sysctls:\n  a.b: \"1\\nc.d = 2\"", `is not a value that sysctl.d can hold`},
		{"module", "kernel-modules:\n  cramfs: block", `unknown value "block" for "state"; did you mean "blocked"?`},
		{"module twice", "kernel-modules:\n  usb-storage: blocked\n  usb_storage: blocked", `kernel module usb_storage is described already`},
		{"argument", "kernel-arguments:\n  quiet: {value: \"a b\"}", `holds a blank or a character that GRUB takes apart`},
		{"bounds", "kernel-arguments:\n  a: {value: \"1\", absent: true}", `"value" does not go with "absent"`},
		{"mount point", "mounts:\n  /tmp/: {separate: true}", `"/tmp/" is not a mount point`},
		{"options", "mounts:\n  /tmp: {options: [nodev, dev]}", `the options contradict each other or "without": nodev`},
		{"option", "mounts:\n  /tmp: {options: [\"nodev,nosuid\"]}", `"nodev,nosuid" is not one option of a mount`},
	}
}
