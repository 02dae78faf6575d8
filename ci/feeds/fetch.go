package feeds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/builder/stall"
)

// Fetch is how URLs are read.
type Fetch struct {
	// Transport knows the proxy and the authorities; nil is the default one. A
	// connection serves one transfer.
	Transport *http.Transport
	Patience  Patience
	// Private says of an address with its port whether it is one of an inner
	// network; nil means IsPrivate.
	Private func(address string) bool
}

// Patience is how long servers are waited for. The zero value is for use.
type Patience struct {
	// Silence is how long a server may send nothing, Whole how long all of a feed
	// may take, however it is interrupted.
	Silence, Whole time.Duration
	// Attempts is how often a server is asked that does not answer well, and Pause
	// how long to wait before the second; it doubles.
	Attempts int
	Pause    time.Duration
}

func (p Patience) orDefault() Patience {
	if p.Silence == 0 {
		p.Silence = stall.Limit
	}
	if p.Whole == 0 {
		p.Whole = time.Hour
	}
	if p.Attempts == 0 {
		p.Attempts = 3
	}
	if p.Pause == 0 {
		p.Pause = time.Second
	}
	return p
}

// answer is what a server says of a file.
type answer struct {
	file File
	// path is where it lies; empty when it is the one that was known.
	path string
	// absent is that there is none, which may be.
	absent bool
}

var (
	errSlow = errors.New("took too long in all")
	// errAgain has a transfer begin anew.
	errAgain = errors.New("what had come of it belongs to another version")
)

// statusError is an answer that is no file.
type statusError struct{ code int }

func (e statusError) Error() string {
	return fmt.Sprintf("answers %d %s", e.code, http.StatusText(e.code))
}

// passing says whether the server may answer otherwise in a while.
func (e statusError) passing() bool {
	return e.code >= 500 || e.code == http.StatusTooManyRequests || e.code == http.StatusRequestTimeout
}

// download is one file on its way to incoming. What has come of it stays there
// when it breaks off, and the next one goes on behind it.
type download struct {
	Fetch
	feed  string
	from  remote
	known *File
	limit int64
	part  string
}

// origin is what is kept beside a part: of what it is a part.
type origin struct {
	URL      string `json:"url"`
	ETag     string `json:"etag"`
	Modified string `json:"last_modified"`
}

// download asks for a file, which it has already when known is not nil. What is
// wrong with the source is an *Alarm; transfer ends before ctx when it takes too
// long.
func (s *Store) download(ctx, transfer context.Context, feed string, from remote, known *File, limit int64) (*answer, error) {
	if err := os.MkdirAll(s.incoming(feed), 0o755); err != nil {
		return nil, fmt.Errorf("receiving for feed %s: %w", feed, err)
	}
	sum := sha256.Sum256([]byte(from.url))
	d := &download{
		Fetch: s.Fetch, feed: feed, from: from, known: known, limit: limit,
		part: filepath.Join(s.incoming(feed), "part-"+hex.EncodeToString(sum[:8])),
	}
	d.Patience = d.Patience.orDefault()
	pause := d.Patience.Pause
	for attempt := 1; ; attempt++ {
		a, err := d.attempt(transfer)
		var alarm *Alarm
		var local *os.PathError
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &alarm), errors.As(err, &local):
			return nil, err
		case transfer.Err() != nil:
			return nil, d.unreachable(context.Cause(transfer))
		}
		var status statusError
		if errors.As(err, &status) && !status.passing() || attempt >= d.Patience.Attempts {
			return nil, d.unreachable(err)
		}
		if errors.Is(err, errAgain) {
			continue
		}
		select {
		case <-transfer.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (d *download) unreachable(err error) *Alarm {
	at := (&Feed{URL: d.from.url}).Place()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Alarm{
			What: Truncated, Reason: fmt.Sprintf("%s breaks off before its end", at),
			Mend: "read it again later: what has come is kept, and what was kept before stays",
		}
	}
	return &Alarm{
		What: Unreachable, Reason: fmt.Sprintf("%s %s", at, reasonOf(err)),
		Mend: "check the address, the network, and the proxy if one is used: imgbuild help settings",
	}
}

// reasonOf is what is wrong, without the URL that net/http puts before it.
func reasonOf(err error) string {
	var outer interface{ Unwrap() error }
	text := err.Error()
	if errors.As(err, &outer) && strings.HasPrefix(text, "Get ") && outer.Unwrap() != nil {
		text = outer.Unwrap().Error()
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return "does not answer: " + text
	}
	return text
}

// attempt makes one request.
func (d *download) attempt(ctx context.Context) (*answer, error) {
	ctx, watch := stall.Start(ctx, d.Patience.Silence)
	defer watch.Stop()
	part, err := os.OpenFile(d.part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer part.Close()
	offset, of, err := d.resume(part)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.from.url, nil)
	if err != nil {
		return nil, &Alarm{What: Unreachable, Reason: "its URL is none", Mend: "correct url: in " + FileName}
	}
	d.ask(request, offset, of)
	response, err := d.client(request).Do(request)
	if err != nil {
		return nil, watch.Explain(err)
	}
	defer response.Body.Close()
	if a, err := d.judge(response); a != nil || err != nil {
		return a, err
	}
	if response.StatusCode == http.StatusPartialContent {
		if !isRest(response.Header.Get("Content-Range"), offset) || offset == 0 || response.Header.Get("ETag") != of.ETag {
			return nil, errors.Join(errAgain, d.forget())
		}
	} else {
		offset = 0
		of = origin{URL: d.from.url, ETag: response.Header.Get("ETag"), Modified: response.Header.Get("Last-Modified")}
		if err := d.begin(part, of); err != nil {
			return nil, err
		}
	}
	if err := d.copy(part, watch.Reader(response.Body), offset); err != nil {
		return nil, watch.Explain(err)
	}
	return d.finish(part, of)
}

// isRest tells whether a Content-Range is all from an offset on (RFC 9110 section
// 14.4). Less would read as a whole file in formats that end with any line.
func isRest(contentRange string, offset int64) bool {
	var first, last, total int64
	n, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &total)
	return err == nil && n == 3 && first == offset && last == total-1
}

// resume finds out how much of the file is there already. A part without a
// strong ETag cannot be gone on with (RFC 9110 section 13.1.5).
func (d *download) resume(part *os.File) (int64, origin, error) {
	var of origin
	info, err := part.Stat()
	if err != nil {
		return 0, of, err
	}
	text, err := os.ReadFile(d.part + ".from")
	if err != nil || json.Unmarshal(text, &of) != nil || of.URL != d.from.url || of.ETag == "" || strings.HasPrefix(of.ETag, "W/") {
		return 0, origin{}, nil
	}
	return info.Size(), of, nil
}

func (d *download) forget() error { return os.RemoveAll(d.part + ".from") }

// begin has the part be one of another version, from its first byte.
func (d *download) begin(part *os.File, of origin) error {
	if err := d.forget(); err != nil {
		return err
	}
	if err := part.Truncate(0); err != nil {
		return err
	}
	text, err := json.Marshal(of)
	if err != nil {
		return err
	}
	return replace(d.part+".from", text)
}

func (d *download) ask(r *http.Request, offset int64, of origin) {
	r.Header.Set("User-Agent", "imgbuild")
	r.Header.Set("Accept-Encoding", "identity")
	if d.known != nil && d.known.ETag != "" {
		r.Header.Set("If-None-Match", d.known.ETag)
	} else if d.known != nil && d.known.Modified != "" {
		r.Header.Set("If-Modified-Since", d.known.Modified)
	}
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		r.Header.Set("If-Range", of.ETag)
	}
}

// judge looks at an answer before its body is read; nothing is a file that
// comes.
func (d *download) judge(r *http.Response) (*answer, error) {
	at := (&Feed{URL: d.from.url}).Place()
	refused := func(reason string) error {
		return &Alarm{What: Refused, Reason: at + " " + reason, Mend: "see what the server does; what was kept before stays"}
	}
	switch code := r.StatusCode; {
	case code == http.StatusNotModified && d.known != nil && (d.known.ETag != "" || d.known.Modified != ""):
		return &answer{file: *d.known}, nil
	case code == http.StatusNotModified:
		return nil, refused("says that it has not changed, though that was not asked")
	case (code == http.StatusNotFound || code == http.StatusGone) && d.from.perhaps:
		return &answer{absent: true}, nil
	case code == http.StatusRequestedRangeNotSatisfiable:
		return nil, errors.Join(errAgain, d.forget())
	case code != http.StatusOK && code != http.StatusPartialContent:
		return nil, statusError{code}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, refused(fmt.Sprintf("sends it encoded as %.40q, which was not asked for", encoding))
	}
	if r.ContentLength > d.limit {
		return nil, tooLarge(d.from.name, d.limit)
	}
	return nil, nil
}

// copy appends the body to the part.
func (d *download) copy(part *os.File, body io.Reader, offset int64) error {
	if _, err := part.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	buffer := make([]byte, 128<<10)
	for {
		n, err := body.Read(buffer)
		if offset += int64(n); offset > d.limit {
			return errors.Join(d.forget(), tooLarge(d.from.name, d.limit))
		}
		if _, err := part.Write(buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// finish makes a file of a whole part.
func (d *download) finish(part *os.File, of origin) (*answer, error) {
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, part)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(part.Sync(), d.forget()); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, emptyFile(d.from.name)
	}
	f := File{Name: d.from.name, SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: n}
	if len(of.ETag) <= maxText && len(of.Modified) <= maxText {
		f.ETag, f.Modified = of.ETag, of.Modified
	}
	return &answer{file: f, path: d.part}, nil
}
