package deb822

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The limits on what is read. Debian's largest paragraph has about 100 KiB
// and 40 fields; a Release file's list of digests is one field of 150 KiB.
const (
	// MaxParagraph is the most bytes of one paragraph.
	MaxParagraph = 8 << 20
	// MaxFields is the most fields of one paragraph.
	MaxFields = 256
)

// ErrTooLarge is wrapped by the error for a paragraph beyond the limits.
var ErrTooLarge = errors.New("paragraph is too large")

// Field is one field of a paragraph.
type Field struct {
	Name string
	// Value has no space at its ends. The further lines of a folded or
	// multi-line field are kept as they stand, each after a newline.
	Value string
}

// Paragraph is one block of fields, in the order of the file.
type Paragraph struct {
	Fields []Field
	// Text is the paragraph's text, which all values are part of.
	Text string
}

// Get returns the value of the field name, written in any case, or "".
func (p *Paragraph) Get(name string) string {
	for i := range p.Fields {
		if f := &p.Fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Lines returns the further lines of the multi-line field name, trimmed and
// without the empty ones.
func (p *Paragraph) Lines(name string) []string {
	var lines []string
	for line := range strings.Lines(p.Get(name)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// Reader reads paragraphs one after another.
type Reader struct {
	src        io.Reader
	buf        []byte
	start, end int // what is read and not yet returned
	line       int
	err        error
	paragraph  Paragraph
}

// NewReader returns a Reader of src's paragraphs.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, 256<<10), line: 1}
}

// Next returns the next paragraph, which is valid until Next is called again;
// its strings stay valid. The error after the last paragraph is io.EOF.
func (r *Reader) Next() (*Paragraph, error) {
	text, first, err := r.text()
	if err != nil {
		return nil, err
	}
	r.paragraph.Text = text
	r.paragraph.Fields, err = appendFields(r.paragraph.Fields[:0], text)
	if err != nil {
		r.err = fmt.Errorf("reading paragraph at line %d: %w", first, err)
		return nil, r.err
	}
	return &r.paragraph, nil
}

// text returns the next paragraph's text and the number of its first line.
func (r *Reader) text() (string, int, error) {
	scanned, inside, first := 0, false, 0
	for {
		window := r.buf[r.start+scanned : r.end]
		nl := bytes.IndexByte(window, '\n')
		if nl < 0 {
			if r.err == nil {
				r.fill()
				continue
			}
			if r.err != io.EOF {
				return "", 0, r.err
			}
			// The last line may lack its newline.
			text := string(r.buf[r.start:r.end])
			inside = inside || strings.TrimSpace(string(window)) != ""
			r.start = r.end
			if first == 0 {
				first = r.line
			}
			if !inside {
				return "", 0, io.EOF
			}
			return text, first, nil
		}
		blank := isBlank(window[:nl])
		r.line++
		switch {
		case !blank && !inside:
			inside, first = true, r.line-1
			scanned += nl + 1
		case !blank:
			scanned += nl + 1
		case inside:
			text := string(r.buf[r.start : r.start+scanned])
			r.start += scanned + nl + 1
			return text, first, nil
		default:
			r.start += nl + 1
		}
	}
}

// fill reads more, growing the buffer up to the limit.
func (r *Reader) fill() {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.end -= r.start
		r.start = 0
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= MaxParagraph {
			r.err = fmt.Errorf("reading paragraph at line %d: %w (more than %d bytes)", r.line, ErrTooLarge, MaxParagraph)
			return
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if err != nil {
		r.err = err
	}
}

func isBlank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// Parse reads text as one paragraph, such as a package's control file.
func Parse(text string) (*Paragraph, error) {
	r := &Reader{src: strings.NewReader(text), buf: make([]byte, min(len(text)+1, 256<<10)), line: 1}
	p, err := r.Next()
	if err == io.EOF {
		return nil, errors.New("reading paragraph: there is none")
	}
	if err != nil {
		return nil, err
	}
	only := Paragraph{Fields: append([]Field(nil), p.Fields...), Text: p.Text}
	if _, err := r.Next(); err != io.EOF {
		return nil, errors.New("reading paragraph: there is more than one")
	}
	return &only, nil
}

// appendFields cuts a paragraph's text into fields.
func appendFields(fields []Field, text string) ([]Field, error) {
	for text != "" {
		// A field ends at the first line that is not a continuation.
		end, head := 0, text
		for {
			nl := strings.IndexByte(text[end:], '\n')
			if nl < 0 {
				end = len(text)
				break
			}
			end += nl + 1
			if end == len(text) || (text[end] != ' ' && text[end] != '\t') {
				break
			}
		}
		head, text = text[:end], text[end:]
		if head[0] == '#' {
			continue
		}
		colon := strings.IndexByte(head, ':')
		if colon <= 0 || !isFieldName(head[:colon]) {
			line, _, _ := strings.Cut(head, "\n")
			return nil, fmt.Errorf("%.60q is no field", line)
		}
		if len(fields) == MaxFields {
			return nil, fmt.Errorf("%w (more than %d fields)", ErrTooLarge, MaxFields)
		}
		fields = append(fields, Field{Name: head[:colon], Value: strings.TrimSpace(head[colon+1:])})
	}
	if len(fields) == 0 {
		return nil, errors.New("it has no field")
	}
	return fields, nil
}

// isFieldName holds for printable ASCII without space and colon that does not
// begin with a hyphen, as deb822(5) wants it.
func isFieldName(name string) bool {
	if name[0] == '-' {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c > '~' || c == ':' {
			return false
		}
	}
	return true
}
