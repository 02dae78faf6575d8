package proofboot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imgbuild/builder/host"
)

// question is asked inside a guest; judge says what is wrong with the answer,
// "" for nothing.
type question struct {
	name, command string
	judge         func(answer string) string
}

// is wants exactly one answer.
func is(want string) func(string) string {
	return func(answer string) string {
		if answer == want {
			return ""
		}
		return "want " + want
	}
}

// questions are what a server of an image must answer for under Secure Boot on its
// machine.
func (m *tried) questions(i *image) []question {
	return append(ofImage(i), ofMachine(m.on)...)
}

// ofImage are those whose answers no machine changes.
func ofImage(i *image) []question {
	baseline, _, _ := strings.Cut(i.Version, ":")
	return []question{
		// The package system is whole.
		{"dpkg --audit", "sudo dpkg --audit", is("")},
		{"package lists", "find /var/lib/apt/lists /var/cache/apt -type f", is("")},
		{"apt-get check", "sudo apt-get -qq check", is("")},

		{"image id", ". /etc/os-release && echo $ID $IMAGE_ID $IMAGE_VERSION", is("debian " + baseline + " " + i.Stages["boot"])},
		{"image.json", "cat /usr/lib/imgbuild/image.json", func(answer string) string {
			var got struct{ Baseline, Stage, Architecture string }
			if err := json.Unmarshal([]byte(answer), &got); err != nil {
				return err.Error()
			}
			if got.Baseline != baseline || got.Stage != i.Stages["boot"] || got.Architecture != "amd64" {
				return "want " + baseline + ", " + i.Stages["boot"] + ", amd64"
			}
			return ""
		}},
		{"timers", "systemctl list-timers --no-legend --plain", func(answer string) string {
			if strings.Contains(answer, "apt-daily") {
				return "a server is replaced, not upgraded"
			}
			return ""
		}},
		{"masked units", "systemctl is-enabled apt-daily.timer apt-daily-upgrade.timer; true", is("masked\nmasked")},
		{"guest tools' packages", "dpkg-query -W -f '${db:Status-Abbrev}${Package}\\n' open-vm-tools qemu-guest-agent", is("ii open-vm-tools\nii qemu-guest-agent")},
		{"user", "id -nG", is("debian adm sudo")},
		{"own name", "getent hosts $(hostname) >/dev/null && echo known", is("known")},
		{"locale", "cat /etc/default/locale; locale -k charmap", func(answer string) string {
			if !strings.Contains(answer, "LANG=C.UTF-8") || !strings.Contains(answer, `charmap="UTF-8"`) {
				return "want LANG=C.UTF-8"
			}
			return ""
		}},
	}
}

// ofMachine are those that a machine's firmware and devices have a part in.
func ofMachine(on *hypervisor) []question {
	agent := "inactive"
	if on.agent {
		agent = "active"
	}
	return []question{
		{"firmware", "ls -d /sys/firmware/efi && sudo dmesg | grep -o 'Secure boot enabled'", is("/sys/firmware/efi\nSecure boot enabled")},
		{"root file system", "df --output=size -B1 / | tail -n 1", grown},
		{"state", "systemctl is-system-running", is("running")},
		{"failed units", "systemctl list-units --failed --plain --no-legend --all", is("")},
		{"cloud-init", "cloud-init status", is("status: done")},
		{"cloud-init's log", `sudo grep -E '\[(WARNING|ERROR|CRITICAL)\]' /var/log/cloud-init.log || true`, is("")},
		{"first boot", "test -e /var/lib/imgbuild/first-boot.done && systemctl show -P Result imgbuild-first-boot.service", is("success")},
		{"host keys", "ls /etc/ssh/*_key", is("/etc/ssh/ssh_host_ecdsa_key\n/etc/ssh/ssh_host_ed25519_key\n/etc/ssh/ssh_host_rsa_key")},
		{"listening", `ss -H -lntu | awk '{print $1, $5}'`, listening},
		// Installed, and idle without their hypervisor's devices.
		{"guest tools", "systemctl is-active open-vm-tools.service qemu-guest-agent.service; true", is("inactive\n" + agent)},
		{"journal", "sudo journalctl -b -p err --no-pager -o short-monotonic", quiet},

		// Whoever sits at the screen or at the serial port sees what happens and
		// can log in; /dev/console, where services write, is the latter.
		{"kernel's arguments", "tr ' ' '\\n' </proc/cmdline | grep ^console=", is("console=tty0\nconsole=ttyS0,115200n8")},
		{"consoles", "awk '{print $1}' /proc/consoles | sort; cat /sys/class/tty/console/active", is("tty0\nttyS0\ntty0 ttyS0")},
		{"what the screen shows", "sudo cat /dev/vcs1", func(answer string) string {
			if !strings.Contains(answer, "login:") {
				return "want a login prompt"
			}
			return ""
		}},
	}
}

// ofFirstBoot are further questions to a server of testdata/proof-data.yaml:
// what its image lacks was made, as the packages' own scripts would have made
// it, and what the recipe switched off stayed so.
func ofFirstBoot() []question {
	const key, certificate = "/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"
	return []question{
		{"key", "sudo stat --format '%a %U %G' " + key, is("640 root ssl-cert")},
		{"certificate", `test "$(openssl x509 -in ` + certificate + ` -noout -pubkey)" = "$(sudo openssl pkey -in ` + key + ` -pubout)" && echo of the key`, is("of the key")},
		{"cluster", "sudo pg_lsclusters --no-header | awk '{print $2, $3, $4, $5}'", is("main 5432 online postgres")},
		{"cluster's unit", "systemctl list-units --plain --no-legend 'postgresql@*' | awk '{print $3, $4}'", is("active running")},
		{"database", `cd / && sudo -u postgres psql -XAtc "select 1, current_setting('server_encoding'), current_setting('ssl')"`, is("1|UTF8|on")},

		{"disabled unit", "systemctl is-enabled cron.service; systemctl is-active cron.service; true", is("disabled\ninactive")},
		// What a first boot does that applies presets.
		{"its preset", "sudo systemctl preset cron.service && systemctl is-enabled cron.service; true", is("disabled")},
	}
}

// ofLogs rotate the logs of a web server: what was written is kept, and what is
// written next goes into the new files.
func ofLogs() []question {
	const visit = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/80; printf "GET /proof-$0 HTTP/1.0\r\n\r\n" >&3; cat <&3 >/dev/null' `
	// A log is written a moment after who asked for it has gone on.
	const find = `seen() { for try in $(seq 60); do sudo grep -q proof-$1 /var/log/$2 && { echo $2 $1; return; }; sleep 1; done; echo $2 lacks $1; }; `
	return []question{
		{"logs", find + "logger proof-before; " + visit + "before; seen before syslog; seen before nginx/access.log", is("syslog before\nnginx/access.log before")},
		{"logrotate", "sudo logrotate -f /etc/logrotate.conf && echo done", is("done")},
		{"rotated logs", find + "logger proof-after; " + visit + `after; seen after syslog; seen after nginx/access.log; seen before syslog.1; seen before nginx/access.log.1; seen before sudo.log.1
sudo grep -c proof-before /var/log/syslog /var/log/nginx/access.log`,
			is("syslog after\nnginx/access.log after\nsyslog.1 before\nnginx/access.log.1 before\nsudo.log.1 before\n/var/log/syslog:0\n/var/log/nginx/access.log:0")},
	}
}

// listening judges the sockets of a server: SSH and HTTP for everyone, the DNS
// stub, chrony's for its own tool and a database on loopback addresses, and the
// DHCP client's on its own.
func listening(answer string) string {
	allowed := regexp.MustCompile(`^tcp (0\.0\.0\.0|\[::\]|\*):(22|80)$|^(tcp|udp) 127\.0\.0\.5[34](%lo)?:53$|^tcp (127\.0\.0\.1|\[::1\]):5432$|^udp (127\.0\.0\.1|\[::1\]):323$|^udp \S+%\S+:(68|546)$`)
	seen := strings.Split(answer, "\n")
	for _, socket := range seen {
		if !allowed.MatchString(socket) {
			return "nobody should listen on " + socket
		}
	}
	for _, port := range []string{":22", ":80"} {
		if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasSuffix(s, port) }) {
			return "nobody listens on " + port
		}
	}
	return ""
}

// grown wants the root file system to fill its machine's disk: with the other
// partitions it has less.
func grown(answer string) string {
	if size, err := strconv.ParseInt(answer, 10, 64); err != nil || size < 5<<30 {
		return fmt.Sprintf("the disk has %d bytes", diskSize)
	}
	return ""
}

// slow are errors of the kernel, and systemd's when udev takes longer for the
// first devices than it waits; foreign is what sshd logs when a probe hangs up on
// its greeting, and auditd where no program sends mail: it warns in the system's
// log besides.
var (
	slow    = regexp.MustCompile(`\] \S+ (kernel: |systemd\[1\]: Timed out waiting for device dev-ttyS0\.device)`)
	foreign = regexp.MustCompile(`sshd\S*\[\d+\]: error: kex_exchange_identification: |auditd\[\d+\]: Email option is specified but `)
)

// quiet wants a journal without errors. On an emulated machine the kernel finds
// errors of its clocks and interrupts, and on a busy host everything is late,
// whatever the image; with KVM none.
func quiet(answer string) string {
	for _, line := range strings.Split(answer, "\n") {
		switch {
		case line == "" || line == "-- No entries --" || foreign.MatchString(line):
		case slow.MatchString(line) && emulated():
		default:
			return "an error was logged"
		}
	}
	return ""
}

// emulated tells whether machines are, here.
var emulated = sync.OnceValue(func() bool { return host.KVM(context.Background()) != nil })

// inspect asks a machine all questions, in one login: an emulated one takes seconds
// for each.
func (m *tried) inspect(t *testing.T, all []question) {
	t.Helper()
	const mark = "=== "
	script := &strings.Builder{}
	script.WriteString("export LC_ALL=C.UTF-8 SYSTEMD_PAGER= SYSTEMD_COLORS=0\n")
	for _, q := range all {
		script.WriteString("echo '" + mark + "'\n(" + q.command + ") </dev/null 2>&1\n")
	}
	script.WriteString("true\n")
	answers := strings.Split(m.ask(t, script.String()), strings.TrimSpace(mark))
	if len(answers) != len(all)+1 {
		t.Fatalf("%d questions got %d answers:\n%s", len(all), len(answers)-1, answers)
	}
	for n, answer := range answers[1:] {
		if wrong := all[n].judge(strings.TrimSpace(answer)); wrong != "" {
			t.Errorf("%s: %s; got\n%s", all[n].name, wrong, answer)
		}
	}
}
