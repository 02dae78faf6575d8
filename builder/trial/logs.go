package trial

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ending keeps the end of what an image writes.
type ending struct {
	// also gets all of it; it may be nil.
	also io.Writer

	mu   sync.Mutex
	text []byte
}

// endingLimit is how much is kept, in bytes.
const endingLimit = 256 << 10

func (e *ending) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, p...)
	if len(e.text) > 2*endingLimit {
		e.text = append([]byte(nil), e.text[len(e.text)-endingLimit:]...)
	}
	if e.also != nil {
		return e.also.Write(p)
	}
	return len(p), nil
}

// last is the end of what was written.
func (e *ending) last() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text[max(0, len(e.text)-endingLimit):]
}

// journalLimit is how long reading the journal of an image may take.
const journalLimit = time.Minute

// keep writes what a failed image said to files and tells where they are. That
// it cannot is told, too: the trial has failed already.
func (t *Trial) keep(ctx context.Context, s BootSpec, said *ending) {
	ctx, cancel := context.WithTimeout(ctx, journalLimit)
	defer cancel()
	logs := map[string][]byte{"console": said.last()}
	journal, err := t.guest.Journal(ctx)
	if err != nil {
		s.Report.Note("the journal cannot be read: %v", err)
	}
	logs["journal"] = []byte(journal)
	form := s.form()
	for _, what := range []string{"journal", "console"} {
		if len(logs[what]) == 0 {
			continue
		}
		path := filepath.Join(s.Logs, fmt.Sprintf("%s-%s-%s.log", strings.ReplaceAll(s.Version.Ref(), ":", "-"), form, what))
		err := os.MkdirAll(s.Logs, 0o755)
		if err == nil {
			err = os.WriteFile(path, logs[what], 0o600)
		}
		if err != nil {
			s.Report.Note("the %s is not kept: %v", what, err)
			continue
		}
		s.Report.Note("the %s of the %s is in %s", what, form, path)
	}
}
