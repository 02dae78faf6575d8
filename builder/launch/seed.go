package launch

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"imgbuild/builder/launch/iso9660"
)

// writeSeed writes the volume from which cloud-init's NoCloud source learns who
// this machine is, and gives its path.
func writeSeed(dir string, s VMSpec) (string, error) {
	id := make([]byte, 8)
	rand.Read(id) // never fails (crypto/rand)
	meta := map[string]any{"instance-id": "i-" + hex.EncodeToString(id), "local-hostname": "imgbuild"}
	if len(s.SSHKeys) > 0 {
		meta["public-keys"] = s.SSHKeys
	}
	// JSON is YAML, and needs no quoting of ours.
	encoded, err := json.Marshal(meta)
	if err != nil {
		return "", fmt.Errorf("writing the seed: %w", err)
	}
	path := filepath.Join(dir, "seed.iso")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("writing the seed: %w", err)
	}
	if err := iso9660.Write(f, "cidata", map[string][]byte{"meta-data": encoded, "user-data": []byte("#cloud-config\n{}\n")}); err != nil {
		f.Close()
		return "", err
	}
	return path, f.Close()
}
