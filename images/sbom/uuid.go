package sbom

import (
	"crypto/sha256"
	"fmt"
)

// contentUUID derives a UUID from content: version 8 (RFC 9562, section 5.8)
// with the first bits of its SHA-256.
func contentUUID(content []byte) string {
	sum := sha256.Sum256(content)
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}
