package signing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// hexDigest returns the hex digits of a digest "sha256:<64 hex digits>".
func hexDigest(digest string) (string, error) {
	digits, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(digits) != sha256.Size*2 || strings.ToLower(digits) != digits {
		return "", fmt.Errorf("%q is not a sha256 digest", digest)
	}
	if _, err := hex.DecodeString(digits); err != nil {
		return "", fmt.Errorf("%q is not a sha256 digest", digest)
	}
	return digits, nil
}
