package project

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imgbuild/images/fault"
)

// PasswordVariable names the environment variable with the signing key's
// password.
const PasswordVariable = "IMGBUILD_KEY_PASSWORD"

// Ask asks a person for a password without showing it. A nil Ask means that
// nobody is there.
type Ask func(prompt string) ([]byte, error)

// passwordFile is where a made-up password is kept: outside any project, so
// that it is never committed beside the key it opens.
func (p *Project) passwordFile(keyID string) string {
	return filepath.Join(p.state, "passwords", keyID)
}

// givenPassword is the password from the environment or the configured file,
// nil when neither has one.
func (p *Project) givenPassword() ([]byte, error) {
	if password := os.Getenv(PasswordVariable); password != "" {
		return []byte(password), nil
	}
	if p.Config.KeyPasswordFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(p.Config.KeyPasswordFile)
	if err != nil {
		return nil, fault.Inputf("reading the signing key's password").Because(err)
	}
	if text = bytes.TrimRight(text, "\r\n"); len(text) == 0 {
		return nil, fault.Inputf("reading the signing key's password: %s is empty", p.Config.KeyPasswordFile)
	}
	return text, nil
}

// newPassword gets a password for keys about to be made: the given one, else
// one typed twice, else (with nobody to ask) a random one. kept says that it
// is the random one, to be written to passwordFile.
func (p *Project) newPassword(ask Ask) (password []byte, kept bool, err error) {
	if password, err = p.givenPassword(); err != nil || password != nil {
		return password, false, err
	}
	if ask == nil {
		// 26 letters and digits, 130 bits.
		return []byte(rand.Text()), true, nil
	}
	first, err := ask("password for the new signing keys (empty: a random one is kept for you): ")
	if err != nil {
		return nil, false, err
	}
	if len(first) == 0 {
		return []byte(rand.Text()), true, nil
	}
	second, err := ask("the same again: ")
	if err != nil {
		return nil, false, err
	}
	if !bytes.Equal(first, second) {
		return nil, false, fault.Inputf("setting the password: the two differ")
	}
	return first, false, nil
}

// password gets the password that opens an existing key.
func (p *Project) password(keyID string, ask Ask) ([]byte, error) {
	if password, err := p.givenPassword(); err != nil || password != nil {
		return password, err
	}
	kept, err := os.ReadFile(p.passwordFile(keyID))
	if err == nil {
		return []byte(strings.TrimSpace(string(kept))), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the signing key's password: %w", err)
	}
	if ask == nil {
		return nil, fault.Inputf("opening the signing key: only a person knows its password, and there is no terminal to ask on").
			WithHint("run it on a terminal, or set %s, or key-password-file: in %s", PasswordVariable, FileName)
	}
	return ask("password of the signing key: ")
}
