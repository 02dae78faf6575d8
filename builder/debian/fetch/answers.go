package fetch

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"time"

	"imgbuild/builder/stall"
)

// Answers of a place that does not have the file as it was locked, and of one
// that does not answer.
var (
	errAbsent = errors.New("does not have it")
	errWrong  = errors.New("has other bytes")
	errSilent = errors.New("not asked: it did not answer before")
)

// wrongError is errWrong with what was found.
type wrongError struct{ text string }

func (e *wrongError) Error() string        { return e.text }
func (e *wrongError) Is(target error) bool { return target == errWrong }

// statusError is an HTTP answer other than the file.
type statusError struct {
	code int
	// after is what the server wants to be waited (Retry-After, RFC 9110
	// section 10.2.3), 0 when it did not say.
	after time.Duration
}

func (e *statusError) Error() string {
	return strconv.Itoa(e.code) + " " + http.StatusText(e.code)
}

// busy says whether the server may answer otherwise in a while.
func (e *statusError) busy() bool {
	switch e.code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.code >= 500 && e.code != http.StatusNotImplemented
}

// definite says whether a place's answer was about the file: it is not there,
// or not as locked. Anything else may change by itself.
func definite(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return !status.busy()
	}
	return errors.Is(err, errAbsent) || errors.Is(err, errWrong)
}

// temporary says whether asking the same place again may help.
func temporary(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		dns         *net.DNSError
		path        *fs.PathError
	)
	switch {
	case definite(err), errors.As(err, &certificate), errors.As(err, &path):
		return false
	case errors.As(err, &dns):
		return !dns.IsNotFound
	}
	return true
}

// unanswered says whether the place's host itself is the trouble.
func unanswered(err error) bool {
	var op *net.OpError
	return errors.Is(err, stall.ErrStalled) || errors.As(err, &op) && op.Op == "dial"
}
