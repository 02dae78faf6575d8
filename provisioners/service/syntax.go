package service

import "strings"

// Lines are the lines of a unit's text that count, without blanks around them, as
// systemd.syntax(7) has it: one that ends in a backslash goes on in the next,
// comments between them are left out, and a comment does not go on.
func Lines(text string) []string {
	var list []string
	var open strings.Builder
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimLeft(line, " \t")
		if line == "" && open.Len() == 0 || line != "" && (line[0] == '#' || line[0] == ';') {
			continue
		}
		// Of two backslashes the first is before the second.
		if before := strings.TrimRight(line, `\`); (len(line)-len(before))%2 == 1 {
			open.WriteString(line[:len(line)-1] + " ")
			continue
		}
		list = append(list, strings.TrimSpace(open.String()+line))
		open.Reset()
	}
	if open.Len() > 0 {
		list = append(list, strings.TrimSpace(open.String()))
	}
	return list
}

// Flag is an option of a command line with its argument, if it takes one.
type Flag struct {
	Letter   byte
	Argument string
}

// Flags are the options of a command line, as getopt(3) reads them: several may
// stand together behind one dash. withArgument are the letters of those that take
// an argument, in the same word or the next.
func Flags(words []string, withArgument string) []Flag {
	var list []Flag
	for i := 0; i < len(words); i++ {
		if len(words[i]) < 2 || words[i][0] != '-' {
			continue
		}
		for j := 1; j < len(words[i]); j++ {
			f := Flag{Letter: words[i][j]}
			if strings.IndexByte(withArgument, f.Letter) < 0 {
				list = append(list, f)
				continue
			}
			if f.Argument = words[i][j+1:]; f.Argument == "" && i+1 < len(words) {
				i++
				f.Argument = words[i]
			}
			list = append(list, f)
			break
		}
	}
	return list
}
