package proofboot_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/launch/boottest"
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

// questions are what a server of an image must answer for, on a machine that
// launch.VM's Accelerator runs.
func questions(i *image, accelerator string) []question {
	baseline, _, _ := strings.Cut(i.Version, ":")
	return []question{
		{"state", "systemctl is-system-running", is("running")},
		{"failed units", "systemctl list-units --failed --plain --no-legend --all", is("")},
		{"cloud-init", "cloud-init status", is("status: done")},
		{"cloud-init's log", `sudo grep -E '\[(WARNING|ERROR|CRITICAL)\]' /var/log/cloud-init.log || true`, is("")},

		// The package system is whole, and no file of a package is changed: what
		// the recipe adds lies in files of its own.
		{"dpkg --audit", "sudo dpkg --audit", is("")},
		{"dpkg --verify", "sudo dpkg --verify", is("")},
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
		{"first boot", "test -e /var/lib/imgbuild/first-boot.done && systemctl show -P Result imgbuild-first-boot.service", is("success")},
		{"host keys", "ls /etc/ssh/*_key", is("/etc/ssh/ssh_host_ecdsa_key\n/etc/ssh/ssh_host_ed25519_key\n/etc/ssh/ssh_host_rsa_key")},

		{"listening", `ss -H -lntu | awk '{print $1, $5}'`, listening},
		{"timers", "systemctl list-timers --no-legend --plain", func(answer string) string {
			if strings.Contains(answer, "apt-daily") {
				return "a server is replaced, not upgraded"
			}
			return ""
		}},
		// Installed, and idle without their hypervisor's devices.
		{"guest tools", "systemctl is-active open-vm-tools.service qemu-guest-agent.service; true", is("inactive\ninactive")},
		{"guest tools' packages", "dpkg-query -W -f '${db:Status-Abbrev}${Package}\\n' open-vm-tools qemu-guest-agent", is("ii open-vm-tools\nii qemu-guest-agent")},
		{"user", "id -nG", is("debian adm sudo")},
		{"own name", "getent hosts $(hostname) >/dev/null && echo known", is("known")},
		{"locale", "cat /etc/default/locale; locale -k charmap", func(answer string) string {
			if !strings.Contains(answer, "LANG=C.UTF-8") || !strings.Contains(answer, `charmap="UTF-8"`) {
				return "want LANG=C.UTF-8"
			}
			return ""
		}},
		{"journal", "sudo journalctl -b -p err --no-pager -o short-monotonic", quiet(accelerator)},
	}
}

// listening judges the sockets of a server: SSH and HTTP for everyone, the DNS
// stub on loopback addresses, and the DHCP client's on its own.
func listening(answer string) string {
	allowed := regexp.MustCompile(`^tcp (0\.0\.0\.0|\[::\]|\*):(22|80)$|^(tcp|udp) 127\.0\.0\.5[34](%lo)?:53$|^udp \S+%\S+:(68|546)$`)
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

// kernels are errors of the kernel; foreign is what sshd logs when
// launch.WaitSSH hangs up on its greeting.
var (
	kernels = regexp.MustCompile(`\] \S+ kernel: `)
	foreign = regexp.MustCompile(`sshd\S*\[\d+\]: error: kex_exchange_identification: `)
)

// quiet wants a journal without errors. On an emulated machine the kernel finds
// errors of its clocks and interrupts, whatever the image; with KVM none.
func quiet(accelerator string) func(string) string {
	return func(answer string) string {
		for _, line := range strings.Split(answer, "\n") {
			switch {
			case line == "" || line == "-- No entries --" || foreign.MatchString(line):
			case kernels.MatchString(line) && accelerator == "tcg":
			default:
				return "an error was logged"
			}
		}
		return ""
	}
}

// inspect asks a booted guest of an image all questions over one connection.
func inspect(t *testing.T, i *image, g *boottest.Guest) {
	t.Helper()
	const mark = "=== "
	all := questions(i, g.VM.Accelerator)
	var script strings.Builder
	script.WriteString("export LC_ALL=C.UTF-8 SYSTEMD_PAGER= SYSTEMD_COLORS=0\n")
	for _, q := range all {
		script.WriteString("echo '" + mark + "'\n(" + q.command + ") </dev/null 2>&1\n")
	}
	script.WriteString("true\n")
	answers := strings.Split(g.Run(t, script.String()), strings.TrimSpace(mark))
	if len(answers) != len(all)+1 {
		t.Fatalf("%d questions got %d answers:\n%s", len(all), len(answers)-1, strings.Join(answers, mark))
	}
	for n, q := range all {
		answer := strings.TrimSpace(answers[n+1])
		if wrong := q.judge(answer); wrong != "" {
			t.Errorf("%s: %s; got\n%s", q.name, wrong, answer)
		}
	}
}
