package launch

import (
	"bytes"
	"io"
	"sync"
)

// panicWords are what a Linux kernel writes when it stops (kernel/panic.c):
// nothing comes after them, and nobody restarts the machine.
const panicWords = "Kernel panic - not syncing"

// panicWatch passes on what a console shows, and calls stop once when a kernel
// has stopped.
type panicWatch struct {
	to   io.Writer
	stop func()

	last []byte // the end of what was seen, shorter than panicWords
	once sync.Once
}

func (w *panicWatch) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	seen := append(w.last, p...)
	if bytes.Contains(seen, []byte(panicWords)) {
		w.once.Do(w.stop)
	}
	w.last = append([]byte(nil), seen[max(0, len(seen)-len(panicWords)+1):]...)
	return n, err
}
