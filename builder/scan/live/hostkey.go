package live

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"imgbuild/images/fault"
)

// hostKeys decides which host keys are believed.
type hostKeys struct {
	host  Host
	known ssh.HostKeyCallback
	// authority says that a file knows keys by who certified them.
	authority bool
	problem   error // why the key was refused: the SSH library keeps only its text
}

// hostKeys reads the files of known host keys.
func (c Client) hostKeys(h Host) (*hostKeys, error) {
	var files []string
	keys := &hostKeys{host: h}
	for _, file := range slices.Concat(h.knownHosts, c.KnownHosts) {
		switch info, err := os.Stat(file); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("reading known host keys: %w", err)
		case info.Mode().IsRegular(): // else it is /dev/null, which knows none
			files = append(files, file)
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("reading known host keys: %w", err)
			}
			keys.authority = keys.authority || bytes.Contains(data, []byte("@cert-authority"))
		}
	}
	var err error
	keys.known, err = knownhosts.New(files...)
	if err != nil {
		return nil, fault.Inputf("reading known host keys").Because(err).WithHint("mend or remove that line")
	}
	return keys, nil
}

// check is an ssh.HostKeyCallback.
func (k *hostKeys) check(address string, remote net.Addr, key ssh.PublicKey) error {
	k.problem = k.judge(address, remote, key)
	return k.problem
}

func (k *hostKeys) judge(address string, remote net.Addr, key ssh.PublicKey) error {
	err := k.known(address, remote, key)
	var differs *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	name := knownhosts.Normalize(address)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return fault.Worldf("the host key of %s is revoked: %s", name, ssh.FingerprintSHA256(key))
	case !errors.As(err, &differs):
		return fault.Worldf("the host key of %s is not believed", name).Because(err)
	case len(differs.Want) == 0:
		return fault.Worldf("the host key of %s is not known: %s %s", name, key.Type(), ssh.FingerprintSHA256(key)).
			WithHint("compare that with what the server's console or its hoster says, then record it: %s", k.record())
	}
	var want []string
	for _, w := range differs.Want {
		want = append(want, fmt.Sprintf("%s (%s:%d)", ssh.FingerprintSHA256(w.Key), w.Filename, w.Line))
	}
	return fault.Worldf("the host key of %s is %s %s, known is %s", name, key.Type(), ssh.FingerprintSHA256(key), strings.Join(want, ", ")).
		WithHint("somebody may be in between; if the server was replaced, forget the old key with ssh-keygen -R '%s' and record the new one with %s", name, k.record())
}

// record is the command that asks and records a host key.
func (k *hostKeys) record() string {
	return k.host.command()
}

// preferred is the order in which ssh(1) asks an unknown host for its key: both
// shall show the same one.
var preferred = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// algorithms are those that the known keys of the host are of, so that it does
// not show another of its keys; nil leaves the choice open.
func (k *hostKeys) algorithms(remote net.Addr) []string {
	if k.authority {
		return nil // certificates are of other algorithms
	}
	// No host has the key of zeros: the answer is what is known.
	zeros, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var differs *knownhosts.KeyError
	if !errors.As(k.known(k.host.Address(), remote, zeros), &differs) {
		return nil
	}
	if len(differs.Want) == 0 {
		return preferred
	}
	var list []string
	for _, w := range differs.Want {
		names := []string{w.Key.Type()}
		if w.Key.Type() == ssh.KeyAlgoRSA {
			names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, name := range names {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}
