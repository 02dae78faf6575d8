package sshd_test

import (
	"os"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/sshd"
)

// stricter are values of testdata/values that sshd takes as far as it reads
// them, and that are refused here; and forms that nobody writes.
var stricter = []string{
	"Ciphers aes128-ctr,,aes256-ctr", "Ciphers aes128-ctr,", "Ciphers ,aes128-ctr", "Ciphers -", "HostKeyAlgorithms ssh-ed25519,,ssh-rsa",
	"MaxStartups 10x", "MaxStartups 10:30:60x", "MaxStartups 10:30:60:70", "PerSourceNetBlockSize 32:x", "PerSourceNetBlockSize 32:", "StreamLocalBindMask 0o177",
	"PermitListen any 80", "PermitOpen none host:80", "PerSourcePenaltyExemptList x",
	"PerSourcePenalties crash:90 no", "IPQoS 0x10",
}

// TestSshdRefusesWhatIsRefusedHere has sshd -t read one value of a keyword
// after the other; those that are taken are tried in one file.
func TestSshdRefusesWhatIsRefusedHere(t *testing.T) {
	root := sshdRoot(t)
	data, err := os.ReadFile("testdata/values")
	if err != nil {
		t.Fatal(err)
	}
	own := func(text string) error {
		_, err := sshd.Effective(place(t, root, map[string]string{"/etc/ssh/sshd_config": text}), "Port", nil)
		return err
	}
	refuses := func(text string) (string, bool) {
		place(t, root, map[string]string{"/etc/ssh/sshd_config": text})
		out, err := peertest.Command(root, "/usr/sbin/sshd", "-t", "-f", "/etc/ssh/sshd_config", "-h", "/key").CombinedOutput()
		return string(out), err != nil
	}
	var taken []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		text := strings.ReplaceAll(line, `\n`, "\n") + "\n"
		err := own(text)
		if err == nil && !strings.Contains(text, "Match") && !strings.Contains(text, "Subsystem") && !strings.Contains(text, "AuthenticationMethods") {
			taken = append(taken, text)
			continue
		}
		said, refused := refuses(text)
		known := false
		for _, one := range stricter {
			known = known || one == line
		}
		if refused != (err != nil) && !known {
			t.Errorf("%q: %v; sshd: %v %s", line, err, refused, said)
		}
	}
	if _, refused := refuses(strings.Join(taken, "")); !refused {
		return
	}
	for _, text := range taken {
		if said, refused := refuses(text); refused {
			t.Errorf("%q is taken; sshd: %s", text, said)
		}
	}
}
