package hygiene

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"imgbuild/provisioners/system"
)

// maxAccounts bounds a file of accounts, in bytes.
const maxAccounts = 4 << 20

// accountFiles are those that hold passwords.
var accountFiles = []string{
	"/etc/shadow", "/etc/shadow-", "/etc/passwd", "/etc/passwd-", "/etc/gshadow", "/etc/gshadow-", "/etc/group", "/etc/group-", formerPasswords,
}

// formerPasswords keeps hashes that were in use before (pam_pwhistory(8)).
const formerPasswords = "/etc/security/opasswd"

// accounts looks for passwords that let somebody in: shadow(5), passwd(5).
func (i *inspection) accounts() error {
	for _, name := range accountFiles {
		data, err := system.ReadFile(i.reader, name, maxAccounts)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for passwords: %w", err)
		}
		i.accountsIn(name, data)
	}
	return nil
}

// accountsIn judges one of the files.
func (i *inspection) accountsIn(name string, data []byte) {
	for line := range strings.Lines(string(data)) {
		account, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		password, _, _ := strings.Cut(rest, ":")
		switch {
		case name == formerPasswords:
			if strings.Contains(rest, "$") {
				i.add(Password, name, "%s has hashes of former passwords", account)
			}
		case !ok || password == "x":
		case strings.HasPrefix(strings.TrimLeft(password, "!*"), "$"):
			i.add(Password, name, "%s has the hash of a password", account)
		case strings.HasPrefix(password, "!") || strings.HasPrefix(password, "*"):
		case password != "":
			i.add(Password, name, "%s has a password", account)
		case !strings.HasPrefix(name, "/etc/gshadow") && !strings.HasPrefix(name, "/etc/group"): // a group without a password has none
			i.add(Password, name, "%s needs no password", account)
		}
	}
}
