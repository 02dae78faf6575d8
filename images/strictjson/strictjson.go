// Package strictjson reads JSON documents of this program's own forms (RFC 8259). What a
// name that is not known would change is not known either, so that one is an error, as is
// anything that follows the document. It bounds nothing: that is for who has the bytes.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Read reads a document into a value.
func Read[T any](document []byte, into *T) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}
