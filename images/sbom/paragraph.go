package sbom

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Limits on a control file that is read.
const (
	maxControl   = 64 << 20
	maxFieldLine = 1 << 20
)

// paragraph is one stanza of a Debian control file (Debian Policy 5.1) by
// lower-case field name. Continuation lines keep their line breaks, without
// the leading blank.
type paragraph map[string]string

// readParagraphs calls do for every stanza of a control file.
func readParagraphs(data []byte, do func(paragraph) error) error {
	if len(data) > maxControl {
		return fmt.Errorf("it has %d bytes, the limit is %d", len(data), maxControl)
	}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(make([]byte, 64<<10), maxFieldLine)
	current, field := paragraph{}, ""
	var value strings.Builder
	endField := func() {
		if field != "" {
			current[field] = value.String()
		}
		field = ""
		value.Reset()
	}
	endParagraph := func() error {
		endField()
		if len(current) == 0 {
			return nil
		}
		done := current
		current = paragraph{}
		return do(done)
	}
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimRight(scanner.Text(), " \t\r")
		switch {
		case line == "":
			if err := endParagraph(); err != nil {
				return err
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if field == "" {
				return fmt.Errorf("line %d continues no field", number)
			}
			value.WriteByte('\n')
			value.WriteString(line[1:])
		default:
			endField()
			name, rest, ok := strings.Cut(line, ":")
			if !ok || name == "" {
				return fmt.Errorf("line %d is not field: value", number)
			}
			field = strings.ToLower(name)
			if _, again := current[field]; again {
				return fmt.Errorf("line %d gives the field %s again", number, name)
			}
			value.WriteString(strings.TrimLeft(rest, " \t"))
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	return endParagraph()
}

// firstLine is a field's value up to its first line break.
func (p paragraph) firstLine(field string) string {
	line, _, _ := strings.Cut(p[field], "\n")
	return line
}
