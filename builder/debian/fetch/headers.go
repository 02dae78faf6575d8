package fetch

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// readHeader makes a Body of a response to a request for the bytes from
// offset on.
func readHeader(r *http.Response, offset int64) (*Body, error) {
	body := &Body{ReadCloser: r.Body, Total: -1}
	switch r.StatusCode {
	case http.StatusOK:
		body.Total = r.ContentLength
		return body, nil
	case http.StatusPartialContent:
		first, total, ok := contentRange(r.Header.Get("Content-Range"))
		if !ok || offset == 0 {
			return nil, fmt.Errorf("sent a part that it does not name")
		}
		body.Offset, body.Total = first, total
		return body, nil
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, &wrongError{"has fewer bytes"}
	case http.StatusNotFound, http.StatusGone:
		return nil, &statusError{code: r.StatusCode}
	}
	return nil, &statusError{code: r.StatusCode, after: retryAfter(r.Header.Get("Retry-After"))}
}

// contentRange reads "bytes 100-199/200" (RFC 9110 section 14.4); total is -1
// for "*".
func contentRange(value string) (first, total int64, ok bool) {
	value, ok = strings.CutPrefix(value, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, whole, ok := strings.Cut(value, "/")
	if !ok {
		return 0, 0, false
	}
	from, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil || first < 0 {
		return 0, 0, false
	}
	if whole == "*" {
		return first, -1, true
	}
	total, err = strconv.ParseInt(whole, 10, 64)
	return first, total, err == nil && total >= 0
}

// retryAfter reads the seconds form; a date is left to the ordinary back-off.
func retryAfter(value string) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
