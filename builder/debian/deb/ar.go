package deb

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arHeaderEnd  = "`\n"
	// maxMembers is the most members of a package file; deb(5) has three.
	maxMembers = 16
)

// arReader reads the members of an ar(5) archive in the form that deb(5)
// allows: short names, no symbol table.
type arReader struct {
	src     io.Reader
	left    int64 // bytes of the file that no header has claimed
	member  *io.LimitedReader
	pad     int64
	members int
}

// newArReader checks the archive's magic; size is the file's length in bytes.
func newArReader(src io.Reader, size int64) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if size < int64(len(arMagic)) {
		return nil, errors.New("file is too short for an ar archive")
	}
	if _, err := io.ReadFull(src, magic); err != nil {
		return nil, fmt.Errorf("reading ar magic: %w", unexpected(err))
	}
	if string(magic) != arMagic {
		return nil, errors.New("file is no ar archive")
	}
	return &arReader{src: src, left: size - int64(len(arMagic))}, nil
}

// next goes to the next member and returns its name and size in bytes; what is
// left of the member before is skipped. The error at the end is io.EOF.
func (a *arReader) next() (name string, size int64, err error) {
	if a.member != nil {
		if err := a.skip(a.member.N + a.pad); err != nil {
			return "", 0, err
		}
		a.member = nil
	}
	if a.left == 0 {
		return "", 0, io.EOF
	}
	if a.members++; a.members > maxMembers {
		return "", 0, fmt.Errorf("more than %d ar members", maxMembers)
	}
	if a.left < arHeaderSize {
		return "", 0, errors.New("ar header is truncated")
	}
	var header [arHeaderSize]byte
	if _, err := io.ReadFull(a.src, header[:]); err != nil {
		return "", 0, fmt.Errorf("reading ar header: %w", unexpected(err))
	}
	a.left -= arHeaderSize
	if string(header[58:]) != arHeaderEnd {
		return "", 0, errors.New("ar header is damaged")
	}
	name = strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
	digits := strings.TrimRight(string(header[48:58]), " ")
	unsigned, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return "", 0, fmt.Errorf("ar member %q has the size %q", name, digits)
	}
	size = int64(unsigned)
	if size > a.left {
		return "", 0, fmt.Errorf("ar member %s is truncated: %d of %d bytes", name, a.left, size)
	}
	a.pad = size & 1
	if size+a.pad > a.left { // the last member may lack its padding
		a.pad = 0
	}
	a.left -= size + a.pad
	a.member = &io.LimitedReader{R: a.src, N: size}
	return name, size, nil
}

// Read reads the current member.
func (a *arReader) Read(p []byte) (int, error) {
	if a.member == nil {
		return 0, io.EOF
	}
	n, err := a.member.Read(p)
	if err == io.EOF && a.member.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (a *arReader) skip(n int64) error {
	skipped, err := io.CopyN(io.Discard, a.src, n)
	if err != nil {
		return fmt.Errorf("skipping an ar member after %d of %d bytes: %w", skipped, n, unexpected(err))
	}
	return nil
}

// unexpected turns the end of a file that should go on into an error of its own.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
