package launch

import (
	"strings"
	"sync"
)

// lastWords keeps the end of what a program wrote.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// wordsLimit is how much is kept, in bytes.
const wordsLimit = 2000

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-wordsLimit):]
	return len(p), nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.text))
}
