// Package boundedjson decodes JSON that others wrote within limits of bytes and of
// elements. A limit on bytes alone bounds little: "null," in a list takes five of
// them, and some hundreds of memory where its elements are structures. It never
// takes what is no JSON in UTF-8 (RFC 8259) as a whole, has a name twice or is
// followed by something.
package boundedjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
)

// Limits are what a file may have at most.
type Limits struct {
	Bytes int64
	// Elements counts commas and what begins an object or a list, those in texts
	// as well: there are no more members and elements than that.
	Elements int
}

// Read reads all of r and decodes it.
func Read[T any](r io.Reader, l Limits) (*T, error) {
	data, err := io.ReadAll(io.LimitReader(r, l.Bytes+1))
	if err != nil {
		return nil, err
	}
	return Decode[T](data, l)
}

// Decode decodes a file that is held already.
func Decode[T any](data []byte, l Limits) (*T, error) {
	switch {
	case int64(len(data)) > l.Bytes:
		return nil, fmt.Errorf("it has more than %d bytes", l.Bytes)
	case len(bytes.TrimLeft(data, " \t\r\n")) == 0:
		return nil, errors.New("it is empty")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return nil, errors.New("it begins with a byte order mark: JSON is UTF-8 without one")
	}
	n := bytes.Count(data, []byte(",")) + bytes.Count(data, []byte("{")) + bytes.Count(data, []byte("["))
	if n > l.Elements {
		return nil, fmt.Errorf("it may have %d elements, the limit is %d", n, l.Elements)
	}
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	return &value, nil
}
