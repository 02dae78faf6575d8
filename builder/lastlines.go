package builder

import (
	"bytes"
	"strings"
)

// lastLines keeps the end of what a program wrote, for an error that quotes it.
type lastLines struct{ buf bytes.Buffer }

// quoted is how many bytes are kept.
const quoted = 2000

func (l *lastLines) Write(p []byte) (int, error) {
	l.buf.Write(p)
	if over := l.buf.Len() - quoted; over > 0 {
		l.buf.Next(over)
	}
	return len(p), nil
}

func (l *lastLines) String() string { return strings.TrimSpace(l.buf.String()) }
