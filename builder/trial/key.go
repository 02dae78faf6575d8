package trial

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// newKey writes a private SSH key that lives as long as the trial to path and
// returns it with its public half as a line of authorized_keys.
func newKey(path string) (key ssh.Signer, line string, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("making an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "imgbuild run")
	if err != nil {
		return nil, "", fmt.Errorf("making an SSH key: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, "", fmt.Errorf("making an SSH key: %w", err)
	}
	if key, err = ssh.NewSignerFromKey(private); err != nil {
		return nil, "", fmt.Errorf("making an SSH key: %w", err)
	}
	return key, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))), nil
}
