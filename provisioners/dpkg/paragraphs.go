package dpkg

import (
	"fmt"
	"slices"
	"strings"
)

// paragraphs reads control data (Debian Policy 5.1) and calls do with some fields
// of each paragraph, by lower-case name. Of a field that goes on in further lines
// each ends with a line break. do must not keep the map.
func paragraphs(text string, do func(fields map[string]string) error, keep ...string) error {
	fields := map[string]string{}
	started, field := 0, ""
	var further strings.Builder // lines of the field
	endField := func() {
		if further.Len() > 0 {
			fields[field] += further.String()
			further.Reset()
		}
	}
	end := func() error {
		if started == 0 {
			return nil
		}
		endField()
		if err := do(fields); err != nil {
			return fmt.Errorf("paragraph at line %d: %w", started, err)
		}
		clear(fields)
		started, field = 0, ""
		return nil
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			if err := end(); err != nil {
				return err
			}
			continue
		case line[0] == ' ' || line[0] == '\t':
			if field == "" {
				return fmt.Errorf("line %d continues no field", number)
			}
			if _, kept := fields[field]; kept {
				further.WriteString(line[1:])
				further.WriteByte('\n')
			}
			continue
		}
		endField()
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return fmt.Errorf("line %d is not field: value", number)
		}
		if started == 0 {
			started = number
		}
		if field = strings.ToLower(name); !slices.Contains(keep, field) {
			continue
		}
		if _, again := fields[field]; again {
			return fmt.Errorf("line %d gives the field %s again", number, field)
		}
		fields[field] = strings.TrimSpace(value)
	}
	return end()
}
