package logrotate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// option is one directive with what it says.
type option struct {
	name, value string
	file        string
	line        int
	// start and end are its bytes in the file, without blanks around it.
	start, end int
}

func (o *option) where() string { return fmt.Sprintf("%s:%d", o.file, o.line) }

// flags are directives without a value (logrotate(8)).
var flags = []string{
	"compress", "nocompress", "delaycompress", "nodelaycompress", "shred", "noshred", "allowhardlink", "noallowhardlink", "sharedscripts", "nosharedscripts",
	"copytruncate", "nocopytruncate", "renamecopy", "norenamecopy", "copy", "nocopy", "ifempty", "notifempty", "dateext", "nodateext", "dateyesterday",
	"datehourago", "noolddir", "mailfirst", "maillast", "nocreateolddir", "nocreate", "hourly", "daily", "monthly", "yearly", "nomail", "missingok",
	"nomissingok", "ignoreduplicates",
}

var scripts = []string{"prerotate", "postrotate", "firstaction", "lastaction", "preremove"}

// valued are directives with a value that takes the rest of the line, and its form.
var valued = map[string]*regexp.Regexp{
	"weekly": regexp.MustCompile(`^[0-7]?$`), "rotate": regexp.MustCompile(`^(-1|[0-9]{1,9})$`), "size": sizes, "minsize": sizes, "maxsize": sizes,
	"maxage": numbers, "minage": numbers, "start": numbers, "shredcycles": numbers, "create": created, "createolddir": created,
	"su": regexp.MustCompile(`^\S+[ \t]+\S+$`), "mail": regexp.MustCompile(`^\S+$`), "dateformat": something, "extension": something, "addextension": something,
	"olddir": something, "compresscmd": something, "uncompresscmd": something, "compressext": something, "compressoptions": something,
	"include": something, "tabooext": something, "taboopat": something,
}

var (
	sizes     = regexp.MustCompile(`^(?:[0-9]+[kMG]?|[kMG])$`)
	numbers   = regexp.MustCompile(`^[0-9]{1,9}$`)
	something = regexp.MustCompile(`.`)
	// A mode, an owner and a group, each of which may be left out.
	created  = regexp.MustCompile(`^(?:[0-7]{1,9}(?:[ \t]+[^\s0-9]\S*){0,2}|[^\s0-9]\S*[ \t]+\S+|)$`)
	keyword  = regexp.MustCompile(`^[A-Za-z]+`)
	endOfOne = regexp.MustCompile(`(?m)^[ \t]*endscript\b`)
)

// option reads a directive with its value, or its script.
func (c *cursor) option() (option, error) {
	o := option{file: c.file, line: c.line(), start: c.at}
	o.name = keyword.FindString(c.rest())
	c.at += len(o.name)
	form, hasValue := valued[o.name]
	next := strings.TrimPrefix(c.rest(), "=")
	switch {
	case o.name == "":
		return o, c.errorf("expected a directive, or the names of logs from the root on")
	case !hasValue && !slices.Contains(flags, o.name) && !slices.Contains(scripts, o.name):
		return o, c.errorf("logrotate does not know the directive")
	case c.rest() == "":
		return o, c.errorf("the line of %s does not end", o.name)
	case !strings.ContainsRune(" \t\n=", rune(c.rest()[0])), !hasValue && c.rest()[0] == '=', o.name == "weekly" && next != c.rest():
		return o, c.errorf("%s is followed by something else", o.name)
	}
	o.end = c.at
	switch {
	case hasValue:
		value := c.restOfLine()
		o.end = o.start + len(o.name) + len(strings.TrimRight(value, " \t"))
		value = strings.TrimLeft(value, " \t")
		if o.name != "weekly" {
			value = strings.TrimPrefix(value, "=")
		}
		o.value = strings.Trim(value, " \t")
		if !form.MatchString(o.value) {
			return o, c.errorf("%s has a value that logrotate does not take", o.name)
		}
	case slices.Contains(scripts, o.name):
		c.restOfLine()
		end := endOfOne.FindStringIndex(c.rest())
		if end == nil {
			return o, c.errorf("the script of %s does not end: endscript is missing", o.name)
		}
		c.at += end[1]
		o.end = c.at
	}
	return o, nil
}

// number is a value that has the form of one.
func number(text string) int {
	n, _ := strconv.Atoi(text) // its form is checked
	return n
}
