package host

import (
	"bytes"
	"strings"
)

// firstLine returns the first line a program wrote that is not a warning, or
// the error when it wrote none.
func firstLine(out []byte, err error) string {
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if text != "" && !strings.Contains(text, "warning:") {
			return text
		}
	}
	return err.Error()
}
