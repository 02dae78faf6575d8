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

// firstWords keeps the beginning of what a guest answers, and lets it go on: an
// error would show that nobody listens.
type firstWords struct {
	mu   sync.Mutex
	text []byte
}

// answerLimit is how much of an answer is kept, in bytes.
const answerLimit = 1 << 20

func (w *firstWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p[:min(len(p), answerLimit-len(w.text))]...)
	return len(p), nil
}

func (w *firstWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.text))
}
